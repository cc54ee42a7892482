"""The residual sum: `shortcut + gate * branch`, with other gates in the backward pass.

Stochastic depth, Shake-Shake and ShakeDrop are choices of gates, and so are the analyses that
delete a block or follow the gradient along paths of one length.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cifar_jax.models.layers.platform_forms import compute_once


class Gates(NamedTuple):
  """Factors of the residual branches, in the forward and in the backward pass.

  A model takes the gates of all its blocks at once and gives each block its part (`of_block`).

  Attributes:
    forward: float32 `[blocks, branches]`, or `[blocks, branches, batch]` for one gate per image.
    backward: as `forward`; the factor of the gradient into the branch.
    shortcut: float32 `[blocks]`; the factor of the gradient into the shortcut.
  """

  forward: jax.Array
  backward: jax.Array
  shortcut: jax.Array

  def of_block(self, block: int) -> 'Gates':
    """The gates of one block: the same without the leading axis."""
    return Gates(self.forward[block], self.backward[block], self.shortcut[block])


@jax.custom_vjp
def residual_add(
  shortcut: jax.Array,
  branch: jax.Array,
  forward_gate: jax.Array,
  backward_gate: jax.Array,
  shortcut_gate: jax.Array,
) -> jax.Array:
  """`shortcut + forward_gate * branch`.

  Its gradient is `shortcut_gate` towards `shortcut` and `backward_gate` towards `branch`, whatever
  the forward pass did, and zero towards the gates.

  Args:
    shortcut: `[batch, height, width, channels]`.
    branch: the same shape and dtype.
    forward_gate: scalar, or `[batch]` for one factor per image.
    backward_gate: scalar or `[batch]`.
    shortcut_gate: scalar or `[batch]`.

  Returns:
    An array of the shape and dtype of `shortcut`.
  """
  del backward_gate, shortcut_gate
  return shortcut + _scale(branch, forward_gate)


def _residual_add_forward(
  shortcut: jax.Array,
  branch: jax.Array,
  forward_gate: jax.Array,
  backward_gate: jax.Array,
  shortcut_gate: jax.Array,
) -> tuple[jax.Array, Any]:
  gates = (forward_gate, backward_gate, shortcut_gate)
  return residual_add(shortcut, branch, *gates), gates


def _residual_add_backward(gates: Any, gradient: jax.Array) -> tuple[jax.Array, ...]:
  _, backward_gate, shortcut_gate = gates
  return (
    _scale(gradient, shortcut_gate),
    _scale(gradient, backward_gate),
    *map(jnp.zeros_like, gates),
  )


residual_add.defvjp(_residual_add_forward, _residual_add_backward)


def _scale(x: jax.Array, gate: jax.Array) -> jax.Array:
  """`x` times a scalar or `[batch]`: multiplied in float32, as gates are, in the dtype of `x`."""
  gate = jnp.reshape(gate, jnp.shape(gate) + (1,) * (x.ndim - jnp.ndim(gate)))
  return (x.astype(jnp.float32) * gate).astype(x.dtype)


def residual_sum(
  shortcut: jax.Array, branches: tuple[jax.Array, ...], gates: Gates | None
) -> jax.Array:
  """The sum of a shortcut and its gated branches.

  Args:
    shortcut: `[batch, height, width, channels]`.
    branches: arrays of the same shape and dtype.
    gates: the block's gates, whose `forward` and `backward` are `[branches, ...]`; None for a plain
      sum.

  Returns:
    An array of the shape and dtype of `shortcut`.
  """
  if gates is None:
    return compute_once(functools.reduce(lax.add, branches, shortcut))
  total, shortcut_gate = shortcut, gates.shortcut
  for i, branch in enumerate(branches):
    total = residual_add(total, branch, gates.forward[i], gates.backward[i], shortcut_gate)
    shortcut_gate = jnp.ones_like(gates.shortcut)
  return compute_once(total)


def compute_if_open(
  block: nn.Module,
  branch: Callable[[jax.Array], jax.Array],
  x: jax.Array,
  gate: jax.Array,
  like: jax.Array,
) -> jax.Array:
  """`branch(x)` where `gate` is not zero, else zeros, without computing the branch.

  Args:
    block: the module that calls this in its compact method.
    branch: maps `[batch, height, width, channels]` to the shape and dtype of `like`. It may make
      submodules, which then belong to `block`.
    x: the branch's input.
    gate: scalar.
    like: an array of the shape and dtype of the result.

  Returns:
    An array of the shape and dtype of `like`.
  """
  return nn.cond(gate != 0, lambda _, x: branch(x), lambda *_: jnp.zeros_like(like), block, x)
