"""Starts both sides with one net in one dtype, checks that the nets agree, and races them."""

import contextlib
import dataclasses
import json
import pathlib
import statistics
import sys
import tempfile
from typing import Any

from benchmarks.speed import ratios, workers
from benchmarks.speed.nets import NETS, overrides
from benchmarks.speed.workers import Worker, WorkerError
from cifar_jax.config.training import STEPS_PER_DISPATCH_ON_ACCELERATORS
from cifar_jax.errors import InputError

# Variants of `torch_training.VARIANTS`, of which the fastest is raced.
VARIANTS = {
  'cpu': ('eager', 'compiled'),
  'gpu': ('eager', 'compiled', 'compiled, CUDA graphs', 'compiled, a step as one CUDA graph'),
}
COMMAND_SECONDS = 600.0  # limit for a command's first step
# Steps of a request, of which our side takes as many in one dispatch.
GROUPS = {'cpu': 1, 'gpu': STEPS_PER_DISPATCH_ON_ACCELERATORS}
CHOICE = 0.25  # share of a row's seconds for the choice of PyTorch's variant


@dataclasses.dataclass(frozen=True)
class Machine:
  """The machine and the settings that all rows share.

  Attributes:
    device: `cpu` or `gpu`.
    threads: number of PyTorch's threads; our side uses all processors of the process, which is the
      same number.
    torch_python: the interpreter that has PyTorch.
    data_dir: directory of the data for our side.
    export: folder of the same data for PyTorch, which `JaxSide.export` writes.
    rounds: number of rounds of each race.
    seconds: time of a row's races.
    compile_seconds: limit for PyTorch's compiler, per net.
  """

  device: str
  threads: int
  torch_python: str
  data_dir: str
  export: str
  rounds: int
  seconds: float
  compile_seconds: float


def check_counts(net: str, ours: int, torch: int) -> None:
  """Raises InputError if the two sides have different numbers of parameters."""
  if ours != torch:
    raise InputError(
      f'{net} has {ours:,} parameters here and {torch:,} in PyTorch; correct '
      'benchmarks/torch_reference'
    )


