"""ShakeDrop Regularization for Deep Residual Learning: Yamada et al. 2018, arXiv 1802.02375.

Stochastic depth that shakes a branch where stochastic depth would drop it (eq. 6). A branch is
multiplied by `b + alpha - b * alpha` in the forward pass, its gradient by `b + beta - b * beta` in
the backward pass. At test time the branch is multiplied by the expectation of the first factor. The
gate b is 1 with a probability that falls linearly with depth; alpha is uniform in [-1, 1] and beta
in [0, 1], the ranges that the authors' `ShakeDrop.lua` keeps. The branch must end in batch
normalisation, as PyramidNet's does.

A shaken branch counts, if only in the backward pass, so that all branches are computed. The paper
also draws alpha and beta for each channel or pixel (the authors' file: pixel). Those levels are
left out here: the gates of all blocks are one array (`layers.Gates`), and at those levels the
shape would differ with the width.
"""

from typing import Any

import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError
from cifar_jax.models.layers.residual import Gates
from cifar_jax.models.layers.stochastic_depth import survival_probabilities

LEVELS = (
  'batch',  # b, alpha and beta of a block are shared by the mini-batch
  'image',  # each image has its own b, alpha and beta, as in AutoAugment's `shake_drop.py`
)
ALPHA = (-1.0, 1.0)
BETA = (0.0, 1.0)


def shake_drop_gates(
  key: jax.Array | None, num_blocks: int, batch_size: int, last: float, level: str
) -> Gates:
  """Draws the factors of one training pass.

  Args:
    key: split into independent keys for b, alpha and beta; None at test time.
    num_blocks: number of residual blocks, L.
    batch_size: images in the batch.
    last: probability that b is 1 in the last block, p_L.
    level: one of `LEVELS`.

  Returns:
    Gates `[blocks, 1]`, or `[blocks, 1, batch]` at level `image`. At test time `[blocks, 1]`, the
    probabilities: they are the expectation, because the expectation of alpha is 0.
  """
  probability = jnp.asarray(survival_probabilities(num_blocks, last))[:, None]
  shortcut = jnp.ones(num_blocks, jnp.float32)
  if key is None:
    return Gates(probability, probability, shortcut)
  if level == 'image':
    probability = jnp.broadcast_to(probability[..., None], (num_blocks, 1, batch_size))
  b_key, alpha_key, beta_key = jax.random.split(key, 3)
  b = jax.random.bernoulli(b_key, probability)

  def factor(key: jax.Array, low: float, high: float) -> jax.Array:
    # b + x - b * x, where b is 0 or 1.
    return jnp.where(b, 1.0, jax.random.uniform(key, b.shape, minval=low, maxval=high))

  return Gates(factor(alpha_key, *ALPHA), factor(beta_key, *BETA), shortcut)


def draw_shake_drop_gates(net: Any, batch_size: int, level: str, train: bool) -> Gates:
  """The gates of a net that is given none.

  Args:
    net: a bound `ResidualNet`; in training its stream `shake` is drawn from.
    batch_size: images in the batch.
    level: one of `LEVELS`.
    train: whether to draw, or to take the expectation.
  """
  key = net.make_rng('shake') if train else None
  return shake_drop_gates(key, net.num_blocks, batch_size, net.survival_probability, level)


def check_shake_drop(level: str, last: float) -> None:
  """Raises InputError for an unknown level, or where there is one and nothing to shake."""
  if level not in ('', *LEVELS):
    raise InputError(
      f'model.shake_drop is {level!r}; it must be one of {", ".join(LEVELS)}, or empty for none'
    )
  if level and last == 1.0:
    raise InputError(
      f'model.shake_drop is {level!r} and shakes nothing: set model.survival_probability below 1 '
      '(0.5 in the paper)'
    )
