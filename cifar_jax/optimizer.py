"""Stochastic gradient descent as the papers run it, and their learning-rate schedules.

L2 decay is added to the gradient before the momentum, which is what Torch's SGD does and what the
papers' figures rest on; decoupled decay is another method.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cifar_jax.errors import InputError

SCHEDULES = ('constant', 'cosine', 'sgdr', 'piecewise', 'plateau')
DECAYED = ('all', 'kernels')
MOST_CYCLES = 1000  # each is compiled into the step

RateFn = Callable[[Any], Any]


class Schedule(NamedTuple):
  """A learning rate, and what may lower it besides.

  Attributes:
    learning_rate_fn: `step -> learning rate`, for integers and int32 scalars.
    plateau: identity, or scales the updates down when the loss no longer falls.
  """

  learning_rate_fn: RateFn
  plateau: optax.GradientTransformationExtraArgs

  def learning_rate(self, step: Any, opt_state: Any) -> Any:
    """The rate that the update at `step` used, which gave `opt_state`; float32 scalar."""
    rate = self.learning_rate_fn(step)
    is_plateau = lambda node: isinstance(node, optax.contrib.ReduceLROnPlateauState)  # noqa: E731
    for node in filter(is_plateau, jax.tree.leaves(opt_state, is_leaf=is_plateau)):
      rate *= node.scale
    return rate


def make_schedule(
  num_steps: int,
  num_epochs: float,
  *,
  name: str = 'cosine',
  learning_rate: float = 0.1,
  boundaries: tuple[float, ...] = (0.5, 0.75),
  factor: float = 0.1,
  first_cycle_epochs: float = 10.0,
  cycle_multiplier: float = 2.0,
  patience: int = 10,
  warmup_epochs: float = 0.0,
  warmup_learning_rate: float = 0.0,
) -> Schedule:
  """The learning rate of each step of a run.

  Args:
    num_steps: steps of the whole run.
    num_epochs: epochs of the whole run.
    name: `constant`; `cosine` (half a period, to zero); `sgdr` (cosine cycles, each longer than the
      last: Loshchilov and Hutter 2017, arXiv 1608.03983); `piecewise` (times `factor` at each of
      `boundaries`); `plateau` (times `factor` each time the training loss, averaged over an epoch,
      has not fallen for `patience` epochs).
    learning_rate: the highest.
    boundaries: for `piecewise`: increasing fractions of the run, between 0 and 1.
    factor: for `piecewise` and `plateau`.
    first_cycle_epochs: for `sgdr`.
    cycle_multiplier: for `sgdr`; a last cycle that does not fit is cut off by the end of the run.
    patience: for `plateau`, in epochs.
    warmup_epochs: at the beginning, instead of any schedule, which runs on underneath unshifted.
    warmup_learning_rate: where the warm-up begins; it rises linearly to `learning_rate`.

  Raises:
    InputError: an unknown name or an impossible value.
  """
  _check_schedule(name, learning_rate, boundaries, factor, first_cycle_epochs, cycle_multiplier)
  if patience < 1:
    raise InputError(f'schedule.patience is {patience}; it is at least 1 epoch')
  if not 0.0 <= warmup_epochs < num_epochs:
    raise InputError(
      f'schedule.warmup_epochs is {warmup_epochs}; it is at least 0 and below the '
      f'{num_epochs:g} epochs of the run'
    )
  if not 0.0 <= warmup_learning_rate < math.inf:
    raise InputError(f'schedule.warmup_learning_rate is {warmup_learning_rate}; it is at least 0')
  steps_per_epoch = num_steps / num_epochs
  rate: RateFn = optax.constant_schedule(learning_rate)
  plateau = optax.with_extra_args_support(optax.identity())
  if name == 'cosine':
    rate = optax.cosine_decay_schedule(learning_rate, num_steps)
  elif name == 'sgdr':
    rate = _cosine_cycles(
      learning_rate, first_cycle_epochs * steps_per_epoch, cycle_multiplier, num_steps
    )
  elif name == 'piecewise':
    # optax multiplies by the factor at a boundary, it does not set the rate to it.
    rate = optax.piecewise_constant_schedule(
      learning_rate, {round(boundary * num_steps): factor for boundary in boundaries}
    )
  elif name == 'plateau':
    plateau = optax.contrib.reduce_on_plateau(
      factor=factor, patience=patience, accumulation_size=max(1, round(steps_per_epoch))
    )
  if warmup_epochs:
    warmup_steps = max(1, round(warmup_epochs * steps_per_epoch))
    rate = _warmed_up(
      rate, optax.linear_schedule(warmup_learning_rate, learning_rate, warmup_steps), warmup_steps
    )
  return Schedule(rate, plateau)


def _warmed_up(rate: RateFn, warmup: RateFn, warmup_steps: int) -> RateFn:
  return lambda step: jnp.where(step < warmup_steps, warmup(step), rate(step))


def _cosine_cycles(learning_rate: float, first: float, multiplier: float, num_steps: int) -> RateFn:
  """Cosine cycles of a whole number of steps each, until they reach `num_steps`."""
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


def _check_schedule(
  name: str,
  learning_rate: float,
  boundaries: tuple[float, ...],
  factor: float,
  first_cycle_epochs: float,
  cycle_multiplier: float,
) -> None:
  if name not in SCHEDULES:
    raise InputError(f'schedule.name is {name!r}; it is one of {", ".join(SCHEDULES)}')
  if not 0.0 < learning_rate < math.inf:
    raise InputError(f'schedule.learning_rate is {learning_rate}; it must be above 0')
  if not all(a < b for a, b in itertools.pairwise((0.0, *boundaries, 1.0))):
    raise InputError(
      f'schedule.boundaries are {tuple(boundaries)}; they are increasing fractions of the run, '
      'each between 0 and 1'
    )
  if not 0.0 < factor < (1.0 if name == 'plateau' else math.inf):
    raise InputError(f'schedule.factor is {factor}; it must be above 0, and below 1 for plateau')
  if not (0.0 < first_cycle_epochs < math.inf and 1.0 <= cycle_multiplier < math.inf):
    raise InputError(
      f'schedule.first_cycle_epochs is {first_cycle_epochs} and schedule.cycle_multiplier is '
      f'{cycle_multiplier}; they must be above 0 and at least 1'
    )


def make(
  schedule: Schedule,
  *,
  momentum: float = 0.9,
  nesterov: bool = True,
  weight_decay: float = 1e-4,
  decayed: str = 'all',
  clip_norm: float = 0.0,
) -> optax.GradientTransformationExtraArgs:
  """The optimizer: clipping, L2 decay, SGD with momentum, and the schedule's plateau.

  With Nesterov momentum and decay of all parameters it takes Torch's steps (tested over 30 steps
  with rate drops).

  Args:
    schedule: from `make_schedule`.
    momentum: of the running sum of gradients; 0 for none.
    nesterov: whether the momentum looks ahead.
    weight_decay: added to the gradient, times the parameter.
    decayed: `all` parameters, as in the papers, or only `kernels` (more than one axis).
    clip_norm: the gradient's global norm is cut to this; 0 for no limit.

  Returns:
    A gradient transformation whose `update` takes `value=loss` besides.

  Raises:
    InputError: an impossible value.
  """
  if not 0.0 <= momentum < 1.0:
    raise InputError(f'optimizer.momentum is {momentum}; it is at least 0 and below 1')
  if not 0.0 <= weight_decay < math.inf:
    raise InputError(f'optimizer.weight_decay is {weight_decay}; it is at least 0')
  if decayed not in DECAYED:
    raise InputError(f'optimizer.decayed is {decayed!r}; it is one of {", ".join(DECAYED)}')
  if not 0.0 <= clip_norm < math.inf:
    raise InputError(f'optimizer.clip_norm is {clip_norm}; it is above 0, or 0 for no limit')
  clip = optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()
  mask = _is_kernel if decayed == 'kernels' else None
  return optax.with_extra_args_support(
    optax.chain(
      clip,
      optax.add_decayed_weights(weight_decay, mask),
      optax.sgd(schedule.learning_rate_fn, momentum or None, nesterov and momentum > 0.0),
      schedule.plateau,
    )
  )


def _is_kernel(params: Any) -> Any:
  return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def skip(opt_state: Any) -> Any:
  """The optimizer's state as if a step had passed that changed nothing but the schedule."""
  counts = lambda node: isinstance(node, optax.ScaleByScheduleState)  # noqa: E731
  return jax.tree.map(
    lambda node: node._replace(count=node.count + 1) if counts(node) else node,
    opt_state,
    is_leaf=counts,
  )