class Comparison:
  """The workers of one row and their settings, for a `with` block, which ends the workers."""

  def __init__(self, machine: Machine, net: str, dtype: str, batch: int) -> None:
    """Prepares the settings; starts no worker."""
    self.machine, self.net, self.batch = machine, net, batch
    self.config = NETS[net].config
    self.overrides = overrides(net, dtype, batch, machine.data_dir)
    self.settings = {
      'net': net,
      'dtype': dtype,
      'batch': batch,
      'device': machine.device,
      'threads': machine.threads,
      'data': machine.export,
    }
    self.starts: dict[str, dict[str, float]] = {'ours': {}, 'torch': {}}
    self._stack = contextlib.ExitStack()

  def __enter__(self) -> 'Comparison':
    """Makes an empty folder for compiled programs."""
    folder = tempfile.TemporaryDirectory(prefix='speed_')
    self.cache = pathlib.Path(self._stack.enter_context(folder))
    return self

  def __exit__(self, *_: Any) -> None:
    """Ends all workers, and removes the compiled programs."""
    self._stack.close()

  def _start(self, side: str, settings: dict[str, Any]) -> tuple[Worker, dict[str, Any]]:
    """Starts a worker; returns it with its answer to `build`."""
    python = sys.executable if side == 'ours' else self.machine.torch_python
    worker = workers.start_side(side, python, settings, self.machine.device, self.cache / side)
    self._stack.enter_context(worker)
    return worker, worker.ask('build')

  def start_ours(self, kind: str) -> tuple[Worker, int]:
    """Starts our worker, and takes its first step.

    Args:
      kind: name of the measured time, `cold` or `cached`.

    Returns:
      The worker and its number of parameters.
    """
    settings = {'config': self.config, 'overrides': self.overrides}
    worker, built = self._start('ours', settings)
    first = worker.ask('train', steps=1)
    self.starts['ours'][kind] = round(built['waited'] + first['waited'], 2)
    self.starts['ours'][f'{kind}_compile'] = round(first['seconds'], 2)
    return worker, built['num_params']

  def start_torch(self, num_params: int) -> tuple[Worker, str, dict[str, Any]]:
    """Starts PyTorch's fastest variant.

    Each variant is compared with the fastest one before it in alternating rounds, because minutes
    later the machine may be slower.

    Args:
      num_params: number of parameters of our net.

    Returns:
      The worker, its variant, and by variant the seconds per step or the reason of a failure.

    Raises:
      InputError: the nets differ.
      WorkerError: PyTorch does not run the net at all.
    """
    variant, *rivals = VARIANTS[self.machine.device]
    worker, built = self._start('torch', self.settings | {'variant': variant})
    check_counts(self.net, num_params, built['num_params'])
    starts = _first_step(worker, built, workers.TIMEOUT)
    tried: dict[str, Any] = {}
    for rival_variant in rivals:
      rival, built = self._start('torch', self.settings | {'variant': rival_variant})
      try:
        rival_starts = _first_step(rival, built, self.machine.compile_seconds)
        times, _ = self._rounds(worker, rival, 'train', self.machine.seconds * CHOICE)
      except WorkerError as error:  # there may be no compiler
        tried[rival_variant] = str(error)
        rival.close()
        continue
      for name, seconds in zip((variant, rival_variant), times, strict=True):
        tried[name] = round(statistics.median(seconds), 6)
      if ratios.race(*times, self.batch)['ratio']['median'] < 1:
        worker, rival = rival, worker
        variant, starts = rival_variant, rival_starts
      rival.close()
    self.starts['torch'] = starts
    if variant != 'eager':  # starts once more, with the compiled program
      worker.close()
      worker, built = self._start('torch', self.settings | {'variant': variant})
      first = worker.ask('train', steps=1)
      self.starts['torch']['cached'] = round(built['waited'] + first['waited'], 2)
    return worker, variant, tried

  def race(self, ours: Worker, torch: Worker, do: str, seconds: float) -> dict[str, Any]:
    """Races two workers; returns the result of `ratios.race` and the number of steps per round.

    Args:
      ours: our worker.
      torch: PyTorch's worker.
      do: request to race with, `train` or `evaluate`.
      seconds: time of all rounds.
    """
    times, steps = self._rounds(ours, torch, do, seconds)
    return ratios.race(*times, self.batch) | {'steps': steps}

  def _rounds(
    self, first: Worker, second: Worker, do: str, seconds: float
  ) -> tuple[tuple[list[float], list[float]], int]:
    """Runs alternating rounds of two workers, after two warm-up groups of steps each.

    Returns:
      The seconds per step of each worker in each round, and the number of steps per round.
    """
    pair, group = (first, second), GROUPS[self.machine.device]
    warm = [[worker.ask(do, steps=group)['seconds'] for _ in range(2)] for worker in pair]
    rounds, groups = ratios.plan(warm[0][1], warm[1][1], self.machine.rounds, seconds)
    steps = groups * group
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
      for worker, seconds_per_step in zip(pair, times, strict=True):
        seconds_per_step.append(worker.ask(do, steps=steps)['seconds'] / steps)
    return times, steps

  def commands(self, variant: str) -> dict[str, float | None]:
    """Returns the seconds from each side's command to its first step, with compiled programs."""
    options = [*self.overrides, '--config.train.log_every_steps=1']
    workdir = ['--workdir', str(self.cache / 'run')]
    settings = self.cache / 'settings.json'
    settings.write_text(json.dumps(self.settings | {'variant': variant}))
    module = 'benchmarks.speed.torch_training'
    commands = {
      'ours': [*_main(self.config), *options, *workdir],
      'torch': [self.machine.torch_python, '-m', module, str(settings)],
    }
    result = {}
    for side, command in commands.items():
      environment = workers.environment(side, self.machine.device, self.cache / side)
      seconds = workers.seconds_until(command, environment, 'step 1/', COMMAND_SECONDS)
      result[side] = seconds and round(seconds, 2)
    return result


def _first_step(worker: Worker, built: dict[str, Any], limit: float) -> dict[str, float]:
  """Takes a worker's first step; returns the seconds of the step and of everything up to it.

  Args:
    worker: a worker that has answered `build`.
    built: this answer.
    limit: largest number of seconds of the step.
  """
  first = worker.ask('train', limit, steps=1)
  cold = round(built['waited'] + first['waited'], 2)
  return {'cold': cold, 'cold_compile': round(first['seconds'], 2)}


def _main(config: str) -> list[str]:
  return [sys.executable, '-m', 'cifar_jax.main', '--config', config]
