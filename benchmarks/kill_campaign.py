"""Kills a run on real images a hundred times and more, and compares what comes out to the bit.

  python benchmarks/kill_campaign.py --data-dir DIR --kills 100

Sessions of the command are killed with SIGKILL: as they start, while the data are first prepared,
while the step compiles, between steps, inside an evaluation, inside a checkpoint's write. Then the
same command goes on; a run that gets to its end in spite of them is followed by another. At last
each run must have the parameters of an undisturbed one, to the bit, and its records, each once.

Each session is a process forked from one that has imported the program, which saves its seconds.
Prints a line a kill and writes `results/kill_campaign.json`.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from cifar_jax import checkpoint, command, experiment, main, provenance, train, workdir
from cifar_jax.report import runs

ROOT = pathlib.Path(__file__).parent.parent
RESULT = ROOT / 'benchmarks' / 'results' / 'kill_campaign.json'
OVERRIDES = {
  'data.validation_size': 100,
  'data.images_per_class': 20,
  'train.batch_size': 20,
  'train.log_every_steps': 5,
  'checkpoint.every_steps': 4,
  'sharding.num_devices': 1,
}
FOLDER = 'cifar-10-batches-bin'
TRAIN_IMAGES, TEST_IMAGES = 1000, 200  # of each file, so that the last evaluation is short
RECORD_BYTES = 1 + 32 * 32 * 3
MOMENTS = ('start', 'data', 'compilation', 'step', 'evaluation', 'checkpoint')


class Session:
  """One process of the command, and what can be seen of it from outside."""

  def __init__(self, run: pathlib.Path, data: pathlib.Path, ahead: int = 0) -> None:
    """Starts it; the moment of a step comes after `ahead` records more."""
    self.run, self.data, self.ahead = run, data, ahead
    self.told = run.parent / f'{run.name}.stderr'
    self.records = self._num_records()
    self.pid = os.fork()
    if self.pid == 0:
      self._become_the_command()

  def _become_the_command(self) -> None:
    file = os.open(self.told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 2)
    sys.argv = ['main', '--workdir', str(self.run)]
    sys.argv += ['--config', f'{ROOT / "configs/resnet.py"}:depth=8,epochs=6,schedule=cosine']
    sys.argv += [f'--config.{key}={value}' for key, value in OVERRIDES.items()]
    sys.argv += [f'--config.data.data_dir={self.data}']
    try:
      command.run(main.main)
    except SystemExit as leave:
      os._exit(int(leave.code or 0))
    except BaseException as error:
      os.write(2, f'Traceback: {error!r}'.encode())
    os._exit(99)

  def _num_records(self) -> int:
    return len(runs.read_records(self.run)) if (self.run / 'metrics.jsonl').exists() else 0

  def reached(self, moment: str) -> bool:
    """Whether a moment has come."""
    if moment == 'data':
      return any((self.data / 'cifar_jax_cache').glob('.cifar10-*'))
    if moment == 'compilation':
      return any(word in self.told.read_text() for word in (' parameters; ', 'resuming at step'))
    if moment == 'step':
      return self._num_records() > self.records + self.ahead
    if moment == 'evaluation':
      latest = (runs.read_records(self.run) or [{}])[-1] if self._num_records() else {}
      return latest.get('split') == 'train' and latest['step'] % 10 == 0
    if moment == 'checkpoint':
      return any((self.run / 'checkpoints').glob('*.orbax-checkpoint-tmp*'))
    return True

  def wait(self, until: Callable[[], bool]) -> int | None:
    """Its exit status, or None where `until` came true first."""
    while True:
      ended, status = os.waitpid(self.pid, os.WNOHANG)
      if ended:
        return os.waitstatus_to_exitcode(status)
      if self.told.exists() and until():
        return None
      time.sleep(0.0005)

  def kill(self) -> None:
    """SIGKILL: nothing of it runs any more."""
    os.kill(self.pid, signal.SIGKILL)
    os.waitpid(self.pid, 0)


def harass(
  folder: pathlib.Path, data: pathlib.Path, kills: int, seed: int, deadline: float
) -> dict[str, Any]:
  """Runs and kills until there were so many; gives the counts by moment, and the runs' number."""
  draw = random.Random(seed)
  pauses = {'start': 4.0, 'data': 0.2, 'compilation': 4.0, 'step': 0.3, 'checkpoint': 0.05}
  counts: collections.Counter[str] = collections.Counter()
  run, number = folder / 'run0', 0
  while counts.total() < kills and time.monotonic() < deadline:
    moment = MOMENTS[counts.total() % len(MOMENTS)]
    if moment == 'data':
      shutil.rmtree(data / 'cifar_jax_cache', ignore_errors=True)
    session = Session(run, data, draw.randrange(6))
    status = session.wait(lambda: session.reached(moment))  # noqa: B023 called at once
    if status is None:
      end = time.monotonic() + draw.uniform(0.0, pauses.get(moment, 0.02))
      status = session.wait(lambda: time.monotonic() > end)  # noqa: B023
    if status is None:
      session.kill()
      counts[moment] += 1
      print(f'kill {counts.total()}: {moment}, run {number}, record {session.records}', flush=True)
    elif status == 0:
      number += 1
      run = folder / f'run{number}'
    else:
      raise SystemExit(f'run {number} ended by itself with {status}: {session.told.read_text()}')
  finish(run, data)
  return {'kills': dict(counts), 'runs': number + 1}


