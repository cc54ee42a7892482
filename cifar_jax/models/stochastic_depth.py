"""Deep Networks with Stochastic Depth: Huang et al. 2016, arXiv 1603.09382.

Each residual branch is dropped for a whole mini-batch with a probability that rises linearly with
depth. Nothing is rescaled while training; at test time each branch is multiplied by its survival
probability (section 3, eq. 5), as in the authors' `ResidualDrop.lua`. A dropped branch is not
computed, and its running statistics stay as they were.

Every residual family takes this as its fields `survival_probability`, that of its last block, and
`survival_decay`.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.errors import InputError
from cifar_jax.models.layers import Gates, check_one_of, residual_sum

DECAYS = ('linear', 'uniform')  # section 3: the survival falls with depth, or is the same for all


def survival_probabilities(num_blocks: int, last: float, decay: str = 'linear') -> np.ndarray:
  """The probability of each block, float32 `[blocks]`.

  Args:
    num_blocks: number of residual blocks, L.
    last: survival probability of the last block, p_L.
    decay: `linear`, eq. 4: `p_l = 1 - l / L * (1 - p_L)` for `l = 1 .. L`; or `uniform`: p_L.
  """
  depth = np.arange(1, num_blocks + 1) / num_blocks if decay == 'linear' else np.ones(num_blocks)
  return (1.0 - depth * (1.0 - last)).astype(np.float32)


def gates(key: jax.Array | None, num_blocks: int, last: float, decay: str = 'linear') -> Gates:
  """Draws which blocks survive this mini-batch.

  Args:
    key: None at test time.
    num_blocks: number of residual blocks, L.
    last: survival probability of the last block, p_L.
    decay: one of `DECAYS`.

  Returns:
    Gates `[blocks, 1]`: 0 or 1 in training, the survival probabilities at test time; the gradient
    follows the value.
  """
  survival = jnp.asarray(survival_probabilities(num_blocks, last, decay))[:, None]
  value = survival if key is None else jax.random.bernoulli(key, survival).astype(jnp.float32)
  return Gates(value, value, jnp.ones(num_blocks, jnp.float32))


def check(last: float, decay: str) -> None:
  """Checks the fields that every residual family has.

  Raises:
    InputError: `last`, the survival probability of the last block, is not in (0, 1], or there is
      no such decay.
  """
  if not 0.0 < last <= 1.0:
    raise InputError(f'model.survival_probability is {last}; it must be above 0 and at most 1')
  check_one_of('survival_decay', decay, DECAYS)


def draw(net: Any, train: bool) -> Gates | None:
  """The gates a net uses when it is given none; None where every block always survives.

  Args:
    net: a module with the fields `survival_probability` and `survival_decay` and the property
      `num_blocks`; its stream `drop_path` is drawn from, in training.
    train: whether to draw, or to take the expectation.
  """
  if net.survival_probability == 1.0:
    return None
  key = net.make_rng('drop_path') if train else None
  return gates(key, net.num_blocks, net.survival_probability, net.survival_decay)


def residual(
  block: nn.Module,
  branch: Callable[[Any, jax.Array], jax.Array],
  x: jax.Array,
  shortcut: jax.Array,
  gates: Gates | None,
  *,
  skips: bool,
) -> jax.Array:
  """A block's sum of its shortcut and its one branch.

  Args:
    block: the module that `branch` belongs to.
    branch: maps `x` to the shape and dtype of `shortcut`.
    x: `[batch, height, width, channels]`, what the branch is applied to.
    shortcut: `[batch, height', width', channels']`.
    gates: of the block; None where the branch always counts.
    skips: whether a branch with a closed gate is left uncomputed.

  Returns:
    An array of the shape and dtype of `shortcut`.
  """
  if skips and gates is not None:
    y = compute_if_open(block, branch, x, gates.forward[0], shortcut)
  else:
    y = branch(block, x)
  return residual_sum(shortcut, (y,), gates)


def compute_if_open(
  block: nn.Module,
  branch: Callable[[Any, jax.Array], jax.Array],
  x: jax.Array,
  gate: jax.Array,
  like: jax.Array,
) -> jax.Array:
  """`branch(block, x)` where `gate` is not zero, else zeros, without computing the branch.

  Args:
    block: the module that `branch` belongs to.
    branch: maps `[batch, height, width, channels]` to the shape and dtype of `like`.
    x: the branch's input.
    gate: scalar.
    like: the shortcut, for the shape of the zeros.

  Returns:
    An array of the shape and dtype of `like`.
  """
  return nn.cond(gate != 0, branch, lambda *_: jnp.zeros_like(like), block, x)
