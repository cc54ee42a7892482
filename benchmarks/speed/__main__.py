"""The command: measures what is named, row by row, and writes results, picture and table.

  python -m benchmarks.speed                                  all nets in both dtypes
  python -m benchmarks.speed --nets wrn_28_10 --batch 128 --append
  python -m benchmarks.speed --table                          the README's table

PyTorch is that of this Python, or of another one (`--torch-python`). Without `--data-dir` the
images are random, as many as CIFAR-10's: nothing here depends on what they show. Each row is kept
as soon as it is measured.
"""

import os
import pathlib
import shlex
import signal
import sys
import tempfile
from typing import Any

import numpy as np

from benchmarks.speed import compare, picture, results, table, workers
from benchmarks.speed.nets import BATCH, DTYPES, NETS, overrides
from cifar_jax import command, progress
from cifar_jax.errors import InputError
from cifar_jax.progress import logger
from cifar_jax.report import files

RECORD = 3073  # bytes of an image in CIFAR-10's binary files: its label, then its pixels
FILES = [*(f'data_batch_{i}.bin' for i in range(1, 6)), 'test_batch.bin']


def _parser() -> command.Parser:
  parser = command.Parser(prog='python -m benchmarks.speed', description=__doc__.splitlines()[0])
  parser.add_argument('--nets', nargs='+', choices=tuple(NETS), default=list(NETS), metavar='NET')
  parser.add_argument('--dtype', nargs='+', choices=DTYPES, default=list(DTYPES))
  parser.add_argument('--device', choices=('cpu', 'gpu'), default='cpu')
  parser.add_argument('--batch', type=int, default=0, help='images of a step')
  parser.add_argument('--rounds', type=int, default=9, help='of each race')
  parser.add_argument('--seconds', type=float, default=60.0, help="for a row's races")
  parser.add_argument(
    '--compile-seconds', type=float, default=120.0, help="that PyTorch's compiler may take"
  )
  parser.add_argument('--torch-python', default=sys.executable, metavar='PYTHON')
  parser.add_argument('--data-dir', default='', metavar='DIR', help='of CIFAR-10')
  parser.add_argument('--append', action='store_true', help='beside the rows that there are')
  parser.add_argument('--output', type=pathlib.Path, metavar='FILE.json')
  parser.add_argument('--table', action='store_true', help='prints it from the results')
  return parser


def main() -> int:
  """Measures, or prints the table."""
  arguments = _parser().parse_args()
  file = arguments.output or results.path(arguments.device)
  if arguments.table:
    print(table.markdown(results.read(file), file))
    return 0
  for name in ('rounds', 'seconds', 'compile_seconds'):
    if getattr(arguments, name) <= 0 or arguments.batch < 0:
      raise InputError(f'--{name.replace("_", "-")} and --batch are above 0')
  progress.to_console()
  with tempfile.TemporaryDirectory(prefix='speed_') as folder:
    _measure(arguments, file, pathlib.Path(folder))
  return 0


def _measure(arguments: Any, file: pathlib.Path, folder: pathlib.Path) -> None:
  machine = compare.Machine(
    device=arguments.device,
    threads=len(os.sched_getaffinity(0)),
    torch_python=arguments.torch_python,
    data_dir=str(pathlib.Path(arguments.data_dir or random_images(folder)).absolute()),
    export=str(folder),
    rounds=arguments.rounds,
    seconds=arguments.seconds,
    compile_seconds=arguments.compile_seconds,
  )
  result = results.begin(
    file, _origin(machine, arguments.data_dir, arguments.output), arguments.append
  )
  if 'checkpoint' not in result:
    result['checkpoint'] = compare.checkpoint(machine)
  on_cpu = arguments.device == 'cpu'
  for net in arguments.nets:
    for dtype in arguments.dtype:
      batch = arguments.batch or (NETS[net].cpu_batch if on_cpu else BATCH)
      logger.info('%s %s: begins', net, dtype)
      try:
        row = compare.row(machine, net, dtype, batch)
      except workers.WorkerError as error:
        logger.warning('%s %s is left out: %s', net, dtype, error)
        continue
      results.add(result, row)
      results.write(file, result)
      files.save(picture.figure(result), file.with_suffix('.png'))
      logger.info(
        '%s %s: training %.2f, evaluation %.2f times as fast as PyTorch (%s)',
        *(net, dtype, row['train']['ratio']['median'], row['evaluate']['ratio']['median']),
        row['torch_variant'],
      )


def random_images(folder: pathlib.Path) -> pathlib.Path:
  """A data directory with random images in CIFAR-10's binary files."""
  data = folder / 'cifar-10-batches-bin'
  data.mkdir()
  random = np.random.RandomState(0)
  for name in FILES:
    records = random.randint(0, 256, (10_000, RECORD), np.uint8)
    records[:, 0] %= 10
    (data / name).write_bytes(records.tobytes())
  return folder


def _origin(machine: compare.Machine, data_dir: str, output: pathlib.Path | None) -> dict[str, Any]:
  """Where the rows come from; leaves the data for PyTorch on the way, and finds out if it is there.

  Raises:
    InputError: there is no PyTorch, or the data cannot be read.
  """
  config = NETS['resnet20'].config
  ours = {'config': config, 'overrides': overrides('float32', BATCH, machine.data_dir)}
  theirs = {'net': 'resnet20', 'variant': 'eager', 'dtype': 'float32', 'batch': BATCH}
  theirs |= {'device': machine.device, 'threads': machine.threads, 'data': machine.export}
  with tempfile.TemporaryDirectory(prefix='speed_') as folder:
    cache = pathlib.Path(folder)
    try:
      with workers.side('ours', sys.executable, ours, machine.device, cache) as worker:
        told = worker.ask('export', folder=machine.export)
    except workers.WorkerError as error:
      raise InputError(f'our side cannot begin: {error}') from error
    try:
      with workers.side('torch', machine.torch_python, theirs, machine.device, cache) as worker:
        torch = worker.ask('build')['torch']
    except (OSError, workers.WorkerError) as error:
      raise InputError(
        f'PyTorch does not run with {machine.torch_python} ({error}); install it there, or give '
        '--torch-python PYTHON'
      ) from error
  words = ['DATA' if word == data_dir else word for word in sys.argv[1:]]
  words = ['PYTHON' if word == machine.torch_python else word for word in words]
  words = ['FILE' if word == str(output) else word for word in words]
  told.pop('waited')
  return told | {
    'command': shlex.join(['python', '-m', 'benchmarks.speed', *words]),
    'versions': told['versions'] | {'torch': torch},
    'threads': machine.threads,
  }


if __name__ == '__main__':
  # By way of Python's own end, which ends the sides: else they would go on computing unseen.
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
  command.run(main)
