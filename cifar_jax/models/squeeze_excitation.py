"""Squeeze-and-Excitation Networks: Hu et al. 2018, arXiv 1709.01507, section 3.

Any block may weigh its channels by what it sees of the whole map. The residual families have it at
the end of the branch (figure 3), with a sixteenth of its channels and ReLU; EfficientNet after its
depthwise convolution, with a quarter of the block's input channels and swish.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
from cifar_jax.errors import InputError


class SqueezeExcitation(nn.Module):
  """Scales each channel by a factor in (0, 1), two dense layers of the channels' means.

  Attributes:
    features: width of the layer between, at least 1.
    activation: after it.
    dtype: of the activations; the means are taken in float32.
  """

  features: int
  activation: Callable[[jax.Array], jax.Array] = layers.relu
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the same shape and dtype."""
    y = jnp.mean(x, axis=(1, 2), keepdims=True, dtype=jnp.float32)
    dense = functools.partial(nn.Dense, kernel_init=layers.he_fan_out, dtype=self.dtype)
    y = self.activation(dense(self.features, name='squeeze')(y))
    return x * jax.lax.logistic(dense(x.shape[-1], name='excite')(y))


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
