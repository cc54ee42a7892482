"""`python -m cifar_jax.study configs/studies/NAME.py --workdir DIR`: a paper's table.

Runs every entry, then prints the table beside the paper's figures and draws it. Run again, it goes
on: what is finished stays, what was interrupted resumes. `--list` shows the studies there are.
"""

import argparse
import pathlib
import sys

from cifar_jax import command
from cifar_jax.errors import InputError
from cifar_jax.report import study as report
from cifar_jax.study import launch, table


def main() -> int:
  """Reads the command line and checks every entry before the first begins."""
  parser = command.Parser(prog='python -m cifar_jax.study', description=__doc__)
  parser.add_argument('study', type=pathlib.Path, nargs='?', help='configs/studies/NAME.py')
  parser.add_argument('--workdir', type=pathlib.Path, help='of the study')
  parser.add_argument('--epochs', type=_positive, help="of each run, instead of the paper's own")
  parser.add_argument('--seeds', type=_positive, default=1, help='how many, of each entry')
  parser.add_argument('--list', action='store_true', help='show the studies and leave')
  arguments, overrides = parser.parse_known_args()
  if arguments.list:
    return _list()
  if not arguments.study or not arguments.workdir:
    raise InputError('give configs/studies/NAME.py and --workdir DIR (--list shows the studies)')
  study = table.load(arguments.study)
  return _run(study, arguments.workdir, arguments.epochs, arguments.seeds, overrides)


def _positive(text: str) -> int:
  number = int(text)
  if number < 1:
    raise argparse.ArgumentTypeError(f'{text} is not at least 1')
  return number


def _list() -> int:
  for path in table.available():
    study = table.load(path)
    print(f'{path}\n  {study.title}: {len(study.entries)} entries\n  {study.source}')
  return 0


def _run(
  study: table.Study,
  workdir: pathlib.Path,
  epochs: int | None,
  seeds: int,
  overrides: list[str],
) -> int:
  """Runs what is not finished; returns an exit status."""
  from cifar_jax.study import plan, record  # they take JAX, of which --list and --help need none

  record.check(workdir, study)
  planned = plan.make(study, workdir, epochs, seeds, overrides)
  record.write(workdir, study, planned, overrides)
  failed = []
  for number, run in enumerate(planned, start=1):
    if (run.workdir / 'result.json').exists():
      continue
    _say(f'run {number} of {len(planned)}: {run.entry.label}, seed {run.config.seed}')
    status, asked = launch.run(run.command)
    if asked:
      _say('the same command goes on from there')
      return status or command.INTERRUPTED  # 0: the run was at its end already
    if status == command.BAD_INPUT:  # what it said holds for the others, too
      return status
    if status:
      failed.append(run.entry.label)
    report.write(workdir)
  print(report.write(workdir))
  if failed:
    _say(f'without a result: {", ".join(failed)}; the same command tries again')
  return command.DIVERGED if failed else 0


def _say(line: str) -> None:
  print(f'study: {line}', file=sys.stderr, flush=True)


if __name__ == '__main__':
  command.run(main)
