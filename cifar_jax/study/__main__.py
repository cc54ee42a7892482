"""`python -m cifar_jax.study NAME --workdir DIR`: reproduces a paper's table.

A study is one of the package, by its name or its path in a clone (`configs/studies/NAME.py`), or a
file of your own. Runs every entry, then prints the table beside the paper's errors and draws it.
The same command resumes a study: finished runs stay, interrupted runs resume. `--list` shows all
studies of the package. Keys of the configuration are set for all runs. The table stands in the
workdir too, as text, Markdown, CSV, LaTeX and JSON.
"""

import argparse
import pathlib
import sys
from typing import TYPE_CHECKING

from cifar_jax import cli
from cifar_jax.config import help_text, locations
from cifar_jax.config.command_line import nearest
from cifar_jax.errors import InputError
from cifar_jax.study import definition, launch

if TYPE_CHECKING:  # `plan` imports JAX
  from cifar_jax.study.plan import PlannedRun


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
  parser.add_argument(
    '--baseline', metavar='LABEL', help='compare the other entries with this one, by a test'
  )
  parser.add_argument('--list', action='store_true', help='show all studies and exit')
  arguments, overrides = parser.parse_with_overrides()
  if arguments.list:
    return _list_studies()
  if not arguments.study or not arguments.workdir:
    raise InputError('give the name of a study and --workdir DIR (--list shows the studies)')
  study = definition.load(arguments.study)
  baseline, labels = arguments.baseline, [entry.label for entry in study.entries]
  if baseline is not None and baseline not in labels:
    raise InputError(
      f'--baseline {baseline!r} is no entry{nearest(baseline, labels)}; there are {labels}'
    )
  return _plan_and_run(study, arguments, overrides)


def _list_studies() -> int:
  for path in locations.available(locations.STUDIES):
    study = definition.load(path)
    entries = 'one entry' if len(study.entries) == 1 else f'{len(study.entries)} entries'
    print(f'{study.name}\n  {study.title}: {entries}\n  {study.source}')
  return 0


def _plan_and_run(
  study: definition.Study, arguments: argparse.Namespace, overrides: list[str]
) -> int:
  """Plans all runs of a study, writes its file once every entry is checked, and starts them."""
  # Here, because --list and --help need neither JAX nor numpy.
  from cifar_jax.runs.workdir import locked
  from cifar_jax.study import plan, study_file

  workdir = arguments.workdir
  study_file.check(workdir, study)
  runs = plan.make(study, workdir, arguments.epochs, arguments.seeds, overrides)
  with locked(workdir):  # the table is of the runs that one command has planned
    study_file.check(workdir, study)  # again: another command may have been here since
    study_file.check_keeps(workdir, runs)
    study_file.write(workdir, study, runs, overrides)
    return _run(runs, workdir, arguments.baseline)


def _run(runs: 'list[PlannedRun]', workdir: pathlib.Path, baseline: str | None) -> int:
  """Starts all unfinished runs one after another; returns the exit status of the study."""
  from cifar_jax.report import study_table
  from cifar_jax.runs.workdir import is_finished
  from cifar_jax.training import finished

  failed, status, stopped = [], 0, False
  with launch.shared_cache():
    for number, run in enumerate(runs, start=1):
      if is_finished(run.workdir, run.config):
        finished.warn_of_changes(run.workdir, run.config)
        continue
      _log(f'run {number} of {len(runs)}: {run.entry.label}, seed {run.config.seed}')
      status, stopped = launch.run(run.command)
      if stopped or status == cli.BAD_INPUT:  # other runs would fail for the same reason
        break
      if status:
        failed.append(run.entry.label)
      study_table.write(workdir, baseline)
  if any(is_finished(run.workdir, run.config) for run in runs):
    print(study_table.write(workdir, baseline))
    _log(f'{workdir}/table.md, .csv, .tex, .json, .txt and .png')
  if failed:
    _log(f'without a result: {", ".join(failed)}; the same command tries again')
  if stopped:
    _log('the same command resumes the study')
    return status or cli.INTERRUPTED  # the status is 0 if the run was about to end anyway
  if status == cli.BAD_INPUT:
    return status
  return cli.DIVERGED if failed else 0


def _log(message: str) -> None:
  print(f'study: {message}', file=sys.stderr, flush=True)


if __name__ == '__main__':
  cli.run(main)
