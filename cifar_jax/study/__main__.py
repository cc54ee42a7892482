"""`python -m cifar_jax.study NAME --workdir DIR`: reproduces a paper's table.

A study is one of the package, by its name or its path in a clone (`configs/studies/NAME.py`), or a
file of your own. Runs every entry, then prints the table beside the paper's errors and draws it.
The same command resumes a study: finished runs stay, interrupted runs resume. `--list` shows all
studies of the package. Keys of the configuration are set for all runs.
"""

import pathlib
import sys

from cifar_jax import cli
from cifar_jax.config import help_text, locations
from cifar_jax.errors import InputError
from cifar_jax.study import definition, launch


def main() -> int:
  """Runs a study; checks every entry before the first run starts. Returns the exit status."""
  parser = cli.Parser('python -m cifar_jax.study', __doc__, help_text.of_keys)
  parser.add_argument('study', nargs='?', help='a name of --list, or a file')
  parser.add_argument('--workdir', type=cli.path, help='directory of the study')
  parser.add_argument(
    '--epochs', type=cli.positive, help="epochs of each run; the paper's by default"
  )
  parser.add_argument(
    '--seeds', type=cli.integer(1, 1000), default=1, help='number of runs per entry'
  )
  parser.add_argument('--list', action='store_true', help='show all studies and exit')
  arguments, overrides = parser.parse_with_overrides()
  if arguments.list:
    return _list_studies()
  if not arguments.study or not arguments.workdir:
    raise InputError('give the name of a study and --workdir DIR (--list shows the studies)')
  study = definition.load(arguments.study)
  return _run(study, arguments.workdir, arguments.epochs, arguments.seeds, overrides)


def _list_studies() -> int:
  for path in locations.available(locations.STUDIES):
    study = definition.load(path)
    print(f'{study.name}\n  {study.title}: {len(study.entries)} entries\n  {study.source}')
  return 0


def _run(
  study: definition.Study,
  workdir: pathlib.Path,
  epochs: int | None,
  seeds: int,
  overrides: list[str],
) -> int:
  """Starts all unfinished runs one after another; returns the exit status of the study."""
  # Here, because --list and --help need neither JAX nor numpy.
  from cifar_jax.report import study_table
  from cifar_jax.study import plan, study_file

  study_file.check(workdir, study)
  runs = plan.make(study, workdir, epochs, seeds, overrides)
  study_file.write(workdir, study, runs, overrides)
  failed = []
  for number, run in enumerate(runs, start=1):
    if (run.workdir / 'result.json').exists():
      continue
    _log(f'run {number} of {len(runs)}: {run.entry.label}, seed {run.config.seed}')
    status, stop_requested = launch.run(run.command)
    if stop_requested:
      _log('the same command resumes the study')
      return status or cli.INTERRUPTED  # the status is 0 if the run was about to end anyway
    if status == cli.BAD_INPUT:  # the other runs would fail for the same reason
      return status
    if status:
      failed.append(run.entry.label)
    study_table.write(workdir)
  print(study_table.write(workdir))
  if failed:
    _log(f'without a result: {", ".join(failed)}; the same command tries again')
  return cli.DIVERGED if failed else 0


def _log(message: str) -> None:
  print(f'study: {message}', file=sys.stderr, flush=True)


if __name__ == '__main__':
  cli.run(main)
