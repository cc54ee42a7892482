"""Shapes of learning rates over a run: functions of the step, an integer or an int32 scalar."""

import itertools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from cifar_jax.errors import InputError

MOST_CYCLES = 1000  # each is compiled into the step

RateFn = Callable[[Any], Any]


def warmed_up(rate: RateFn, warmup: RateFn, warmup_steps: int) -> RateFn:
  """`warmup` for so many steps, then `rate`, which does not begin anew."""
  return lambda step: jnp.where(step < warmup_steps, warmup(step), rate(step))


def cosine_cycles(learning_rate: float, first: float, multiplier: float, num_steps: int) -> RateFn:
  """Cosine cycles of a whole number of steps each, until they reach `num_steps`.

  Raises:
    InputError: they are too many.
  """
  lengths: list[int] = []
  while sum(lengths) < num_steps:
    lengths.append(max(1, round(first * multiplier ** len(lengths))))
    if len(lengths) > MOST_CYCLES:
      raise InputError(
        f'schedule.first_cycle_epochs makes more than {MOST_CYCLES} cycles in this run; raise it '
        'or schedule.cycle_multiplier'
      )
  ends = list(itertools.accumulate(lengths))[:-1]
  cycles = [optax.cosine_decay_schedule(learning_rate, length) for length in lengths]
  return optax.join_schedules(cycles, ends)


def triangle(start: float, top: float, end: float, peak: float, num_steps: int) -> RateFn:
  """Linearly from `start` to `top`, at the fraction `peak` of the run, on to `end` (airbench)."""
  rise = int(peak * num_steps)
  up = optax.linear_schedule(start, top, rise)
  down = optax.linear_schedule(top, end, num_steps - rise)
  return optax.join_schedules([up, down], [rise])
