"""Measures rows of the race, and writes the results, a figure and the table.

  python -m benchmarks.speed                                  all nets in both dtypes
  python -m benchmarks.speed --nets wrn_28_10 --batch 128 --append
  python -m benchmarks.speed --table                          the table in docs/speed.md

PyTorch is that of this Python, or of another one (`--torch-python`). Without `--data-dir` the
images are random, in the number of CIFAR-10's, as no measured time depends on their content. Each
row is written as soon as it is measured.
"""

import os
import pathlib
import shlex
import signal
import sys
import tempfile
from typing import Any

import numpy as np

from benchmarks.speed import compare, picture, results, rows, table, workers
from benchmarks.speed.nets import BATCH, DTYPES, NETS, overrides
from cifar_jax import cli, output_files
from cifar_jax.errors import InputError
from cifar_jax.runtime.console import logger, to_console

RECORD = 3073  # bytes of an image in CIFAR-10's binary files: its label, then its pixels
FILES = [*(f'data_batch_{i}.bin' for i in range(1, 6)), 'test_batch.bin']


def _parser() -> cli.Parser:
  parser = cli.Parser(prog='python -m benchmarks.speed', description=__doc__.splitlines()[0])
  parser.add_argument('--nets', nargs='+', choices=tuple(NETS), default=list(NETS), metavar='NET')
  parser.add_argument('--dtype', nargs='+', choices=DTYPES, default=list(DTYPES))
  parser.add_argument('--device', choices=('cpu', 'gpu'), default='cpu')
  parser.add_argument('--batch', type=int, default=0, help='number of images of a step')
  parser.add_argument('--rounds', type=int, default=9, help='number of rounds of each race')
  parser.add_argument('--seconds', type=float, default=60.0, help="time of a row's races")
  parser.add_argument(
    '--compile-seconds', type=float, default=120.0, help="limit for PyTorch's compiler"
  )
  parser.add_argument('--torch-python', default=sys.executable, metavar='PYTHON')
  parser.add_argument('--data-dir', default='', metavar='DIR', help='directory of CIFAR-10')
  parser.add_argument('--append', action='store_true', help='add to the rows of the file')
  parser.add_argument('--output', type=pathlib.Path, metavar='FILE.json')
  parser.add_argument('--table', action='store_true', help='print the table of the results')
  return parser


def main() -> int:
  """Measures, or prints the table."""
  arguments = _parser().parse_args()
  file = arguments.output or results.path(arguments.device)
  if arguments.table:
    print(table.markdown(results.read(file), file))
    return 0
  for name in ('rounds', 'seconds', 'compile_seconds'):
    if getattr(arguments, name) <= 0:
      raise InputError(f'--{name.replace("_", "-")} must be above 0')
  if arguments.batch < 0:
    raise InputError('--batch must not be below 0')
  to_console()
  with tempfile.TemporaryDirectory(prefix='speed_') as folder:
    _measure(arguments, file, pathlib.Path(folder))
  return 0


def _measure(arguments: Any, file: pathlib.Path, folder: pathlib.Path) -> None:
  machine = compare.Machine(
    device=arguments.device,
    threads=len(os.sched_getaffinity(0)),
    torch_python=arguments.torch_python,
    data_dir=str(pathlib.Path(arguments.data_dir or write_random_images(folder)).absolute()),
    export=str(folder),
    rounds=arguments.rounds,
    seconds=arguments.seconds,
    compile_seconds=arguments.compile_seconds,
  )
  result = results.begin(
    file, _origin(machine, arguments.data_dir, arguments.output), arguments.append
  )
  if 'checkpoint' not in result:
    result['checkpoint'] = rows.measure_checkpoint(machine)
  on_cpu = arguments.device == 'cpu'
  for net in arguments.nets:
    for dtype in arguments.dtype:
      batch = arguments.batch or (NETS[net].cpu_batch if on_cpu else BATCH)
      logger.info('%s %s: begins', net, dtype)
      try:
        row = rows.measure_row(machine, net, dtype, batch)
      except workers.WorkerError as error:
        logger.warning('%s %s is left out: %s', net, dtype, error)
        continue
      results.add(result, row)
      results.write(file, result)
      output_files.save_figure(picture.figure(result), file.with_suffix('.png'))
      logger.info(
        '%s %s: training %.2f, evaluation %.2f times as fast as PyTorch (%s)',
        *(net, dtype, row['train']['ratio']['median'], row['evaluate']['ratio']['median']),
        row['torch_variant'],
      )


def write_random_images(folder: pathlib.Path) -> pathlib.Path:
  """Writes random images as CIFAR-10's binary files; returns the data directory."""
  data = folder / 'cifar-10-batches-bin'
  data.mkdir()
  random = np.random.RandomState(0)
  for name in FILES:
    records = random.randint(0, 256, (10_000, RECORD), np.uint8)
    records[:, 0] %= 10
    (data / name).write_bytes(records.tobytes())
  return folder


def _origin(machine: compare.Machine, data_dir: str, output: pathlib.Path | None) -> dict[str, Any]:
  """Returns the origin of the rows, writes the data for PyTorch, and checks that PyTorch runs.

  Args:
    machine: machine and settings of all rows.
    data_dir: word of the command line that the recorded command replaces by DATA.
    output: word that it replaces by FILE.

  Raises:
    InputError: PyTorch does not run, or the data cannot be read.
  """
  config = NETS['resnet20'].config
  our_settings = {
    'config': config,
    'overrides': overrides('resnet20', 'float32', BATCH, machine.data_dir),
  }
  torch_settings = {'net': 'resnet20', 'variant': 'eager', 'dtype': 'float32', 'batch': BATCH}
  torch_settings |= {'device': machine.device, 'threads': machine.threads, 'data': machine.export}
  with tempfile.TemporaryDirectory(prefix='speed_') as folder:
    cache = pathlib.Path(folder)
    try:
      with workers.start_side(
        'ours', sys.executable, our_settings, machine.device, cache
      ) as worker:
        origin = worker.ask('export', folder=machine.export)
    except workers.WorkerError as error:
      raise InputError(f'our side cannot start: {error}') from error
    try:
      with workers.start_side(
        'torch', machine.torch_python, torch_settings, machine.device, cache
      ) as worker:
        torch_version = worker.ask('build')['torch']
    except (OSError, workers.WorkerError) as error:
      raise InputError(
        f'PyTorch does not run with {machine.torch_python} ({error}); install it there, or give '
        '--torch-python PYTHON'
      ) from error
  placeholders = {data_dir: 'DATA', machine.torch_python: 'PYTHON', str(output): 'FILE'}
  words = [placeholders.get(word, word) for word in sys.argv[1:]]
  origin.pop('waited')
  return origin | {
    'command': shlex.join(['python', '-m', 'benchmarks.speed', *words]),
    'versions': origin['versions'] | {'torch': torch_version},
    'threads': machine.threads,
  }


if __name__ == '__main__':
  # Exits through Python, which ends the workers; otherwise they would go on computing.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  cli.run(main)
