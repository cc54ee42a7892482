"""Squeeze-and-Excitation Networks: Hu et al. 2018, arXiv 1709.01507, section 3.

A block weighs its channels by what it sees of the whole map. The residual families do this at the
end of the branch (figure 3), with a sixteenth of its channels and ReLU; EfficientNet does it after
its depthwise convolution, with a quarter of the block's input channels and swish.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError
from cifar_jax.models.layers.activations import relu
from cifar_jax.models.layers.dtypes import Dtype
from cifar_jax.models.layers.initializers import he_fan_out


class SqueezeExcitation(nn.Module):
  """Multiplies each channel by a factor in (0, 1): two dense layers of the channels' means.

  Attributes:
    features: width of the layer in between, at least 1.
    activation: follows that layer.
    dtype: dtype of the activations; the means are taken in float32.
  """

  features: int
  activation: Callable[[jax.Array], jax.Array] = relu
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the same shape and dtype."""
    y = jnp.mean(x, axis=(1, 2), keepdims=True, dtype=jnp.float32)
    dense = functools.partial(nn.Dense, kernel_init=he_fan_out, dtype=self.dtype)
    y = self.activation(dense(self.features, name='squeeze')(y))
    return x * jax.lax.logistic(dense(x.shape[-1], name='excite')(y))


def squeeze_and_excite(y: jax.Array, reduction: int, dtype: Dtype) -> jax.Array:
  """The result of a branch, with its channels weighed. To be called in a compact method.

  Args:
    y: `[batch, height, width, channels]`.
    reduction: ratio of the channels to the inner width; 0 leaves `y` as it is.
    dtype: dtype of the dense layers.

  Returns:
    An array of the shape of `y`.
  """
  if not reduction:
    return y
  return SqueezeExcitation(y.shape[-1] // reduction, dtype=dtype, name='squeeze_excitation')(y)


def check_reduction(reduction: int, width: int) -> None:
  """Raises InputError unless a reduction leaves the narrowest branch a channel; 0 means none."""
  if reduction < 0 or reduction > width:
    raise InputError(
      f'model.squeeze_excitation is {reduction}; it must be 0 for none, or at most the {width} '
      'channels of the narrowest branch'
    )
