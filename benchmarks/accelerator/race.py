"""Stage 3: training and evaluation steps against PyTorch at its best, net by net in bfloat16.

Both sides are those of `benchmarks/speed`. All workers of all nets start and compile at the same
time, because that takes minutes; then each net is raced alone. So both sides choose their kernels
while other workers use the card. The fastest of PyTorch's variants is raced.
"""

import concurrent.futures
import contextlib
import functools
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.accelerator.stage import Stage, reason
from benchmarks.speed import workers
from benchmarks.speed.compare import GROUPS, Comparison, Machine, check_counts
from benchmarks.speed.nets import BATCH
from benchmarks.speed.workers import Worker, WorkerError
from cifar_jax.errors import InputError

NETS = (
  *('resnet20', 'wrn_28_10', 'wrn_16_4', 'pyramidnet110_a48', 'shake_shake_26_2x32d'),
  'densenet_bc_100_12',
)
STARTING = 0.55  # share of the stage's time in which the workers must have compiled
ROUNDS = 7
EVALUATION = 0.25  # share of a race's time for evaluation
COMPILE_THREADS = 4
ALONE = 'ours'
# PyTorch's variants by device. On a GPU the second is the fastest where it compiles and can be
# recorded in time; the first needs no compiler, so that a race is never without PyTorch.
RACED = {'cpu': ('eager',), 'gpu': ('eager', 'compiled, a step as one CUDA graph')}


class Race(Comparison):
  """The workers of a net, which start before the race begins."""

  def start_side(self, side: str, settings: dict[str, Any]) -> tuple[Worker, Any]:
    """Starts a worker, and takes its first steps of training and of evaluation.

    Args:
      side: `ours` or `torch`.
      settings: of the side.

    Returns:
      The worker, and its number of parameters with the seconds of its start.
    """
    end = time.monotonic() + self.machine.compile_seconds
    worker, built = self._start(side, settings)
    group = GROUPS[self.machine.device]
    first = worker.ask('train', max(1.0, end - time.monotonic()), steps=group)
    start = round(built['waited'] + first['waited'], 1)
    # A worker that is late is closed: where evaluation would be, training is raced alone.
    left = end - time.monotonic()
    if evaluates := left > first['waited'] / 2:
      worker.ask('evaluate', left, steps=1)
    told = {'num_params': built['num_params'], 'first_step_seconds': start}
    return worker, told | {'evaluates': evaluates}

  def __enter__(self) -> 'Race':
    """Makes an empty folder for compiled programs."""
    super().__enter__()
    return self

  def sides(self) -> dict[str, tuple[str, dict[str, Any]]]:
    """Returns side and settings by name: ours, and each variant of PyTorch's."""
    ours: dict[str, Any] = {'config': self.config, 'overrides': self.overrides}
    found = {ALONE: ('ours', ours)}
    if has_torch(self.machine.torch_python):
      for variant in RACED[self.machine.device]:
        found[variant] = ('torch', self.settings | {'variant': variant})
    return found

  def fastest(self, torch: dict[str, Worker], steps: int) -> tuple[str, dict[str, float]]:
    """Returns the fastest variant, and the seconds per step of each."""
    seconds = {
      variant: worker.ask('train', steps=steps)['seconds'] / steps
      for variant, worker in torch.items()
    }
    return min(seconds, key=lambda variant: seconds[variant]), seconds


@functools.cache
def has_torch(python: str) -> bool:
  """Returns whether an interpreter has PyTorch."""
  done = subprocess.run([python, '-c', 'import torch'], stderr=subprocess.DEVNULL, check=False)
  return done.returncode == 0


