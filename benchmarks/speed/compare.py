"""One row: a net in one dtype, both sides started, checked, raced and looked into."""

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
from cifar_jax.errors import InputError
from cifar_jax.progress import logger

# Of `torch_training.VARIANTS`; the fastest is raced.
VARIANTS = {'cpu': ('eager', 'compiled'), 'gpu': ('eager', 'compiled', 'compiled, CUDA graphs')}
INPUT_STEPS = 100
COMMAND_SECONDS = 600.0  # that a command may take to its first step
CHOICE, EVALUATION = 0.25, 0.25  # shares of the seconds
NUMBERS, REPEATS = 40_000_000, 7  # parameters of the checkpoint, and how often it is written


@dataclasses.dataclass(frozen=True)
class Machine:
  """What all rows share.

  Attributes:
    device: `cpu` or `gpu`.
    threads: of PyTorch; ours takes the processors that it is allowed, which are as many.
    torch_python: the interpreter that has PyTorch.
    data_dir: of our side.
    export: the same data for PyTorch, as `ours.Side.export` leaves them.
    rounds: of each race.
    seconds: for a row's races.
    compile_seconds: that PyTorch's compiler may take for a net.
  """

  device: str
  threads: int
  torch_python: str
  data_dir: str
  export: str
  rounds: int
  seconds: float
  compile_seconds: float


def check_counts(net: str, ours: int, theirs: int) -> None:
  """Raises InputError where the two sides would race with different nets."""
  if ours != theirs:
    raise InputError(
      f'{net} has {ours:,} parameters here and {theirs:,} in PyTorch; mend '
      'benchmarks/speed/torch_nets.py'
    )


class Comparison:
  """The workers of one row and what they are started with; to be used in a `with` block."""

  def __init__(self, machine: Machine, net: str, dtype: str, batch: int) -> None:
    """Starts nothing yet."""
    self.machine, self.net, self.batch = machine, net, batch
    self.config = NETS[net].config
    self.overrides = overrides(dtype, batch, machine.data_dir)
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
    """Makes an empty folder for what is compiled."""
    folder = tempfile.TemporaryDirectory(prefix='speed_')
    self.cache = pathlib.Path(self._stack.enter_context(folder))
    return self

  def __exit__(self, *_: Any) -> None:
    """Ends all workers, and removes what they compiled."""
    self._stack.close()

  def _start(self, side: str, settings: dict[str, Any]) -> tuple[Worker, dict[str, Any]]:
    """A worker, and what it says of its net."""
    python = sys.executable if side == 'ours' else self.machine.torch_python
    worker = workers.side(side, python, settings, self.machine.device, self.cache / side)
    self._stack.enter_context(worker)
    return worker, worker.ask('build')

  def start_ours(self, kind: str) -> tuple[Worker, int]:
    """Our worker after its first step, timed as `kind` (cold, cached); its number of parameters."""
    settings = {'config': self.config, 'overrides': self.overrides}
    worker, built = self._start('ours', settings)
    first = worker.ask('train', steps=1)
    self.starts['ours'][kind] = round(built['waited'] + first['waited'], 2)
    self.starts['ours'][f'{kind}_compile'] = round(first['seconds'], 2)
    return worker, built['num_params']

  def start_torch(self, num_params: int) -> tuple[Worker, str, dict[str, Any]]:
    """PyTorch's fastest worker, its variant, and seconds a step of each, or why there are none.

    Each is held against the fastest before it in turns: minutes later the machine may be slower.

    Raises:
      InputError: the net is not the same.
      WorkerError: PyTorch does not run it at all.
    """
    variant, *others = VARIANTS[self.machine.device]
    worker, built = self._start('torch', self.settings | {'variant': variant})
    check_counts(self.net, num_params, built['num_params'])
    starts = _first_step(worker, built, workers.LONGEST)
    tried: dict[str, Any] = {}
    for other in others:
      rival, built = self._start('torch', self.settings | {'variant': other})
      try:
        rival_starts = _first_step(rival, built, self.machine.compile_seconds)
        times, _ = self._rounds(worker, rival, 'train', self.machine.seconds * CHOICE)
      except WorkerError as error:  # there may be no compiler
        tried[other] = str(error)
        rival.close()
        continue
      for name, seconds in zip((variant, other), times, strict=True):
        tried[name] = round(statistics.median(seconds), 6)
      if ratios.race(*times, self.batch)['ratio']['median'] < 1:
        worker, rival = rival, worker
        variant, starts = other, rival_starts
      rival.close()
    self.starts['torch'] = starts
    if variant != 'eager':  # once more, with what was compiled
      worker.close()
      worker, built = self._start('torch', self.settings | {'variant': variant})
      first = worker.ask('train', steps=1)
      self.starts['torch']['cached'] = round(built['waited'] + first['waited'], 2)
    return worker, variant, tried

  def race(self, ours: Worker, theirs: Worker, do: str, seconds: float) -> dict[str, Any]:
    """What `ratios.race` says of rounds of both in turn, and the steps of a round."""
    times, steps = self._rounds(ours, theirs, do, seconds)
    return ratios.race(*times, self.batch) | {'steps': steps}

  def _rounds(
    self, first: Worker, second: Worker, do: str, seconds: float
  ) -> tuple[tuple[list[float], list[float]], int]:
    """Seconds a step in rounds of both in turn, after two warm-ups each; the steps of a round."""
    sides = (first, second)
    warm = [[side.ask(do, steps=1)['seconds'] for _ in range(2)] for side in sides]
    rounds, steps = ratios.plan(warm[0][1], warm[1][1], self.machine.rounds, seconds)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
      for side, seconds_a_step in zip(sides, times, strict=True):
        seconds_a_step.append(side.ask(do, steps=steps)['seconds'] / steps)
    return times, steps

  def commands(self, variant: str) -> dict[str, float | None]:
    """Seconds from a command to its first step, with what was compiled before."""
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
      took = workers.seconds_until(command, environment, 'step 1/', COMMAND_SECONDS)
      result[side] = took and round(took, 2)
    return result