def copy_images(source: pathlib.Path, target: pathlib.Path) -> None:
  """The first images of each of the official binary files."""
  target.mkdir(parents=True)
  for path in source.glob('*.bin'):
    count = TEST_IMAGES if path.name == 'test_batch.bin' else TRAIN_IMAGES
    with path.open('rb') as file:
      (target / path.name).write_bytes(file.read(count * RECORD_BYTES))


def finish(run: pathlib.Path, data: pathlib.Path) -> None:
  """Lets a run come to its end."""
  session = Session(run, data)
  status = session.wait(lambda: False)
  if status:
    raise SystemExit(f'{run} ended with {status}: {session.told.read_text()}')


def outcome(run: pathlib.Path) -> tuple[list[bytes], list[dict[str, Any]], Any]:
  """The last state as bytes, the records without their speeds, and the result's metrics."""
  parts = experiment.build(workdir.read_config(run))
  folder = run / workdir.CHECKPOINTS
  with checkpoint.Checkpoints(folder, parts.checkpoints, read_only=True) as checkpoints:
    state, _ = checkpoints.restore(parts.num_steps, experiment.abstract_state(parts))
  records = [
    {name: value for name, value in record.items() if name != 'images_per_second'}
    for record in runs.read_records(run)
  ]
  result = json.loads((run / train.RESULT).read_text())
  arrays = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]
  return arrays, records, (result['test'], result['best'])


def campaign() -> None:
  """Reads the command line, harasses, compares, and writes what came out."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data-dir', type=pathlib.Path, required=True, help=f'with {FOLDER}')
  parser.add_argument('--kills', type=int, default=100)
  parser.add_argument('--seed', type=int, default=0, help='of the moments')
  parser.add_argument('--minutes', type=float, default=1440.0, help='no kill is after so many')
  arguments = parser.parse_args()
  began = time.monotonic()
  deadline = began + 60 * arguments.minutes
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    data = folder / 'data'  # of its own, so that the preparation can be killed too
    copy_images(arguments.data_dir / FOLDER, data / FOLDER)
    jax.config.update('jax_compilation_cache_dir', str(folder / 'compiled'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
    finish(folder / 'undisturbed', data)
    told = harass(folder, data, arguments.kills, arguments.seed, deadline)
    expected = outcome(folder / 'undisturbed')
    equal = [outcome(folder / f'run{i}') == expected for i in range(told['runs'])]
  origin = provenance.describe(1)
  words = ['DATA' if word == str(arguments.data_dir) else word for word in sys.argv[1:]]
  origin['command'] = shlex.join(['python', 'benchmarks/kill_campaign.py', *words])
  told |= {'runs_equal_to_the_bit': sum(equal), 'records': len(expected[1])}
  told |= {'overrides': OVERRIDES, 'seconds': round(time.monotonic() - began)}
  print(json.dumps(told))
  if not all(equal):
    raise SystemExit('a run came out otherwise than the undisturbed one')
  RESULT.write_text(json.dumps(origin | told, indent=2) + '\n')


if __name__ == '__main__':
  campaign()
