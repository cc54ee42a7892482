"""Convolutions written so that XLA's CPU compiler finds its fast kernels.

On CPUs (two cores, jaxlib 0.10.2) what `jax.lax.conv_general_dilated` gives runs as naive loops, or
worse than need be, in five cases. Here:

  in loops   and conditionals, the gradients: the compiler brings convolutions into the form of its
             kernels in the main computation alone, so they have that form from the start. A scanned
             ResNet-110's step took 49 s, where the unrolled one takes 3; one of ResNet-20 with
             stochastic depth, at batch 32, takes 0.2 s instead of 4.2.
  inputs     are kept for the backward pass by a barrier, which `step.KEEP_BARRIERS` has the
             compiler heed, instead of computed again with all blocks before. ResNet-110's step:
             3.1 s instead of 7.5. So are the gradients of outputs.
  few taps   the kernel's gradient is a matrix product where the kernel is 1x1, or its outputs are
             few beside its inputs, as a DenseNet's. 1x1 from 64 channels to 128 on maps of 32x32:
             22 ms instead of 50.
  grouped    convolutions are taken group by group. 8 groups of 32 channels on maps of 32x32: 68 ms
             instead of 3.5 s.
  depthwise  ones, with groups of a single channel, are a sum over the taps of the kernel. 120
             channels, 5x5 taps at stride 2: 34 ms instead of 283.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

LAYOUT = ('NHWC', 'HWIO', 'NHWC')
Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

_conv = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=LAYOUT)


def grouped_conv(
  x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding, groups: int
) -> jax.Array:
  """A convolution without dilation.

  Args:
    x: `[batch, height, width, inputs]`.
    kernel: `[kernel height, kernel width, inputs / groups, outputs]`, of the dtype of `x`.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros.
    groups: of channels that are convolved by themselves.

  Returns:
    `[batch, height', width', outputs]`, of the dtype of `x`.
  """
  if groups == 1:
    return conv(x, kernel, strides, padding)
  if groups == x.shape[-1] == kernel.shape[-1]:
    return depthwise_conv(x, kernel, strides, padding)
  xs, kernels = jnp.split(x, groups, axis=-1), jnp.split(kernel, groups, axis=-1)
  parts = [conv(x, kernel, strides, padding) for x, kernel in zip(xs, kernels, strict=True)]
  return jnp.concatenate(parts, axis=-1)


def depthwise_conv(x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding) -> jax.Array:
  """Each channel convolved by itself; summed in float32.

  Args:
    x: `[batch, height, width, channels]`.
    kernel: `[kernel height, kernel width, 1, channels]`, of the dtype of `x`.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros.

  Returns:
    `[batch, height', width', channels]`, of the dtype of `x`.
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


def conv(x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding) -> jax.Array:
  """A convolution without groups or dilation.

  Args:
    x: `[batch, height, width, inputs]`.
    kernel: `[kernel height, kernel width, inputs, outputs]`, of the dtype of `x`.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros.

  Returns:
    `[batch, height', width', outputs]`, of the dtype of `x`.
  """
  if kernel.shape[:2] == (1, 1) and padding == ((0, 0), (0, 0)):
    x, strides = x[:, :: strides[0], :: strides[1]], (1, 1)
  return _own_gradient(x, kernel, strides, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _own_gradient(x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding) -> jax.Array:
  return _conv(x, kernel, strides, padding)


def _forward(x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding) -> Any:
  # The kernel's gradient needs the input again, in another order. Unless the compiler is kept from
  # it, it computes it anew for that, from the first block's on: the square of a stage's blocks.
  x = jax.lax.optimization_barrier(x)
  return _conv(x, kernel, strides, padding), (x, kernel)


def _backward(
  strides: Pair, padding: Padding, kept: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
  x, kernel = kept
  # Nor is the gradient computed twice, with those of all layers after it, for its two uses.
  gradient = jax.lax.optimization_barrier(gradient)
  *taps, inputs, outputs = kernel.shape
  is_narrow = taps == [1, 1] or (taps == [3, 3] and 2 * outputs <= inputs)
  to_kernel = _to_kernel_by_product if is_narrow and strides == (1, 1) else _to_kernel
  return (
    _to_input(x, kernel, gradient, strides, padding),
    to_kernel(x, kernel, gradient, strides, padding),
  )


_own_gradient.defvjp(_forward, _backward)


def _to_input(
  x: jax.Array, kernel: jax.Array, gradient: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  """The gradient of the input: one convolution with the turned kernel."""
  around = [
    (taps - 1 - before, size + before - spread)
    for size, taps, before, spread in _extents(x, kernel, gradient, strides, padding)
  ]
  turned = jnp.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
  return _conv(gradient, turned, (1, 1), around, lhs_dilation=strides)


def _to_kernel(
  x: jax.Array, kernel: jax.Array, gradient: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  """The gradient of the kernel: one convolution, in which the batch is summed over as channels."""
  around = [
    (before, spread + taps - 1 - size - before)
    for size, taps, before, spread in _extents(x, kernel, gradient, strides, padding)
  ]
  images, filters = jnp.transpose(x, (3, 1, 2, 0)), jnp.transpose(gradient, (1, 2, 0, 3))
  return jnp.transpose(_conv(images, filters, (1, 1), around, rhs_dilation=strides), (1, 2, 0, 3))


def _to_kernel_by_product(
  x: jax.Array, kernel: jax.Array, gradient: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  """The same, of a stride of one: the product of the input and the gradient at all shifts."""
  del strides
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
    # In memory the same as joined along the channels, but copied sooner.
    jnp.stack(shifted, axis=-2).reshape(parts, -1, rows * columns * outputs),
    (((1,), (1,)), ((0,), (0,))),
    preferred_element_type=jnp.float32,
  )
  to_kernel = jnp.sum(product, 0).reshape(inputs, rows, columns, outputs)
  return jnp.transpose(to_kernel, (1, 2, 0, 3)).astype(kernel.dtype)


def _extents(
  x: jax.Array, kernel: jax.Array, gradient: jax.Array, strides: Pair, padding: Padding
) -> list[tuple[int, int, int, int]]:
  """Of height and width: inputs, taps, padding before, and how many inputs the gradient spans."""
  sizes = x.shape[1:3], kernel.shape[:2], gradient.shape[1:3]
  return [
    (size, taps, before, (outputs - 1) * stride + 1)
    for size, taps, outputs, stride, (before, _) in zip(*sizes, strides, padding, strict=True)
  ]
