"""`python -m cifar_jax.study configs/studies/NAME.py --workdir DIR`: reproduces a paper's table.

Runs every entry, then prints the table beside the paper's errors and draws it. The same command
resumes a study: finished runs stay, interrupted runs resume. `--list` shows all studies.
"""

import pathlib
import sys

from cifar_jax import cli
from cifar_jax.errors import InputError
from cifar_jax.report import study_table
from cifar_jax.study import definition, launch


def main() -> int:
  """Runs a study; checks every entry before the first run starts. Returns the exit status."""
  parser = cli.Parser(prog='python -m cifar_jax.study', description=__doc__)
  parser.add_argument('study', type=pathlib.Path, nargs='?', help='configs/studies/NAME.py')
  parser.add_argument('--workdir', type=pathlib.Path, help='directory of the study')
  parser.add_argument(
    '--epochs', type=cli.positive, help="epochs of each run; the paper's by default"
  )
  parser.add_argument('--seeds', type=cli.positive, default=1, help='number of runs per entry')
  parser.add_argument('--list', action='store_true', help='show all studies and exit')
  arguments, overrides = parser.parse_known_args()
  if arguments.list:
    return _list_studies()
  if not arguments.study or not arguments.workdir:
    raise InputError('give configs/studies/NAME.py and --workdir DIR (--list shows the studies)')
  study = definition.load(arguments.study)
  return _run(study, arguments.workdir, arguments.epochs, arguments.seeds, overrides)


def _list_studies() -> int:
  for path in definition.available():
    study = definition.load(path)
    print(f'{path}\n  {study.title}: {len(study.entries)} entries\n  {study.source}')
  return 0


def _run(
  study: definition.Study,
  workdir: pathlib.Path,
  epochs: int | None,
  seeds: int,
  overrides: list[str],
) -> int:
  """Starts all unfinished runs one after another; returns the exit status of the study."""
  from cifar_jax.study import (
    plan,
    study_file,
  )  # both import JAX, which --list and --help don't need

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