def measure(stage: Stage) -> None:
  """Starts all workers, and adds a row per net."""
  device = 'cpu' if stage.read('card').get('platform') == 'cpu' else 'gpu'
  # PyTorch computes bfloat16 on CPUs in slow loops.
  nets, batch, dtype = (NETS[:1], 8, 'float32') if stage.tiny else (NETS, BATCH, 'bfloat16')
  export = stage.scratch / 'export'
  export.mkdir(exist_ok=True)
  left = stage.seconds_left()
  machine = Machine(
    device=device,
    threads=len(os.sched_getaffinity(0)),
    torch_python=stage.torch_python,
    data_dir=str(stage.data_dir),
    export=str(export),
    rounds=3 if stage.tiny else ROUNDS,
    seconds=5.0 if stage.tiny else 0.8 * (1 - STARTING) * left / len(nets),
    compile_seconds=STARTING * left,
  )
  _export(machine)
  # Each of PyTorch's many compilers would otherwise start a process for each core.
  os.environ.setdefault('TORCHINDUCTOR_COMPILE_THREADS', str(COMPILE_THREADS))
  stage.describe(dtype=dtype)
  with contextlib.ExitStack() as stack:
    races = {net: stack.enter_context(Race(machine, net, dtype, batch)) for net in nets}
    started, failed = _start_all(races)
    for net, race in races.items():
      stage.add(_row(race, started[net], failed[net]))


def _export(machine: Machine) -> None:
  """Writes the data for PyTorch."""
  with Comparison(machine, NETS[0], 'float32', BATCH) as comparison:
    settings = {'config': comparison.config, 'overrides': comparison.overrides}
    cache = pathlib.Path(comparison.cache)
    with workers.start_side('ours', sys.executable, settings, machine.device, cache) as worker:
      worker.ask('export', folder=machine.export)


def _start_all(races: dict[str, Race]) -> tuple[dict[str, Any], dict[str, dict[str, str]]]:
  """Starts all workers at the same time.

  Returns:
    By net and name of a side: the worker with what it told; and the reasons of those that failed.
  """
  jobs = {(net, name): side for net, race in races.items() for name, side in race.sides().items()}
  started: dict[str, Any] = {net: {} for net in races}
  failed: dict[str, dict[str, str]] = {net: {} for net in races}
  with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
    futures = {
      pool.submit(races[net].start_side, side, settings): (net, name)
      for (net, name), (side, settings) in jobs.items()
    }
    for future in concurrent.futures.as_completed(futures):
      net, name = futures[future]
      try:
        started[net][name] = future.result()
      except (OSError, WorkerError) as error:
        failed[net][name] = reason(error)
  return started, failed


def _row(race: Race, started: dict[str, Any], failed: dict[str, str]) -> dict[str, Any]:
  """Races a net; returns its row."""
  row: dict[str, Any] = {'net': race.net, 'batch': race.batch, 'failed': failed}
  torch = {name: worker for name, (worker, _) in started.items() if name != ALONE}
  row['starts'] = {name: told for name, (_, told) in started.items()}
  try:
    if ALONE not in started:
      return row
    ours, told = started[ALONE]
    row['ours_step_seconds'] = _seconds_alone(race, ours)
    if not torch:
      return row
    for name in torch:
      check_counts(race.net, told['num_params'], started[name][1]['num_params'])
    variant, seconds = race.fastest(torch, 2 * GROUPS[race.machine.device])
    row |= {'torch_variant': variant, 'torch_variants_step_seconds': seconds}
    limit = race.machine.seconds
    row['train'] = race.race(ours, torch[variant], 'train', limit * (1 - EVALUATION))
    if told['evaluates'] and started[variant][1]['evaluates']:
      row['evaluate'] = race.race(ours, torch[variant], 'evaluate', limit * EVALUATION)
  except (InputError, WorkerError) as error:
    row['error'] = reason(error)
  finally:
    for worker, _ in started.values():
      worker.close()
  return row


def _seconds_alone(race: Race, ours: Worker) -> float:
  """Returns our median seconds per step, while nothing else runs."""
  steps = GROUPS[race.machine.device]
  return statistics.median(
    ours.ask('train', steps=steps)['seconds'] / steps for _ in range(race.machine.rounds)
  )
