"""The convolution of all nets, and the shorthands that a model file uses."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cifar_jax.models.layers.cpu_conv import Padding, Pair
from cifar_jax.models.layers.dtypes import Dtype
from cifar_jax.models.layers.initializers import he_fan_out
from cifar_jax.models.layers.layer import Layer
from cifar_jax.models.layers.platform_forms import convolve


class Conv(Layer):
  """A convolution of images, like `nn.Conv`, in the form that is fastest on the platform.

  Its parameters `kernel` and, with `use_bias`, `bias` have the names, shapes and initial values of
  `nn.Conv`'s.

  Attributes:
    features: channels of the result.
    kernel_size: height and width.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros; or `SAME` or `VALID`.
    feature_group_count: groups of channels that are convolved separately.
    use_bias: whether a bias is added to each channel.
    kernel_init: initialiser of the kernel.
    bias_init: initialiser of the bias.
    dtype: dtype of the result.
  """

  features: int
  kernel_size: Pair
  strides: Pair = (1, 1)
  padding: Padding | str = 'SAME'
  feature_group_count: int = 1
  use_bias: bool = True
  kernel_init: nn.initializers.Initializer = nn.linear.default_kernel_init
  bias_init: nn.initializers.Initializer = nn.initializers.zeros
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height', width', self.features]`."""
    inputs = x.shape[-1] // self.feature_group_count
    shape = (*self.kernel_size, inputs, self.features)
    kernel = self.parameter('kernel', self.kernel_init, shape)
    kernel = lax.convert_element_type(kernel, self.dtype)
    x = lax.convert_element_type(x, self.dtype)
    y = convolve(x, kernel, self.strides, self.padding, self.feature_group_count)
    if not self.use_bias:
      return y
    bias = self.parameter('bias', self.bias_init, (self.features,))
    bias = lax.convert_element_type(bias, self.dtype)
    return lax.add(y, lax.broadcast_in_dim(bias, y.shape, (3,)))


def conv3x3(features: int, stride: int = 1, **fields: Any) -> Conv:
  """A 3x3 convolution without bias, padded by one pixel on each side."""
  return conv(features, 3, stride, **fields)


def conv1x1(features: int, stride: int = 1, **fields: Any) -> Conv:
  """A 1x1 convolution without bias."""
  return conv(features, 1, stride, **fields)


def conv(features: int, size: int, stride: int = 1, **fields: Any) -> Conv:
  """A convolution of odd size without bias, padded by half of its size.

  The padding is explicit because `SAME` at stride 2 pads only below and to the right, which shifts
  every tap by a pixel against the papers' nets.

  Args:
    features: channels of the result.
    size: height and width of the kernel, odd.
    stride: downwards and to the right.
    **fields: further fields of `Conv`.
  """
  defaults: dict[str, Any] = {
    'use_bias': False,
    'kernel_init': he_fan_out,
    'padding': ((size // 2, size // 2),) * 2,
  }
  return Conv(features, (size, size), strides=(stride, stride), **(defaults | fields))
