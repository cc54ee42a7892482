"""Kills a run on real images a hundred times, and compares its result with an undisturbed run.

  python -m benchmarks.kill_campaign --data-dir DIR --kills 100

Sessions of the command are killed with SIGKILL: as they start, while the data are first prepared,
while the step compiles, between steps, during an evaluation, while a checkpoint is written, and
after the last step, while the run is tested, drawn and reported. The same command then resumes the
run. When a run reaches its end, the next one begins. In the end each
run must have the parameters of an undisturbed run, to the bit, and each of its records once.

Each session is forked from a process that has imported the program, which saves the seconds of the
imports. Prints a line per kill and writes `results/kill_campaign.json`.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
import numpy as np

from benchmarks import result_file
from cifar_jax import cli, main
from cifar_jax.experiment.experiment import build
from cifar_jax.experiment.state import abstract_state
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.results import read_records
from cifar_jax.runs.workdir import CHECKPOINTS, read_config
from cifar_jax.training.session import RESULT as RESULT_FILE

RESULT = result_file.FOLDER / 'kill_campaign.json'
CONFIG = result_file.ROOT / 'configs' / 'resnet.py'
OVERRIDES = {
  'data.validation_size': 100,
  'data.images_per_class': 20,
  'train.batch_size': 20,
  'train.log_every_steps': 5,
  'checkpoint.every_steps': 4,
  'sharding.num_devices': 1,
}
FOLDER = 'cifar-10-batches-bin'
TRAIN_IMAGES, TEST_IMAGES = 1000, 200  # per file; few, so that the last evaluation is short
RECORD_BYTES = 1 + 32 * 32 * 3
MOMENTS = ('start', 'data', 'compilation', 'step', 'evaluation', 'checkpoint', 'end')
FILES_AT_THE_END = (
  'result.json',
  'report.html',
  'plots/learning_curves.png',
  'evaluation/test_last.npz',
  'evaluation/test_last_confusion_matrix.png',
  'evaluation/test_last_mistakes.png',
)


class Session:
  """One process of the command, observed from outside."""

  def __init__(self, run: pathlib.Path, data: pathlib.Path, ahead: int = 0) -> None:
    """Starts the process.

    Args:
      run: workdir.
      data: directory of the data.
      ahead: number of new records after which the moment `step` has come.
    """
    self.run, self.data, self.ahead = run, data, ahead
    self.stderr = run.parent / f'{run.name}.stderr'
    self.records = self._num_records()
    self.pid = os.fork()
    if self.pid == 0:
      self._run_command()

  def _run_command(self) -> NoReturn:
    """Runs the command in this process, and ends the process with its exit status."""
    file = os.open(self.stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 2)
    sys.argv = ['main', '--workdir', str(self.run)]
    sys.argv += ['--config', f'{CONFIG}:depth=8,epochs=6,schedule=cosine']
    sys.argv += [f'--config.{key}={value}' for key, value in OVERRIDES.items()]
    sys.argv += [f'--config.data.data_dir={self.data}']
    try:
      cli.run(main.main)
    except SystemExit as ending:
      os._exit(int(ending.code or 0))
    except BaseException as error:
      os.write(2, f'Traceback: {error!r}'.encode())
    os._exit(99)

  def _num_records(self) -> int:
    return len(read_records(self.run)) if (self.run / 'metrics.jsonl').exists() else 0

  def reached(self, moment: str) -> bool:
    """Returns whether a moment of `MOMENTS` has come."""
    if moment == 'data':
      return any((self.data / 'cifar_jax_cache').glob('.cifar10-*'))
    if moment == 'compilation':
      log = self.stderr.read_text()
      return any(words in log for words in (' parameters; ', 'resuming at step'))
    if moment == 'step':
      return self._num_records() > self.records + self.ahead
    if moment == 'evaluation':
      latest = (read_records(self.run) or [{}])[-1] if self._num_records() else {}
      return latest.get('split') == 'train' and latest['step'] % 10 == 0
    if moment == 'end':
      return 'epoch 6 of 6' in self.stderr.read_text()
    if moment == 'checkpoint':
      return any((self.run / 'checkpoints').glob('*.orbax-checkpoint-tmp*'))
    return True

  def wait(self, until: Callable[[], bool]) -> int | None:
    """Waits for the end of the process or for `until`; returns the exit status, or None."""
    while True:
      ended, status = os.waitpid(self.pid, os.WNOHANG)
      if ended:
        return os.waitstatus_to_exitcode(status)
      if self.stderr.exists() and until():
        return None
      time.sleep(0.0005)

  def kill(self) -> None:
    """Kills the process with SIGKILL, and waits until it is gone."""
    os.kill(self.pid, signal.SIGKILL)
    os.waitpid(self.pid, 0)


def kill_sessions(
  folder: pathlib.Path,
  data: pathlib.Path,
  kills: int,
  seed: int,
  deadline: float,
  moments: Sequence[str],
) -> dict[str, Any]:
  """Starts sessions and kills them; returns the kills by moment, and the number of runs.

  Args:
    folder: of the workdirs `run0`, `run1`, ...
    data: directory of the data.
    kills: number of kills.
    seed: of the moments within a phase of a session.
    deadline: time of `time.monotonic` after which there are no more kills.
    moments: names of `MOMENTS`, in turn.
  """
  generator = random.Random(seed)
  pauses = {'start': 4.0, 'data': 0.2, 'compilation': 4.0, 'step': 0.3, 'checkpoint': 0.05}
  pauses['end'] = 6.0
  counts: collections.Counter[str] = collections.Counter()
  run, number = folder / 'run0', 0
  while counts.total() < kills and time.monotonic() < deadline:
    moment = moments[counts.total() % len(moments)]
    if moment == 'data':
      shutil.rmtree(data / 'cifar_jax_cache', ignore_errors=True)
    session = Session(run, data, generator.randrange(6))
    status = session.wait(lambda: session.reached(moment))  # noqa: B023 (called at once)
    if status is None:
      end = time.monotonic() + generator.uniform(0.0, pauses.get(moment, 0.02))
      status = session.wait(lambda: time.monotonic() > end)  # noqa: B023 (called at once)
    if status is None:
      session.kill()
      counts[moment] += 1
      print(f'kill {counts.total()}: {moment}, run {number}, record {session.records}', flush=True)
    elif status == 0:
      number += 1
      run = folder / f'run{number}'
    else:
      raise SystemExit(f'run {number} ended by itself with {status}: {session.stderr.read_text()}')
  finish(run, data)
  return {'kills': dict(counts), 'runs': number + 1}


def copy_images(source: pathlib.Path, target: pathlib.Path) -> None:
  """Copies the first images of each of the official binary files."""
  target.mkdir(parents=True)
  for path in source.glob('*.bin'):
    count = TEST_IMAGES if path.name == 'test_batch.bin' else TRAIN_IMAGES
    with path.open('rb') as file:
      (target / path.name).write_bytes(file.read(count * RECORD_BYTES))


def finish(run: pathlib.Path, data: pathlib.Path) -> None:
  """Lets a run reach its end; exits if the run fails."""
  session = Session(run, data)
  status = session.wait(lambda: False)
  if status:
    raise SystemExit(f'{run} ended with {status}: {session.stderr.read_text()}')


def outcome(run: pathlib.Path) -> tuple[list[bytes], list[dict[str, Any]], Any]:
  """Returns the last state as bytes, the records without speeds, and the result's metrics."""
  experiment = build(read_config(run))
  folder = run / CHECKPOINTS
  with Checkpoints(folder, experiment.checkpoint_settings, read_only=True) as checkpoints:
    state, _ = checkpoints.restore(experiment.num_steps, abstract_state(experiment))
  records = [
    {name: value for name, value in record.items() if name != 'images_per_second'}
    for record in read_records(run)
  ]
  result = json.loads((run / RESULT_FILE).read_text())
  arrays = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]
  return arrays, records, (result['test'], result['best'])


