"""Both sides of `benchmarks/speed`: recipe, workers, and the choice of PyTorch's variant.

The workers here are invented; neither JAX nor PyTorch is started.
"""

import sys
from typing import Any

import pytest

from benchmarks.speed import compare, nets, serve, workers
from cifar_jax import models
from cifar_jax.config import loading
from cifar_jax.config.base import base
from cifar_jax.config.command_line import override
from cifar_jax.errors import InputError
from tests.support.paths import ROOT


def test_nets_with_different_numbers_of_parameters_are_refused() -> None:
  compare.check_counts('resnet20', 269_722, 269_722)
  with pytest.raises(InputError, match=r'269,722 parameters here and 269,723 in PyTorch'):
    compare.check_counts('resnet20', 269_722, 269_723)


class ScriptedComparison(compare.Comparison):
  """A comparison whose PyTorch workers need given seconds per step, and more with each request."""

  def __init__(self, step_seconds: dict[str, float], fails_at: int | None) -> None:
    machine = compare.Machine('cpu', 2, 'python', 'data', 'export', 5, 60.0, 120.0)
    super().__init__(machine, 'resnet20', 'float32', 128)
    self.step_seconds, self.fails_at, self.slowness = step_seconds, fails_at, 1.0
    self.running: list[Any] = []

  def _start(self, side: str, settings: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    assert side == 'torch'
    worker = ScriptedWorker(self, settings['variant'])
    self.running.append(worker)
    return worker, {'num_params': 269_722, 'waited': 1.0}


class ScriptedWorker:
  """A worker that invents its times; the variant `compiled` may fail at a request."""

  def __init__(self, comparison: ScriptedComparison, variant: str) -> None:
    self.comparison, self.variant, self.num_requests = comparison, variant, 0

  def ask(self, do: str, limit: float = 0.0, steps: int = 1) -> dict[str, float]:
    self.num_requests += 1
    self.comparison.slowness *= 1.1
    if self.variant == 'compiled' and self.num_requests == self.comparison.fails_at:
      raise workers.WorkerError('no compiler')
    seconds = self.comparison.step_seconds[self.variant] * self.comparison.slowness * steps
    return {'seconds': seconds, 'waited': seconds}

  def close(self) -> None:
    self.comparison.running.remove(self)


@pytest.mark.parametrize(
  'eager, compiled, fails_at, best',
  [
    (1.0, 0.8, None, 'compiled'),
    (0.7, 0.8, None, 'eager'),
    (1.0, 0.8, 1, 'eager'),
    (1.0, 0.8, 4, 'eager'),
  ],
)
def test_pytorchs_faster_variant_is_chosen_although_the_machine_gets_slower(
  eager: float, compiled: float, fails_at: int | None, best: str
) -> None:
  comparison = ScriptedComparison({'eager': eager, 'compiled': compiled}, fails_at)
  worker: Any
  worker, variant, tried = comparison.start_torch(269_722)
  assert variant == best == worker.variant
  assert comparison.running == [worker]
  assert tried == {'compiled': 'no compiler'} if fails_at else set(tried) == {'eager', 'compiled'}
  assert ('cached' in comparison.starts['torch']) == (best == 'compiled')


@pytest.mark.parametrize('net', nets.NETS)
def test_our_side_trains_the_named_net_with_the_shared_recipe(net: str) -> None:
  config = loading.load(str(ROOT / nets.NETS[net].config))
  override(config, nets.overrides(net, 'bfloat16', 64, 'DATA'))
  assert (config.model.name, config.model.dtype, config.train.batch_size) == (net, 'bfloat16', 64)
  plain = base(net)
  plain.optimizer.weight_decay = 5e-4
  assert config.optimizer.to_dict() == plain.optimizer.to_dict()
  assert config.augment.to_dict() == plain.augment.to_dict()  # crops padded by 4 zeros, and flips
  assert not config.model.get('dropout') and config.model.get('survival_probability', 1.0) == 1.0
  models.create(**config.model)


SERVER = """
import time
from benchmarks.speed import serve
def add(a, b):
  print('no answer')
  return {'sum': a + b}
def hang():
  time.sleep(60)
serve.serve({'add': add, 'hang': hang})
"""


def test_a_worker_answers_reports_errors_and_is_stopped_after_the_time_limit() -> None:
  with workers.Worker(
    [sys.executable, '-c', SERVER], workers.environment('torch', 'cpu', ROOT)
  ) as worker:
    assert worker.ask('add', a=1, b=2)['sum'] == 3
    with pytest.raises(workers.WorkerError, match='TypeError'):
      worker.ask('add', a=1)
    assert worker.ask('add', a=2, b=2)['sum'] == 4
    with pytest.raises(workers.WorkerError, match=r'not done within 0\.2 s'):
      worker.ask('hang', limit=0.2)
  with (
    workers.Worker([sys.executable, '-c', 'raise SystemExit("no torch")'], {}) as worker,
    pytest.raises(workers.WorkerError, match='no torch'),
  ):
    worker.ask('build')


def test_both_sides_use_the_same_settings_of_the_memory_allocator() -> None:
  for name in ('MALLOC_ARENA_MAX', 'MALLOC_MMAP_MAX_'):
    assert name in workers.environment('torch', 'cpu', ROOT)
    assert name not in workers.environment('ours', 'cpu', ROOT)  # sets it by itself


def test_time_and_memory_of_the_process_are_measured() -> None:
  assert 0 <= serve.timed(lambda: None)['seconds'] < 1
  assert 1e6 < serve.resident_bytes() <= 1.01 * serve.peak_resident_bytes()
