"""Convolutions for CPUs without oneDNN, written so that XLA finds its fast kernels.

In four cases XLA runs `jax.lax.conv_general_dilated`, or its gradients, as naive loops on CPUs (two
cores, jaxlib 0.10.2). The forms here:

  in loops   The compiler brings convolutions into the form of its kernels in the main computation
             only. Inside loops and conditionals the gradients have that form from the start. A step
             of a scanned ResNet-110 took 49 s, and an unrolled one takes 3 s; a step of ResNet-20
             with stochastic depth at batch 32 takes 0.2 s instead of 4.2.
  inputs     A barrier keeps each input for the backward pass; `devices.KEEP_BARRIERS` has the
             compiler respect barriers. Otherwise an input is computed again together with all
             blocks before it. ResNet-110's step: 3.1 s instead of 7.5. The gradients of outputs are
             kept in the same way.
  grouped    Convolutions in groups are computed group by group. 8 groups of 32 channels on maps of
             32x32: 68 ms instead of 3.5 s.
  depthwise  Convolutions with one channel per group are a sum over the taps of the kernel. 120
             channels, 5x5 taps at stride 2: 34 ms instead of 283.
"""

import functools
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
    groups: groups of channels that are convolved separately.

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
  """A convolution of each channel by itself, summed in float32.

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
      weights = kernel[row, column].reshape(1, 1, 1, -1).astype(jnp.float32)
      total += seen.astype(jnp.float32) * weights
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
  return _conv_with_gradient(x, kernel, strides, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_with_gradient(
  x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  return _conv(x, kernel, strides, padding)


def _forward(x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding) -> Any:
  # The kernel's gradient needs the input again, transposed. Without a barrier the compiler computes
  # the input again for it, from the first block on: the square of a stage's blocks.
  x = jax.lax.optimization_barrier(x)
  return _conv(x, kernel, strides, padding), (x, kernel)


def _backward(
  strides: Pair, padding: Padding, residuals: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
  x, kernel = residuals
  # The gradient has two uses. Without a barrier it is computed for each of them, together with the
  # gradients of all layers after it.
  gradient = jax.lax.optimization_barrier(gradient)
  return (
    _input_gradient(x, kernel, gradient, strides, padding),
    _kernel_gradient(x, kernel, gradient, strides, padding),
  )


_conv_with_gradient.defvjp(_forward, _backward)


def _input_gradient(
  x: jax.Array, kernel: jax.Array, gradient: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  """The gradient of the input: one convolution with the rotated kernel."""
  around = [
    (taps - 1 - before, size + before - spread)
    for size, taps, before, spread in _extents(x, kernel, gradient, strides, padding)
  ]
  rotated = jnp.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
  return _conv(gradient, rotated, (1, 1), around, lhs_dilation=strides)


def _kernel_gradient(
  x: jax.Array, kernel: jax.Array, gradient: jax.Array, strides: Pair, padding: Padding
) -> jax.Array:
  """The gradient of the kernel: one convolution, whose channels are the batch."""
  around = [
    (before, spread + taps - 1 - size - before)
    for size, taps, before, spread in _extents(x, kernel, gradient, strides, padding)
  ]
  images, filters = jnp.transpose(x, (3, 1, 2, 0)), jnp.transpose(gradient, (1, 2, 0, 3))
  return jnp.transpose(_conv(images, filters, (1, 1), around, rhs_dilation=strides), (1, 2, 0, 3))


def _extents(
  x: jax.Array, kernel: jax.Array, gradient: jax.Array, strides: Pair, padding: Padding
) -> list[tuple[int, int, int, int]]:
  """For each axis: input size, taps, padding before, and the input size that the outputs span."""
  sizes = x.shape[1:3], kernel.shape[:2], gradient.shape[1:3]
  return [
    (size, taps, before, (outputs - 1) * stride + 1)
    for size, taps, outputs, stride, (before, _) in zip(*sizes, strides, padding, strict=True)
  ]
