"""Stochastic gradient descent as the papers run it, and Optax's AdamW, Lion and Muon.

SGD adds L2 decay to the gradient before the momentum. This is what Torch's SGD does and what the
papers' results rest on. The decay of the others is decoupled.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cifar_jax.config.optimization import OptimizerSettings
from cifar_jax.optim import parameter_groups
from cifar_jax.optim.schedules import Schedule

# The root mean square of Muon's updates, which is about that of AdamW's: Liu et al. 2025, section
# 2.2 of arXiv 2502.16982.
_MUON_RMS = 0.2


def _muon(settings: OptimizerSettings) -> optax.GradientTransformation:
  return optax.contrib.muon(
    -1.0,  # the direction alone: Optax multiplies by the rate and by -1
    beta=settings.momentum,
    nesterov=settings.nesterov,
    adam_b2=settings.beta2 or 0.999,
    muon_weight_dimension_numbers=parameter_groups.matrices,
    consistent_rms=_MUON_RMS,
  )


# The rules with decoupled decay: what they make of a gradient, before decay and learning rate.
_DIRECTIONS: dict[str, Callable[[OptimizerSettings], optax.GradientTransformation]] = {
  'adamw': lambda settings: optax.scale_by_adam(settings.momentum, settings.beta2 or 0.999),
  'lion': lambda settings: optax.scale_by_lion(settings.momentum, settings.beta2 or 0.99),
  'muon': _muon,
}


def make(
  schedule: Schedule, settings: OptimizerSettings, frozen: Sequence[str] = ()
) -> optax.GradientTransformationExtraArgs:
  """The optimizer: clipping, the update rule, the schedule's plateau and freezing.

  With `sgd`, Nesterov momentum and decay of all parameters its steps equal those of Torch's SGD.

  Args:
    schedule: from `make_schedule`.
    settings: the section `optimizer`.
    frozen: modules whose parameters never change (`parameter_groups.parts`).

  Returns:
    A gradient transformation whose `update` also takes `value=loss`.
  """
  clip = settings.clip_norm
  stages = [optax.clip_by_global_norm(clip) if clip else optax.identity()]
  stages += _update_rule(schedule, settings)
  stages.append(schedule.lowering)
  if settings.whitening_until < 1.0:
    last = round(settings.whitening_until * schedule.num_steps)
    freeze = optax.scale_by_schedule(lambda step: jnp.where(step < last, 1.0, 0.0))
    stages.append(optax.masked(freeze, parameter_groups.whitening))
  if frozen:  # last, because decay moves weights that have no gradient
    stages.append(optax.masked(optax.set_to_zero(), parameter_groups.parts(frozen)))
  return optax.with_extra_args_support(optax.chain(*stages))


def _update_rule(
  schedule: Schedule, settings: OptimizerSettings
) -> list[optax.GradientTransformation]:
  """The stages from the gradient to the change of the weights, decay and learning rate included."""
  factor: list[optax.GradientTransformation] = []
  if settings.norm_bias_factor != 1.0:
    # Scaling the gradient scales the learning rate, because SGD is linear. The decay is added
    # afterwards and keeps the common rate.
    scale = optax.scale(settings.norm_bias_factor)
    factor = [optax.masked(scale, parameter_groups.norm_biases)]
  mask = parameter_groups.kernels if settings.decayed == 'kernels' else None
  decay = optax.add_decayed_weights(settings.weight_decay, mask)
  rate = schedule.learning_rate_fn
  if settings.name != 'sgd':
    direction = _DIRECTIONS[settings.name](settings)
    return [direction, *factor, decay, optax.scale_by_learning_rate(rate)]
  nesterov = settings.nesterov and settings.momentum > 0.0
  return [*factor, decay, optax.sgd(rate, settings.momentum or None, nesterov)]


def skip_step(opt_state: Any) -> Any:
  """The optimizer's state after a step that changed nothing but the position in the schedule."""
  counts = lambda node: isinstance(node, optax.ScaleByScheduleState)  # noqa: E731
  return jax.tree.map(
    lambda node: node._replace(count=node.count + 1) if counts(node) else node,
    opt_state,
    is_leaf=counts,
  )