def campaign() -> None:
  """Reads the command line, kills, compares, and writes the result."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data-dir', type=pathlib.Path, required=True, help=f'with {FOLDER}')
  parser.add_argument('--kills', type=int, default=100)
  parser.add_argument('--seed', type=int, default=0, help='of the moments')
  parser.add_argument('--moments', nargs='+', choices=MOMENTS, default=MOMENTS)
  parser.add_argument('--output', type=pathlib.Path, default=RESULT)
  parser.add_argument('--minutes', type=float, default=1440.0, help='no kill comes later')
  parser.add_argument(
    '--deterministic', action='store_true', help='for GPUs, which otherwise give other bits'
  )
  arguments = parser.parse_args()
  if arguments.deterministic:
    OVERRIDES['train.deterministic'] = True
  start = time.monotonic()
  deadline = start + 60 * arguments.minutes
  with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    data = folder / 'data'  # a copy, so that the preparation of the data can be killed too
    copy_images(arguments.data_dir / FOLDER, data / FOLDER)
    jax.config.update('jax_compilation_cache_dir', str(folder / 'compiled'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
    finish(folder / 'undisturbed', data)
    result = kill_sessions(
      folder, data, arguments.kills, arguments.seed, deadline, arguments.moments
    )
    expected = outcome(folder / 'undisturbed')
    for name in FILES_AT_THE_END:
      if missing := [
        run for run in range(result['runs']) if not (folder / f'run{run}' / name).exists()
      ]:
        raise SystemExit(f'{name} is missing in runs {missing}')
    equal = [outcome(folder / f'run{i}') == expected for i in range(result['runs'])]
  origin = result_file.origin('kill_campaign', {str(arguments.data_dir): 'DATA'})
  result |= {'runs_equal_to_the_bit': sum(equal), 'records': len(expected[1])}
  result |= {'overrides': OVERRIDES, 'seconds': round(time.monotonic() - start)}
  print(json.dumps(result))
  if not all(equal):
    raise SystemExit('the result of a run differs from that of the undisturbed one')
  result_file.write(arguments.output, origin | result)


if __name__ == '__main__':
  campaign()
