"""Dropout and local response normalisation, which take no more than a function."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax


def dropout(x: jax.Array, rate: float, train: bool) -> jax.Array:
  """Drops a fraction of the values in training. To be called in a compact method.

  Args:
    x: `[...]`.
    rate: fraction that is dropped, in [0, 1).
    train: whether values are dropped, from the stream `dropout`.

  Returns:
    An array of the shape and dtype of `x`.
  """
  return nn.Dropout(rate, deterministic=False)(x) if rate and train else x


def local_response_norm(x: jax.Array) -> jax.Array:
  """Local response normalisation: Krizhevsky et al. 2012, section 3.3.

  Each value is divided by `(k + alpha * s) ** beta`, where `s` is the sum of the squares of the n
  channels around it at its pixel, fewer at the ends; k = 2, n = 5, alpha = 1e-4, beta = 0.75. Alpha
  multiplies the sum, as in the paper. Torch and Caffe multiply the mean, so that theirs would have
  to be 5e-4 for the same net.

  Args:
    x: `[batch, height, width, channels]` of any float dtype; squared and summed in float32.

  Returns:
    An array of the shape and dtype of `x`.
  """
  wide = x.astype(jnp.float32)
  padding = ((0, 0), (0, 0), (0, 0), (2, 2))
  total = lax.reduce_window(wide * wide, 0.0, lax.add, (1, 1, 1, 5), (1, 1, 1, 1), padding)
  return (wide * (2.0 + 1e-4 * total) ** -0.75).astype(x.dtype)
