"""Stochastic gradient descent as the papers run it.

L2 decay is added to the gradient before the momentum. This is what Torch's SGD does and what the
papers' results rest on; decoupled decay is another method.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from cifar_jax.config.optimization import OptimizerSettings
from cifar_jax.optim import parameter_groups
from cifar_jax.optim.lookahead import LookaheadState, lookahead
from cifar_jax.optim.schedules import Schedule


def make(schedule: Schedule, settings: OptimizerSettings) -> optax.GradientTransformationExtraArgs:
  """The optimizer: clipping, L2 decay, SGD with momentum, the schedule's plateau, and lookahead.

  With Nesterov momentum and decay of all parameters its steps equal those of Torch's SGD.

  Args:
    schedule: from `make_schedule`.
    settings: the section `optimizer`.

  Returns:
    A gradient transformation whose `update` also takes `value=loss`.
  """
  clip = settings.clip_norm
  stages = [optax.clip_by_global_norm(clip) if clip else optax.identity()]
  if settings.norm_bias_factor != 1.0:
    # Before the decay is added, so that the decay has the common rate. SGD is linear in the rest.
    stages.append(
      optax.masked(optax.scale(settings.norm_bias_factor), parameter_groups.norm_biases)
    )
  mask = parameter_groups.kernels if settings.decayed == 'kernels' else None
  nesterov = settings.nesterov and settings.momentum > 0.0
  stages += [
    optax.add_decayed_weights(settings.weight_decay, mask),
    optax.sgd(schedule.learning_rate_fn, settings.momentum or None, nesterov),
    schedule.lowering,
  ]
  if settings.whitening_until < 1.0:
    last = round(settings.whitening_until * schedule.num_steps)
    freeze = optax.scale_by_schedule(lambda step: jnp.where(step < last, 1.0, 0.0))
    stages.append(optax.masked(freeze, parameter_groups.whitening))
  if settings.lookahead_steps:
    stages.append(lookahead(settings.lookahead_steps, settings.lookahead_decay, schedule.num_steps))
  return optax.with_extra_args_support(optax.chain(*stages))


def skip_step(opt_state: Any) -> Any:
  """The optimizer's state after a step that changed nothing but the position in the schedule."""
  kinds = (optax.ScaleByScheduleState, LookaheadState)
  counts = lambda node: isinstance(node, kinds)  # noqa: E731
  return jax.tree.map(
    lambda node: node._replace(count=node.count + 1) if counts(node) else node,
    opt_state,
    is_leaf=counts,
  )
