"""Learning-rate schedules: functions of the step, which is an integer or an int32 scalar."""

import collections
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from cifar_jax.config.optimization import ScheduleSettings
from cifar_jax.errors import InputError
from cifar_jax.optim import plateau

MAX_CYCLES = 1000  # each cycle is compiled into the step

RateFn = Callable[[Any], Any]


class Schedule(NamedTuple):
  """A learning rate, and what may lower it as training goes on.

  Attributes:
    learning_rate_fn: `step -> learning rate`, for integers and int32 scalars.
    lowering: scales the updates by what is left of the rate; identity for most schedules.
    num_steps: number of steps of the run.
    end_epoch: `(opt_state, validation accuracy) -> opt_state`, to be called after each epoch; None
      for schedules that depend on the step alone.
  """

  learning_rate_fn: RateFn
  lowering: optax.GradientTransformationExtraArgs
  num_steps: int
  end_epoch: Callable[[Any, Any], Any] | None = None

  def learning_rate(self, step: Any, opt_state: Any) -> Any:
    """The rate of one update; float32 scalar, or `[seeds]` where it differs between seeds.

    Args:
      step: the step that the update belongs to.
      opt_state: the optimizer's state after that update.
    """
    return self.learning_rate_fn(step) * plateau.scale(opt_state)


def make_schedule(num_steps: int, num_epochs: float, settings: ScheduleSettings) -> Schedule:
  """The learning rate of each step of a run.

  Args:
    num_steps: number of steps of the whole run.
    num_epochs: number of epochs of the whole run.
    settings: the section `schedule`.

  Raises:
    InputError: the warm-up is longer than the run, or there are too many cycles.
  """
  if settings.warmup_epochs >= num_epochs:
    raise InputError(
      f'schedule.warmup_epochs is {settings.warmup_epochs}; it must be below the {num_epochs:g} '
      'epochs of the run'
    )
  steps_per_epoch = num_steps / num_epochs
  rate = _rate_fn(num_steps, steps_per_epoch, settings)
  if settings.warmup_epochs:
    steps = max(1, round(settings.warmup_epochs * steps_per_epoch))
    start, end = settings.warmup_learning_rate, settings.learning_rate
    rate = with_warmup(rate, optax.linear_schedule(start, end, steps), steps)
  if settings.name == 'plateau':
    end_epoch = partial(plateau.end_epoch, settings=settings)
    return Schedule(rate, plateau.scale_by_plateau(), num_steps, end_epoch)
  return Schedule(rate, optax.with_extra_args_support(optax.identity()), num_steps)


def _rate_fn(num_steps: int, steps_per_epoch: float, settings: ScheduleSettings) -> RateFn:
  """The schedule of `settings.name`, without its warm-up."""
  rate = settings.learning_rate
  if settings.name == 'cosine':
    return optax.cosine_decay_schedule(rate, num_steps)
  if settings.name == 'sgdr':
    first = settings.first_cycle_epochs * steps_per_epoch
    return cosine_cycles(rate, first, settings.cycle_multiplier, num_steps)
  if settings.name == 'piecewise':
    # Optax multiplies the rate by the factor at a boundary; it does not set the rate to the factor.
    # In a run of a few steps several boundaries may be the same step.
    steps = collections.Counter(round(boundary * num_steps) for boundary in settings.boundaries)
    factors = {step: settings.factor**count for step, count in steps.items()}
    return optax.piecewise_constant_schedule(rate, factors)
  if settings.name == 'triangular':
    start, end = settings.start_factor * rate, settings.end_factor * rate
    return triangle(start, rate, end, settings.peak, num_steps)
  return optax.constant_schedule(rate)


def shift(schedule: Schedule, start: int) -> Schedule:
  """A schedule whose first step is the step `start` of a longer run."""
  rate = schedule.learning_rate_fn
  return schedule._replace(
    learning_rate_fn=lambda step: rate(jnp.maximum(step - start, 0)),
    num_steps=schedule.num_steps + start,
  )


def with_warmup(rate: RateFn, warmup: RateFn, warmup_steps: int) -> RateFn:
  """Returns `warmup` for the first `warmup_steps` steps, then `rate`, which is not shifted."""
  return lambda step: jnp.where(step < warmup_steps, warmup(step), rate(step))


def cosine_cycles(learning_rate: float, first: float, multiplier: float, num_steps: int) -> RateFn:
  """Cosine cycles up to the end of the run: Loshchilov and Hutter 2017, arXiv 1608.03983 (SGDR).

  Args:
    learning_rate: rate at the start of each cycle, which ends at zero.
    first: length of the first cycle in steps, rounded to a whole number.
    multiplier: length of a cycle, as a multiple of the one before.
    num_steps: steps of the run.

  Raises:
    InputError: there are more than `MAX_CYCLES` cycles.
  """
  lengths: list[int] = []
  while sum(lengths) < num_steps:
    lengths.append(max(1, round(first * multiplier ** len(lengths))))
    if len(lengths) > MAX_CYCLES:
      raise InputError(
        f'schedule.first_cycle_epochs makes more than {MAX_CYCLES} cycles in this run; raise it '
        'or schedule.cycle_multiplier'
      )
  ends = list(itertools.accumulate(lengths))[:-1]
  cycles = [optax.cosine_decay_schedule(learning_rate, length) for length in lengths]
  return optax.join_schedules(cycles, ends)


def triangle(start: float, top: float, end: float, peak: float, num_steps: int) -> RateFn:
  """Linear from `start` to `top`, then linear to `end`: the schedule of cifar10-airbench.

  Args:
    start: rate of the first step.
    top: highest rate.
    end: rate at the end of the run.
    peak: fraction of the run at which `top` is reached.
    num_steps: steps of the run.
  """
  rise = int(peak * num_steps)
  up = optax.linear_schedule(start, top, rise)
  down = optax.linear_schedule(top, end, num_steps - rise)
  return optax.join_schedules([up, down], [rise])
