"""Learning-rate schedules against their formulas at every step."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.config.optimization import SCHEDULES, ScheduleSettings
from cifar_jax.errors import InputError
from cifar_jax.optim.schedules import Schedule, make_schedule


def schedule(num_steps: int = 300, num_epochs: float = 30.0, **fields: Any) -> Schedule:
  """A schedule whose section differs from the default in these fields."""
  return make_schedule(num_steps, num_epochs, ScheduleSettings(**fields))


def rates(**fields: Any) -> np.ndarray:
  """The rate of each of the 300 steps of `schedule`."""
  learning_rate_fn = schedule(**fields).learning_rate_fn
  return np.array([float(learning_rate_fn(jnp.int32(step))) for step in range(300)])


def test_cosine_falls_from_the_rate_to_zero() -> None:
  steps = np.arange(300)
  expected = 0.1 * 0.5 * (1 + np.cos(np.pi * steps / 300))
  np.testing.assert_allclose(rates(name='cosine'), expected, atol=1e-7)
  assert float(schedule(name='cosine').learning_rate_fn(300)) == 0.0


def test_piecewise_multiplies_the_rate_at_each_boundary() -> None:
  got = rates(name='piecewise', factor=0.2, boundaries=(0.3, 0.6, 0.8))
  expected = np.select(
    [np.arange(300) < 90, np.arange(300) < 180, np.arange(300) < 240], [0.1, 0.02, 0.004], 0.0008
  )
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_boundaries_on_the_same_step_each_multiply_the_rate() -> None:
  rate = schedule(4, 1.0, name='piecewise', boundaries=(0.4, 0.45, 0.6)).learning_rate_fn
  np.testing.assert_allclose([rate(step) for step in range(4)], [0.1, 0.1, 1e-4, 1e-4], rtol=1e-5)


def test_sgdr_restarts_at_the_end_of_each_cycle() -> None:
  # Cycles of 2, 4, 8 and 16 epochs of 10 steps.
  got = rates(name='sgdr', first_cycle_epochs=2.0, cycle_multiplier=2.0)
  expected = []
  for length in (20, 40, 80, 160):
    expected += [0.05 * (1 + math.cos(math.pi * step / length)) for step in range(length)]
  np.testing.assert_allclose(got, expected[:300], atol=1e-7)
  assert got[20] == got[60] == got[140] == np.float32(0.1)


def test_constant_keeps_the_rate() -> None:
  np.testing.assert_allclose(rates(name='constant', learning_rate=0.3), 0.3)


def test_triangular_rises_to_the_peak_and_falls_to_its_end() -> None:
  # As in airbench94: from 0.2 up to 1 of the rate in 23 % of the run, then down to 0.07.
  got = rates(name='triangular', learning_rate=1.5)
  steps, rise = np.arange(300), 69
  up = 0.2 + 0.8 * steps / rise
  down = 1 - 0.93 * (steps - rise) / (300 - rise)
  np.testing.assert_allclose(got, 1.5 * np.where(steps < rise, up, down), rtol=1e-5)
  other = rates(name='triangular', start_factor=0.0, peak=0.5, end_factor=1.0)
  np.testing.assert_allclose(other, 0.1 * np.minimum(steps / 150, 1), atol=1e-7)


@pytest.mark.parametrize('name', SCHEDULES)
def test_warmup_rises_linearly_and_does_not_shift_the_schedule(name: str) -> None:
  plain = rates(name=name)
  warm = rates(name=name, warmup_epochs=2.0, warmup_learning_rate=0.01)
  np.testing.assert_allclose(warm[:20], 0.01 + 0.09 * np.arange(20) / 20, rtol=1e-5)
  np.testing.assert_allclose(warm[20:], plain[20:], rtol=1e-6)


@pytest.mark.parametrize(
  'fields',
  [
    {'name': 'cos'},
    {'learning_rate': 0.0},
    {'learning_rate': float('nan')},
    {'boundaries': (0.5, 0.3)},
    {'boundaries': (0.5, 1.0)},
    {'factor': 0.0},
    {'name': 'plateau', 'factor': 1.0},
    {'patience': -1},
    {'monitor': 'accuracy'},
    {'threshold': 1.0},
    {'smallest_drop': -1.0},
    {'first_cycle_epochs': 0.0},
    {'cycle_multiplier': 0.5},
    {'warmup_epochs': 30.0},
    {'warmup_epochs': -1.0},
    {'warmup_learning_rate': -1.0},
    {'factor': float('nan')},
    {'name': 'sgdr', 'first_cycle_epochs': float('inf')},
    {'start_factor': -0.1},
    {'peak': 1.0},
    {'end_factor': 1.5},
  ],
)
def test_impossible_schedules_are_named(fields: dict[str, Any]) -> None:
  with pytest.raises(InputError, match=f'schedule.{list(fields)[-1]}'):
    schedule(**fields)


def test_too_many_cycles_are_refused() -> None:
  with pytest.raises(InputError, match='1000 cycles'):
    schedule(30_000, 30.0, name='sgdr', cycle_multiplier=1.0, first_cycle_epochs=0.001)
