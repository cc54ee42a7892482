"""The convolution of all nets: a layer, and the choice by platform of its form and of barriers.

On accelerators it is `jax.lax.conv_general_dilated`, on GPUs in 16 bits with channels of zeros up
to what their tensor cores want. On CPUs it is written as `models.cpu_convolution` has it.
"""

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.cpu_convolution as cpu_convolution
import cifar_jax.models.initializers as initializers
from cifar_jax.models.cpu_convolution import LAYOUT, Padding, Pair
from cifar_jax.models.layer import Layer

# NVIDIA's guide to convolutional layers asks for channels in multiples of 8 where numbers have 16
# bits; XLA's own pass pads to that in float16 alone.
TENSOR_CORE_CHANNELS = 8

_plain = contextvars.ContextVar('plain', default=False)


@contextlib.contextmanager
def plain() -> Iterator[None]:
  """Within it the bare convolutions are traced, for their operations to be counted."""
  token = _plain.set(True)
  try:
    yield
  finally:
    _plain.reset(token)


def convolve(
  x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding | str, groups: int = 1
) -> jax.Array:
  """The form is chosen here.

  Args:
    x: `[batch, height, width, inputs]`.
    kernel: `[kernel height, kernel width, inputs / groups, outputs]`, of the dtype of `x`.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros; or `SAME` or `VALID`.
    groups: of channels that are convolved by themselves.

  Returns:
    `[batch, height', width', outputs]`, of the dtype of `x`.
  """
  if _is_for('cpu'):
    if isinstance(padding, str):
      down, right = jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
      padding = down, right
    return cpu_convolution.grouped_conv(x, kernel, strides, padding, groups)
  outputs = kernel.shape[-1]
  if _is_for('gpu') and groups == 1 and x.dtype.itemsize == 2:
    x, kernel = _with_channels_in_eights(x, kernel)
  y = jax.lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=LAYOUT, feature_group_count=groups
  )
  return y if y.shape[-1] == outputs else y[..., :outputs]


def _with_channels_in_eights(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Both with zeros for more inputs and outputs; where there are few, as of images, as they are."""
  inputs, outputs = (
    -channels % TENSOR_CORE_CHANNELS if channels > TENSOR_CORE_CHANNELS else 0
    for channels in kernel.shape[2:]
  )
  zero = jnp.zeros((), x.dtype)
  if inputs:
    x = jax.lax.pad(x, zero, [(0, 0, 0)] * 3 + [(0, inputs, 0)])
  if inputs or outputs:
    kernel = jax.lax.pad(kernel, zero, [(0, 0, 0)] * 2 + [(0, inputs, 0), (0, outputs, 0)])
  return x, kernel


def kept(x: jax.Array) -> jax.Array:
  """`x`, of any shape. On CPUs it is computed once, and its gradient before that goes on.

  Their compiler computes what is cheap again for each of its uses: a residual sum with all sums
  before it, and a gradient with all those after it, which is the square of the depth.
  """
  return jax.lax.optimization_barrier(x) if _is_for('cpu') else x


def _is_for(platform: str) -> bool:
  return not _plain.get() and jax.default_backend() == platform


class Conv(Layer):
  """A convolution as `nn.Conv` has it, for images, in the form that is chosen here.

  Parameters `kernel` and, with `use_bias`, `bias`, named, shaped and drawn as those of `nn.Conv`,
  which takes three times as long to trace.

  Attributes:
    features: channels of the result.
    kernel_size: height and width.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros; or `SAME` or `VALID`.
    feature_group_count: groups of channels that are convolved by themselves.
    use_bias: whether a number a channel is added.
    kernel_init: draws the kernel.
    bias_init: draws the bias.
    dtype: of the result.
  """

  features: int
  kernel_size: Pair
  strides: Pair = (1, 1)
  padding: Padding | str = 'SAME'
  feature_group_count: int = 1
  use_bias: bool = True
  kernel_init: nn.initializers.Initializer = nn.linear.default_kernel_init
  bias_init: nn.initializers.Initializer = nn.initializers.zeros
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height', width', self.features]`."""
    inputs = x.shape[-1] // self.feature_group_count
    kernel = self._drawn('kernel', self.kernel_init, (*self.kernel_size, inputs, self.features))
    x = jax.lax.convert_element_type(x, self.dtype)
    y = convolve(x, kernel, self.strides, self.padding, self.feature_group_count)
    if not self.use_bias:
      return y
    bias = self._drawn('bias', self.bias_init, (self.features,))
    return jax.lax.add(y, jax.lax.broadcast_in_dim(bias, y.shape, (3,)))

  @nn.nowrap
  def _drawn(
    self, name: str, draw: nn.initializers.Initializer, shape: tuple[int, ...]
  ) -> jax.Array:
    # Not by `self.param`, which traces an initialiser whenever the module is traced.
    make = functools.partial(initializers.drawn, draw, self.make_rng, shape)
    return jax.lax.convert_element_type(self.variable('params', name, make).value, self.dtype)
