"""Runs the stages one after the other, each in a process of its own with a time limit.

  python -m benchmarks.accelerator --data-dir DATA --out DIR               ten minutes on one GPU
  python -m benchmarks.accelerator --data-dir DATA --out DIR --tiny        all stages on a CPU

Writes `DIR/STAGE.json` and `DIR/log.txt`, prints a line per stage and at the end the tables.
"""

import argparse
import contextlib
import importlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from typing import TextIO

from benchmarks import kill_campaign
from benchmarks.accelerator import plan, stage, table
from cifar_jax import cli, output_files
from cifar_jax.errors import InputError

LOG = 'log.txt'
GRACE = 5.0  # seconds that a stage has to end its own processes
DATA = kill_campaign.FOLDER
# What is asked whether it works, and not how fast, is compiled without trying out GPU kernels.
UNTIMED, NO_AUTOTUNING = ('families', 'commands'), '--xla_gpu_autotune_level=0'
# The smallest sizes are compiled as quickly as possible.
UNOPTIMIZED = '--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true'


def _parser() -> cli.Parser:
  parser = cli.Parser(prog='python -m benchmarks.accelerator', description=__doc__.splitlines()[0])
  parser.add_argument('--data-dir', type=pathlib.Path, required=True, help=f'with {DATA}')
  parser.add_argument('--out', type=pathlib.Path, required=True, help='folder of the results')
  parser.add_argument('--minutes', type=float, default=10.0, help='of all stages together')
  parser.add_argument('--tiny', action='store_true', help='smallest sizes, also on CPUs')
  parser.add_argument('--torch-python', default=sys.executable, metavar='PYTHON')
  names = [entry.name for entry in plan.STAGES]
  parser.add_argument('--stages', nargs='+', choices=names, default=names, metavar='STAGE')
  parser.add_argument('--here', nargs=2, metavar=('SCRATCH', 'DEADLINE'), help=argparse.SUPPRESS)
  return parser


def main() -> int:
  """Runs the stages of the command line; returns 1 if one of them was not done."""
  arguments = _parser().parse_args()
  if arguments.here:
    _measure_here(arguments)
    return 0
  if arguments.minutes <= 0:
    raise InputError('--minutes must be above 0')
  if not (arguments.data_dir / DATA).is_dir():
    raise InputError(f'{arguments.data_dir} has no {DATA}; give --data-dir DIR')
  output_files.make_folder(arguments.out)
  with tempfile.TemporaryDirectory(prefix='accelerator_', ignore_cleanup_errors=True) as folder:
    done = _run_all(arguments, pathlib.Path(folder))
  print(table.markdown(arguments.out))
  return 0 if done else 1


def _measure_here(arguments: argparse.Namespace) -> None:
  """Measures one stage in this process."""
  # Through Python's end, so that a stage ends its own processes first.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  (name,), (scratch, deadline) = arguments.stages, arguments.here
  current = stage.Stage(
    name,
    arguments.data_dir,
    arguments.out,
    pathlib.Path(scratch),
    float(deadline),
    tiny=arguments.tiny,
    torch_python=arguments.torch_python,
  )
  importlib.import_module(f'benchmarks.accelerator.{name}').measure(current)


def _run_all(arguments: argparse.Namespace, scratch: pathlib.Path) -> bool:
  """Runs the stages; returns whether all of them were done.

  Raises:
    InputError: there is no accelerator, and the sizes are not the smallest.
  """
  data_dir = arguments.data_dir.absolute()
  if arguments.tiny:  # a part of the images, and a copy: a stage may prepare the data anew
    kill_campaign.copy_images(data_dir / DATA, scratch / 'data' / DATA)
    data_dir = scratch / 'data'
  # The card is always described: other stages ask for its platform.
  entries = [entry for entry in plan.STAGES if entry.name in ('card', *arguments.stages)]
  end = time.monotonic() + 60 * arguments.minutes
  statuses = []
  with (arguments.out / LOG).open('w') as log:
    for index, entry in enumerate(entries):
      seconds = plan.limit(entries, index, end - time.monotonic(), tiny=arguments.tiny)
      start = time.monotonic()
      deadline = start + max(seconds - GRACE, seconds / 2)  # so that a stage can end by itself
      command = [
        *_command(arguments, entry.name, data_dir),
        '--here',
        str(scratch),
        f'{deadline!r}',
      ]
      environment = _environment(scratch, entry.name, tiny=arguments.tiny)
      status = _run_stage(command, environment, seconds, log)
      stage.end(arguments.out, entry.name, status, time.monotonic() - start)
      statuses.append(status)
      print(f'{entry.name}: {status} after {time.monotonic() - start:.0f} s', flush=True)
      if stage.read(arguments.out, 'card').get('platform') == 'cpu' and not arguments.tiny:
        raise InputError('JAX finds no accelerator here; --tiny runs all stages on a CPU')
  return all(status == stage.DONE for status in statuses)


def _command(arguments: argparse.Namespace, name: str, data_dir: pathlib.Path) -> list[str]:
  command = [sys.executable, '-m', 'benchmarks.accelerator', '--stages', name]
  command += ['--data-dir', str(data_dir), '--out', str(arguments.out.absolute())]
  command += ['--torch-python', arguments.torch_python]
  return [*command, '--tiny'] if arguments.tiny else command


def _environment(scratch: pathlib.Path, name: str, *, tiny: bool) -> dict[str, str]:
  """Returns the variables of the process of a stage.

  A folder for compiled programs that the caller has chosen stays, so that another run finds them.
  """
  environment = {
    'PYTHONUNBUFFERED': '1',
    stage.CACHE: os.environ.get(stage.CACHE, str(scratch / 'compiled')),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.3',
    'XLA_PYTHON_CLIENT_PREALLOCATE': 'false',  # stages start further processes
    'CUDA_VISIBLE_DEVICES': os.environ.get('CUDA_VISIBLE_DEVICES', '0'),
  }
  flags = [os.environ.get('XLA_FLAGS', ''), UNOPTIMIZED if tiny else '']
  flags += [NO_AUTOTUNING] if name in UNTIMED else []
  environment['XLA_FLAGS'] = ' '.join(filter(None, flags))
  return dict(os.environ) | environment


def _run_stage(command: list[str], environment: dict[str, str], seconds: float, log: TextIO) -> str:
  """Runs a stage, and ends it at its limit; returns how it ended."""
  process = subprocess.Popen(
    command,
    cwd=pathlib.Path(__file__).parents[2],
    env=environment,
    stdout=log,
    stderr=subprocess.STDOUT,
    start_new_session=True,
  )
  try:
    code = process.wait(seconds)
    return stage.DONE if code == 0 else f'ended with status {code}'
  except subprocess.TimeoutExpired:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(GRACE)
    return f'cut off at its limit of {seconds:.0f} s'
  finally:
    with contextlib.suppress(ProcessLookupError):  # if all of its processes have ended
      os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == '__main__':
  cli.run(main)
