"""Stochastic gradient descent as the papers run it, and their learning-rate schedules.

L2 decay is added to the gradient before the momentum, which is what Torch's SGD does and what the
papers' figures rest on; decoupled decay is another method.
"""

import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cifar_jax import parameter_groups, rates
from cifar_jax.errors import InputError
from cifar_jax.lookahead import LookaheadState, lookahead
from cifar_jax.rates import RateFn

SCHEDULES = ('constant', 'cosine', 'sgdr', 'piecewise', 'plateau', 'triangular')
DECAYED = ('all', 'kernels')


class Schedule(NamedTuple):
  """A learning rate, and what may lower it besides.

  Attributes:
    learning_rate_fn: `step -> learning rate`, for integers and int32 scalars.
    plateau: identity, or scales the updates down when the loss no longer falls.
    num_steps: of the run.
  """

  learning_rate_fn: RateFn
  plateau: optax.GradientTransformationExtraArgs
  num_steps: int

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
  start_factor: float = 0.2,
  peak: float = 0.23,
  end_factor: float = 0.07,
) -> Schedule:
  """The learning rate of each step of a run.

  Args:
    num_steps: steps of the whole run.
    num_epochs: epochs of the whole run.
    name: `constant`; `cosine` (half a period, to zero); `sgdr` (cosine cycles, each longer than the
      last: Loshchilov and Hutter 2017, arXiv 1608.03983); `piecewise` (times `factor` at each of
      `boundaries`); `plateau` (times `factor` each time the training loss, averaged over an epoch,
      has not fallen for `patience` epochs); `triangular` (linearly up, then down).
    learning_rate: the highest.
    boundaries: for `piecewise`: increasing fractions of the run, between 0 and 1.
    factor: for `piecewise` and `plateau`.
    first_cycle_epochs: for `sgdr`.
    cycle_multiplier: for `sgdr`; a last cycle that does not fit is cut off by the end of the run.
    patience: for `plateau`, in epochs.
    warmup_epochs: at the beginning, instead of any schedule, which runs on underneath unshifted.
    warmup_learning_rate: where the warm-up begins; it rises linearly to `learning_rate`.
    start_factor: for `triangular`: of `learning_rate`, where it begins.
    peak: for `triangular`: where it reaches `learning_rate`, a fraction of the run.
    end_factor: for `triangular`: of `learning_rate`, where it ends.

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
  for end, share in (('start', start_factor), ('end', end_factor)):
    if not 0.0 <= share <= 1.0:
      raise InputError(f'schedule.{end}_factor is {share}; it is a share of the rate, from 0 to 1')
  if not 0.0 < peak < 1.0:
    raise InputError(f'schedule.peak is {peak}; it is a fraction of the run, between 0 and 1')
  steps_per_epoch = num_steps / num_epochs
  rate: RateFn = optax.constant_schedule(learning_rate)
  plateau = optax.with_extra_args_support(optax.identity())
  if name == 'cosine':
    rate = optax.cosine_decay_schedule(learning_rate, num_steps)
  elif name == 'sgdr':
    rate = rates.cosine_cycles(
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
  elif name == 'triangular':
    rate = rates.triangle(
      start_factor * learning_rate, learning_rate, end_factor * learning_rate, peak, num_steps
    )
  if warmup_epochs:
    warmup_steps = max(1, round(warmup_epochs * steps_per_epoch))
    rate = rates.warmed_up(
      rate, optax.linear_schedule(warmup_learning_rate, learning_rate, warmup_steps), warmup_steps
    )
  return Schedule(rate, plateau, num_steps)


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
  norm_bias_factor: float = 1.0,
  whitening_until: float = 1.0,
  lookahead_steps: int = 0,
  lookahead_decay: float = 0.95,
) -> optax.GradientTransformationExtraArgs:
  """The optimizer: clipping, L2 decay, SGD with momentum, the schedule's plateau, and lookahead.

  With Nesterov momentum and decay of all parameters it takes Torch's steps (tested over 30 steps
  with rate drops).

  Args:
    schedule: from `make_schedule`.
    momentum: of the running sum of gradients; 0 for none.
    nesterov: whether the momentum looks ahead.
    weight_decay: added to the gradient, times the parameter.
    decayed: `all` parameters, as in the papers, or only `kernels` (more than one axis).
    clip_norm: the gradient's global norm is cut to this; 0 for no limit.
    norm_bias_factor: multiplies the learning rate of the norms' biases, not their decay.
    whitening_until: the parameters of whitening layers stand still from this fraction of the run.
    lookahead_steps: steps after which the weights meet their average (`lookahead.py`); 0 for none.
    lookahead_decay: of that average, for one step, at the end of the run.

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
  _check_stages(norm_bias_factor, whitening_until, lookahead_steps, lookahead_decay)
  mask = parameter_groups.kernels if decayed == 'kernels' else None
  stages = [optax.clip_by_global_norm(clip_norm) if clip_norm else optax.identity()]
  if norm_bias_factor != 1.0:
    # Before the decay is added, so that the decay has the common rate; SGD is linear in the rest.
    stages.append(optax.masked(optax.scale(norm_bias_factor), parameter_groups.norm_biases))
  stages += [
    optax.add_decayed_weights(weight_decay, mask),
    optax.sgd(schedule.learning_rate_fn, momentum or None, nesterov and momentum > 0.0),
    schedule.plateau,
  ]
  if whitening_until < 1.0:
    last = round(whitening_until * schedule.num_steps)
    still = optax.scale_by_schedule(lambda step: jnp.where(step < last, 1.0, 0.0))
    stages.append(optax.masked(still, parameter_groups.whitening))
  if lookahead_steps:
    stages.append(lookahead(lookahead_steps, lookahead_decay, schedule.num_steps))
  return optax.with_extra_args_support(optax.chain(*stages))


def _check_stages(factor: float, until: float, steps: int, decay: float) -> None:
  if not 0.0 < factor < math.inf:
    raise InputError(f'optimizer.norm_bias_factor is {factor}; it must be above 0')
  if not 0.0 <= until <= 1.0:
    raise InputError(
      f'optimizer.whitening_until is {until}; it is a fraction of the run, from 0 to 1'
    )
  if steps < 0:
    raise InputError(f'optimizer.lookahead_steps is {steps}; it is at least 1, or 0 for none')
  if not 0.0 <= decay < 1.0:
    raise InputError(f'optimizer.lookahead_decay is {decay}; it is at least 0 and below 1')


def skip(opt_state: Any) -> Any:
  """The optimizer's state as if a step had passed that changed nothing but the schedule."""
  kinds = (optax.ScaleByScheduleState, LookaheadState)
  counts = lambda node: isinstance(node, kinds)  # noqa: E731
  return jax.tree.map(
    lambda node: node._replace(count=node.count + 1) if counts(node) else node,
    opt_state,
    is_leaf=counts,
  )
