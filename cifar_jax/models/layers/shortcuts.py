"""Shortcuts without parameters: fewer pixels, more channels."""

import flax.linen as nn
import jax
import jax.numpy as jnp


def subsample(x: jax.Array, stride: int) -> jax.Array:
  """Every `stride`-th pixel of `[batch, height, width, channels]` (option A of ResNet)."""
  return x[:, ::stride, ::stride]


def average_pool(x: jax.Array, size: int, stride: int = 0) -> jax.Array:
  """Means of windows of `[batch, height, width, channels]`.

  Args:
    x: `[batch, height, width, channels]`.
    size: height and width of a window.
    stride: distance of two windows; 0 for `size`.
  """
  if size == 1:
    return x
  strides = (stride or size,) * 2
  return nn.pool(x, 0.0, jax.lax.add, (size, size), strides, 'VALID') / x.dtype.type(size**2)


def pad_channels(x: jax.Array, width: int) -> jax.Array:
  """`[batch, height, width, channels]` with zero channels appended, `width` channels in all."""
  padding = [(0, 0, 0)] * 3 + [(0, width - x.shape[-1], 0)]
  return jax.lax.pad(x, jnp.zeros((), x.dtype), padding)