def _first_step(worker: Worker, built: dict[str, Any], limit: float) -> dict[str, float]:
  """How long it and all before it took; it has `limit` seconds."""
  first = worker.ask('train', limit, steps=1)
  cold = round(built['waited'] + first['waited'], 2)
  return {'cold': cold, 'cold_compile': round(first['seconds'], 2)}


def _main(config: str) -> list[str]:
  return [sys.executable, '-m', 'cifar_jax.main', '--config', config]


def row(machine: Machine, net: str, dtype: str, batch: int) -> dict[str, Any]:
  """Measures one net in one dtype.

  Raises:
    InputError: the two sides have not the same net.
    WorkerError: a worker failed.
  """
  with Comparison(machine, net, dtype, batch) as comparison:
    cold, num_params = comparison.start_ours('cold')
    cold.close()
    theirs, variant, tried = comparison.start_torch(num_params)
    ours, _ = comparison.start_ours('cached')
    train = comparison.race(ours, theirs, 'train', machine.seconds * (1 - EVALUATION))
    logger.info('%s %s: training %.2f', net, dtype, train['ratio']['median'])
    memory = {'ours': ours.ask('memory'), 'torch': theirs.ask('memory')}
    evaluate = comparison.race(ours, theirs, 'evaluate', machine.seconds * EVALUATION)
    share = {
      side: worker.ask('input', steps=INPUT_STEPS)['seconds'] * train[side]['median'] / batch
      for side, worker in (('ours', ours), ('torch', theirs))
    }
    ours.close()
    theirs.close()
    return {
      'net': net,
      'dtype': dtype,
      'batch': batch,
      'num_params': num_params,
      'torch_variant': variant,
      'torch_variants_step_seconds': tried,
      'train': train,
      'evaluate': evaluate,
      'input_share': {side: round(part, 5) for side, part in share.items()},
      'first_step_seconds': comparison.starts,
      'command_to_first_step_seconds': comparison.commands(variant),
      'memory': {
        side: {key: value for key, value in told.items() if key != 'waited'}
        for side, told in memory.items()
      },
    }


def checkpoint(machine: Machine) -> dict[str, Any]:
  """How long a checkpoint of `NUMBERS` parameters and their momenta keeps the training thread."""
  result: dict[str, Any] = {'parameters': NUMBERS}
  with tempfile.TemporaryDirectory(prefix='speed_') as cache:
    for side, python in (('ours', sys.executable), ('torch', machine.torch_python)):
      folder = pathlib.Path(cache)
      with workers.side(side, python, {'pause': True}, machine.device, folder) as worker:
        told = worker.ask('pause', numbers=NUMBERS, repeats=REPEATS)
      result[side] = ratios.spread(told['pauses'])
  return result
