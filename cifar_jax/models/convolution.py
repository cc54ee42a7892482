"""Convolutions written so that XLA's CPU compiler finds its fast kernels.

On accelerators `jax.lax.conv_general_dilated` is all there is. On CPUs (two cores, jaxlib 0.10.2)
five cases run as naive loops or worse than need be, and are written here as others that do not:

  grouped    the gradients of a convolution in groups; done group by group. 8 groups of 32 channels
             on maps of 32x32: 68 ms instead of 3.5 s.
  depthwise  groups of a single channel: a sum over the taps of the kernel. 120 channels, 5x5 taps
             at stride 2: 34 ms instead of 283.
  inner      gradients in a loop or a conditional: the compiler brings convolutions into the form of
             its kernels in the main computation alone; here they have that form from the start. A
             scanned ResNet-110's step took 49 s, where the unrolled one takes 3; one of ResNet-20
             with stochastic depth, at batch 32, takes 0.2 s instead of 4.2.
  inputs     computed again in the backward pass, with all blocks before; kept by a barrier, which
             `step.KEEP_BARRIERS` has the compiler heed. ResNet-110's step: 3.1 s instead of 7.5.
  few taps   the kernel's gradient where the kernel is 1x1, or its outputs are few beside the
             inputs, as a DenseNet's; a matrix product. 1x1 from 64 channels to 128 on maps of
             32x32: 22 ms instead of 50.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

LAYOUT = ('NHWC', 'HWIO', 'NHWC')
_inner = contextvars.ContextVar('inner', default=False)
_plain = contextvars.ContextVar('plain', default=False)

Padding = tuple[tuple[int, int], ...]


@contextlib.contextmanager
def inner_computation() -> Iterator[None]:
  """Within it the body of a loop, or the branch of a conditional, is traced."""
  token = _inner.set(True)
  try:
    yield
  finally:
    _inner.reset(token)


@contextlib.contextmanager
def plain() -> Iterator[None]:
  """Within it the convolutions of accelerators are traced, for their operations to be counted."""
  token = _plain.set(True)
  try:
    yield
  finally:
    _plain.reset(token)


def conv_general_dilated(
  x: jax.Array, kernel: jax.Array, strides: Sequence[int], padding: Any, **fields: Any
) -> jax.Array:
  """As `jax.lax.conv_general_dilated`; the form is chosen here.

  Args:
    x: `[batch, height, width, inputs]`.
    kernel: `[kernel height, kernel width, inputs / groups, outputs]`, of the dtype of `x`.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros; or `SAME` or `VALID`.
    **fields: `feature_group_count`, and what else the original takes.

  Returns:
    `[batch, height', width', outputs]`, of the dtype of `x`.
  """
  groups = fields.get('feature_group_count', 1)
  dilated = any({*(fields.get(name) or ())} - {1} for name in ('lhs_dilation', 'rhs_dilation'))
  if dilated or _plain.get() or jax.default_backend() != 'cpu':
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, **fields)
  if isinstance(padding, str):
    padding = jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
  settings = tuple(strides), tuple((int(low), int(high)) for low, high in padding)
  if groups == x.shape[-1] == kernel.shape[-1]:
    return depthwise_conv(x, kernel, *settings)
  conv = loop_conv if _inner.get() else _main_conv
  if groups == 1:
    return conv(x, kernel, *settings)
  xs, kernels = jnp.split(x, groups, axis=-1), jnp.split(kernel, groups, axis=-1)
  parts = [conv(x, kernel, *settings) for x, kernel in zip(xs, kernels, strict=True)]
  return jnp.concatenate(parts, axis=-1)


class Conv(nn.Module):
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
  kernel_size: tuple[int, int]
  strides: tuple[int, int] = (1, 1)
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
    y = conv_general_dilated(
      jax.lax.convert_element_type(x, self.dtype),
      kernel,
      self.strides,
      self.padding,
      dimension_numbers=LAYOUT,
      feature_group_count=self.feature_group_count,
    )
    if not self.use_bias:
      return y
    bias = self._drawn('bias', self.bias_init, (self.features,))
    return jax.lax.add(y, jax.lax.broadcast_in_dim(bias, y.shape, (3,)))

  def _drawn(
    self, name: str, draw: nn.initializers.Initializer, shape: tuple[int, ...]
  ) -> jax.Array:
    # Not by `self.param`, which traces an initialiser whenever the module is traced.
    make = lambda: draw(self.make_rng('params'), shape, jnp.float32)  # noqa: E731
    return jax.lax.convert_element_type(self.variable('params', name, make).value, self.dtype)


def _conv(x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding) -> jax.Array:
  return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=LAYOUT)


def _main_conv(
  x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding
) -> jax.Array:
  """One without groups in the main computation."""
  *taps, inputs, outputs = kernel.shape
  # The kernel's gradient needs the input again, in another order. Unless the compiler is kept from
  # it, it computes it anew for that, from the first block's on: the square of a stage's blocks.
  x = jax.lax.optimization_barrier(x)
  if taps == [1, 1] and padding == ((0, 0), (0, 0)):
    return shifted_conv(x[:, :: strides[0], :: strides[1]], kernel, padding)
  if strides == (1, 1) and taps == [3, 3] and 2 * outputs <= inputs:
    return shifted_conv(x, kernel, padding)
  return _conv(x, kernel, strides, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def shifted_conv(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
  """A convolution whose kernel's gradient is one product, of `x` and shifted gradients.

  Args:
    x: `[batch, height, width, inputs]`.
    kernel: `[kernel height, kernel width, inputs, outputs]`, of the dtype of `x`.
    padding: (above, below), (left, right), of zeros.

  Returns:
    `[batch, height', width', outputs]`, of the dtype of `x`.
  """
  return _conv(x, kernel, (1, 1), padding)


def _shifted_forward(x, kernel, padding):
  return shifted_conv(x, kernel, padding), (x, kernel)


def _shifted_backward(padding, saved, gradient):
  x, kernel = saved
  (to_x,) = jax.linear_transpose(lambda x: _conv(x, kernel, (1, 1), padding), x)(gradient)
  (batch, height, width, inputs), (rows, columns, _, outputs) = x.shape, kernel.shape
  around = [
    (taps - 1 - before, taps - 1 - after, 0)
    for taps, (before, after) in zip((rows, columns), padding, strict=True)
  ]
  padded = jax.lax.pad(gradient, jnp.zeros((), gradient.dtype), ((0, 0, 0), *around, (0, 0, 0)))
  # What an input is multiplied by on its way to an output, for all taps of the kernel.
  shifted = [
    padded[:, row : row + height, column : column + width]
    for row in reversed(range(rows))
    for column in reversed(range(columns))
  ]
  # XLA takes half the time for several products of some of the pixels that it takes for one.
  parts = math.gcd(batch * height * width, 4)
  product = jax.lax.dot_general(
    x.reshape(parts, -1, inputs),
    jnp.concatenate(shifted, axis=-1).reshape(parts, -1, rows * columns * outputs),
    (((1,), (1,)), ((0,), (0,))),
    preferred_element_type=jnp.float32,
  )
  to_kernel = jnp.sum(product, 0).reshape(inputs, rows, columns, outputs)
  return to_x, jnp.transpose(to_kernel, (1, 2, 0, 3)).astype(kernel.dtype)


shifted_conv.defvjp(_shifted_forward, _shifted_backward)


def depthwise_conv(
  x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding
) -> jax.Array:
  """Each channel convolved by itself.

  Args:
    x: `[batch, height, width, channels]`.
    kernel: `[kernel height, kernel width, 1, channels]`, of the dtype of `x`.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros.

  Returns:
    `[batch, height', width', channels]`, of the dtype of `x`; summed in float32.
  """
  padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  spans = [
    (size - taps) // stride * stride + 1
    for size, taps, stride in zip(padded.shape[1:3], kernel.shape[:2], strides, strict=True)
  ]
  total = jnp.zeros((), jnp.float32)
  for row in range(kernel.shape[0]):
    for column in range(kernel.shape[1]):
      seen = padded[:, row : row + spans[0] : strides[0], column : column + spans[1] : strides[1]]
      total += seen.astype(jnp.float32) * kernel[row, column, 0].astype(jnp.float32)
  return total.astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def loop_conv(
  x: jax.Array, kernel: jax.Array, strides: tuple[int, ...], padding: Padding
) -> jax.Array:
  """A convolution without groups or dilation.

  Args:
    x: `[batch, height, width, inputs]`.
    kernel: `[kernel height, kernel width, inputs, outputs]`, of the dtype of `x`.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros.

  Returns:
    `[batch, height', width', outputs]`, of the dtype of `x`.
  """
  return _conv(x, kernel, strides, padding)


def _forward(x, kernel, strides, padding):
  return loop_conv(x, kernel, strides, padding), (x, kernel)


def _backward(strides, padding, saved, gradient):
  x, kernel = saved
  to_x, to_kernel = [], []
  for i, stride in enumerate(strides):
    size, taps, (before, _) = x.shape[i + 1], kernel.shape[i], padding[i]
    spread = (gradient.shape[i + 1] - 1) * stride + 1  # the gradient's extent among the inputs
    to_x.append((taps - 1 - before, size + before - spread))
    to_kernel.append((before, spread + taps - 1 - size - before))
  conv = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=LAYOUT)
  turned = jnp.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
  x_gradient = conv(gradient, turned, (1, 1), to_x, lhs_dilation=strides)
  # The batch is summed over, so it takes the place of the channels, and they that of the batch.
  kernel_gradient = conv(
    jnp.transpose(x, (3, 1, 2, 0)),
    jnp.transpose(gradient, (1, 2, 0, 3)),
    (1, 1),
    to_kernel,
    rhs_dilation=strides,
  )
  return x_gradient, jnp.transpose(kernel_gradient, (1, 2, 0, 3))


loop_conv.defvjp(_forward, _backward)
