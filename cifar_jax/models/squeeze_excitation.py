"""Squeeze-and-Excitation Networks: Hu et al. 2018, arXiv 1709.01507, section 3.

Each channel is multiplied by a gate computed from the means of all channels. The residual families
take it at the end of their branches, before the addition (figure 3), as the field
`squeeze_excitation`: the reduction ratio r, 16 in the paper.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
from cifar_jax.errors import InputError


class SqueezeExcitation(nn.Module):
  """Global mean, dense, activation, dense, sigmoid: one factor for each image and channel.

  Attributes:
    features: width of the layer in between.
    activation: that follows it.
    dtype: of the dense layers; the means and the factors are float32.
  """

  features: int
  activation: Callable[[jax.Array], jax.Array] = nn.relu
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the same shape and dtype."""
    y = jnp.mean(x, axis=(1, 2), keepdims=True, dtype=jnp.float32)
    y = layers.conv1x1(self.features, use_bias=True, dtype=self.dtype, name='squeeze')(y)
    y = self.activation(y)
    y = layers.conv1x1(x.shape[-1], use_bias=True, dtype=self.dtype, name='excite')(y)
    return (x.astype(jnp.float32) * nn.sigmoid(y.astype(jnp.float32))).astype(x.dtype)


def check(reduction: int, width: int) -> None:
  """Raises InputError unless a reduction leaves the narrowest branch a channel; 0 is for none."""
  if reduction < 0 or reduction > width:
    raise InputError(
      f'model.squeeze_excitation is {reduction}; it is 0 for none, or at most the {width} channels '
      'of the narrowest branch'
    )


def after_branch(y: jax.Array, reduction: int, dtype: layers.Dtype) -> jax.Array:
  """A branch's result, recalibrated unless `reduction` is 0. To be called in a compact method.

  Args:
    y: `[batch, height, width, channels]`.
    reduction: ratio of the channels to the inner width.
    dtype: of the dense layers.
  """
  if not reduction:
    return y
  return SqueezeExcitation(y.shape[-1] // reduction, dtype=dtype, name='squeeze_excitation')(y)
