"""Maximum and mean of windows of an image."""

import functools
import itertools
from collections.abc import Iterator

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cifar_jax.errors import InputError
from cifar_jax.models.layers.platform_forms import is_for


def average_pool(x: jax.Array, size: int, stride: int = 0) -> jax.Array:
  """Means of windows of `[batch, height, width, channels]`.

  Args:
    x: `[batch, height, width, channels]`.
    size: height and width of a window.
    stride: distance of two windows; 0 for `size`.

  Returns:
    `[batch, rows, columns, channels]`, a row and a column per window, of the dtype of `x`.
  """
  if size == 1:
    return x
  strides = (stride or size,) * 2
  return nn.pool(x, 0.0, jax.lax.add, (size, size), strides, 'VALID') / x.dtype.type(size**2)


def global_average(x: jax.Array) -> jax.Array:
  """The mean of each channel of a map, at the end of a net.

  Args:
    x: `[batch, height, width, channels]` of any float dtype.

  Returns:
    Float32 `[batch, channels]`.

  Raises:
    InputError: as `check_has_pixels`.
  """
  check_has_pixels(x)
  return jnp.mean(x, axis=(1, 2), dtype=jnp.float32)


def check_has_pixels(x: jax.Array) -> None:
  """Raises InputError if the last map of a net, `[batch, height, width, channels]`, is empty."""
  if 0 in x.shape[1:3]:
    raise InputError('the images are too small for this model: its last map has no pixels')


def max_pool(x: jax.Array, size: int, stride: int, padding: tuple[int, int] = (0, 0)) -> jax.Array:
  """Maxima of windows of `[batch, height, width, channels]`.

  The gradient of a maximum goes to the first value of the window that has it, row by row. A window
  that would end outside the padded image is left out.

  Args:
    x: `[batch, height, width, channels]`, of a float dtype.
    size: height and width of a window.
    stride: distance of two windows.
    padding: pixels of minus infinity before and after, on both axes.

  Returns:
    `[batch, rows, columns, channels]`, a row and a column per window, of the dtype of `x`.
  """
  if is_for('cpu') or is_for('gpu'):
    return _max_pool(x, size, stride, padding)
  return nn.max_pool(x, (size, size), strides=(stride, stride), padding=(padding, padding))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x: jax.Array, size: int, stride: int, padding: tuple[int, int]) -> jax.Array:
  """Elementwise maxima of shifted images.

  Of windows XLA's CPU compiler makes a slow loop, and its GPU compiler a gradient that scatters,
  which deterministic kernels may compute one value after another.
  """
  return functools.reduce(lax.max, _shifted(x, size, stride, padding))


def _forward(
  x: jax.Array, size: int, stride: int, padding: tuple[int, int]
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  best, *others = _shifted(x, size, stride, padding)
  first = jnp.zeros(best.shape, jnp.int8)  # the number of the first value that is the maximum
  for number, value in enumerate(others, start=1):
    first = jnp.where(value > best, jnp.int8(number), first)
    best = lax.max(best, value)
  return best, (first, x[:0])  # of `x` only the shape and dtype are needed


def _backward(
  size: int,
  stride: int,
  padding: tuple[int, int],
  residuals: tuple[jax.Array, jax.Array],
  gradient: jax.Array,
) -> tuple[jax.Array]:
  first, (_, height, width, channels) = residuals[0], residuals[1].shape
  batch, rows, columns, _ = gradient.shape
  tiled = (rows * size, columns * size) == (height, width)
  if size == stride and tiled and padding == (0, 0):
    number = jnp.arange(size * size, dtype=jnp.int8).reshape(1, 1, size, 1, size, 1)
    is_first = first[:, :, None, :, None] == number
    tiles = jnp.where(is_first, gradient[:, :, None, :, None], jnp.zeros((), gradient.dtype))
    return (tiles.reshape(batch, height, width, channels),)
  # Each window's gradient and number at its upper left corner, and nothing between the corners.
  edges = [
    (size - 1 - padding[0], length + padding[0] - (windows - 1) * stride - 1, stride - 1)
    for length, windows in ((height, rows), (width, columns))
  ]
  edges = [(0, 0, 0), *edges, (0, 0, 0)]
  gradient = lax.pad(gradient, jnp.zeros((), gradient.dtype), edges)
  first = lax.pad(first, jnp.int8(-1), edges)
  total = jnp.zeros((batch, height, width, channels), gradient.dtype)
  for index, (row, column) in enumerate(itertools.product(range(size), repeat=2)):
    top, left = size - 1 - row, size - 1 - column
    window = (slice(None), slice(top, top + height), slice(left, left + width))
    total += jnp.where(first[window] == index, gradient[window], jnp.zeros_like(total))
  return (total,)


_max_pool.defvjp(_forward, _backward)


def _shifted(x: jax.Array, size: int, stride: int, padding: tuple[int, int]) -> Iterator[jax.Array]:
  """For each place in a window, row by row, the values of all windows at that place."""
  edges = ((0, 0, 0), (*padding, 0), (*padding, 0), (0, 0, 0))
  padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), edges)
  rows, columns = ((length - size) // stride + 1 for length in padded.shape[1:3])
  for row, column in itertools.product(range(size), repeat=2):
    ends = (row + (rows - 1) * stride + 1, column + (columns - 1) * stride + 1)
    yield padded[:, row : ends[0] : stride, column : ends[1] : stride]
