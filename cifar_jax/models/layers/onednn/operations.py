"""The convolution of oneDNN and its gradients, under differentiation, `vmap` and a mesh.

A convolution is linear in its images and in its kernel. So its two gradients, and theirs, are the
same three operations again, and each is differentiable as often as needed.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from cifar_jax.models.layers.onednn.library import load

Pair = tuple[int, int]


class Window(NamedTuple):
  """How a kernel passes over images.

  Attributes:
    size: height and width of the images.
    taps: height and width of the kernel.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros.
    groups: groups of channels that are convolved separately.
  """

  size: Pair
  taps: Pair
  strides: Pair
  padding: tuple[Pair, Pair]
  groups: int


def convolve(
  x: jax.Array, kernel: jax.Array, strides: Pair, padding: tuple[Pair, Pair], groups: int
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
  _, height, width, _ = x.shape
  rows, columns, _, _ = kernel.shape
  window = Window((height, width), (rows, columns), strides, padding, groups)
  return convolution(x, kernel, window)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolution(x: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """`[batch, height', width', outputs]` of `x` and `kernel`, as in `convolve`."""

  def compute(x: jax.Array, kernel: jax.Array) -> jax.Array:
    axes = zip(window.size, window.padding, window.taps, window.strides, strict=True)
    size = [(length + sum(pad) - taps) // stride + 1 for length, pad, taps, stride in axes]
    return _call('convolution', (len(x), *size, kernel.shape[3]), x, kernel, window)

  return split_batch(compute, (x, kernel), (True, False), True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def input_gradient(gradient: jax.Array, kernel: jax.Array, window: Window) -> jax.Array:
  """The gradient of the images, `[batch, height, width, inputs]`.

  Args:
    gradient: of the result, `[batch, height', width', outputs]`.
    kernel: as in `convolve`.
    window: as in the convolution.
  """

  def compute(gradient: jax.Array, kernel: jax.Array) -> jax.Array:
    shape = (len(gradient), *window.size, kernel.shape[2] * window.groups)
    return _call('input_gradient', shape, gradient, kernel, window)

  return split_batch(compute, (gradient, kernel), (True, False), True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def kernel_gradient(x: jax.Array, gradient: jax.Array, window: Window) -> jax.Array:
  """The gradient of the kernel, `[kernel height, kernel width, inputs / groups, outputs]`.

  Args:
    x: `[batch, height, width, inputs]`.
    gradient: of the result, `[batch, height', width', outputs]`.
    window: as in the convolution.
  """

  def compute(x: jax.Array, gradient: jax.Array) -> jax.Array:
    shape = (*window.taps, x.shape[3] // window.groups, gradient.shape[3])
    return _call('kernel_gradient', shape, x, gradient, window)

  return split_batch(compute, (x, gradient), (True, True), False)


def _define_gradients(function: Any, to_first: Callable[..., Any], to_second: Any) -> None:
  """Defines the gradient of an operation, which is linear in each of its two inputs.

  Args:
    function: the operation.
    to_first: maps the result's gradient, the second input and the window to the gradient of the
      first input.
    to_second: the same of the first input, for the second.
  """

  def forward(first: jax.Array, second: jax.Array, window: Window) -> Any:
    return function(first, second, window), (first, second)

  def backward(window: Window, inputs: Any, gradient: jax.Array) -> Any:
    first, second = inputs
    return to_first(gradient, second, window), to_second(first, gradient, window)

  function.defvjp(forward, backward)


_define_gradients(convolution, input_gradient, kernel_gradient)
_define_gradients(
  input_gradient, convolution, lambda gradient, x, window: kernel_gradient(x, gradient, window)
)
_define_gradients(
  kernel_gradient, lambda kernel, gradient, window: input_gradient(gradient, kernel, window),
  convolution,
)  # fmt: skip


def _call(
  target: str, shape: tuple[int, ...], first: jax.Array, second: jax.Array, window: Window
) -> jax.Array:
  """Calls a foreign function; in float32 where the processor is slow with the dtype."""
  library, dtype = load(), first.dtype
  assert library, 'oneDNN is used only where it is loaded'
  if dtype not in library.dtypes:
    first, second = first.astype(jnp.float32), second.astype(jnp.float32)
  (above, below), (left, right) = window.padding
  padding = (above, left, below, right)
  shapes = {
    'convolution': (first.shape, second.shape, shape),
    'input_gradient': (shape, second.shape, first.shape),
    'kernel_gradient': (first.shape, shape, second.shape),
  }[target]
  numbers = [*itertools.chain(*shapes), *window.strides, *padding, window.groups]
  results = [
    jax.ShapeDtypeStruct(shape, first.dtype),
    jax.ShapeDtypeStruct((library.scratch_bytes(target, first.dtype, numbers),), jnp.uint8),
  ]
  call = jax.ffi.ffi_call(f'cifar_jax.{target}', results, vmap_method='broadcast_all')
  attributes = {'strides': np.array(window.strides), 'padding': np.array(padding)}
  y, _ = call(first, second, **attributes, groups=np.int64(window.groups))
  return y.astype(dtype)


def split_batch(
  compute: Callable[[jax.Array, jax.Array], jax.Array],
  inputs: tuple[jax.Array, jax.Array],
  has_batch: tuple[bool, bool],
  result_has_batch: bool,
) -> jax.Array:
  """Calls `compute`, on each device of the current mesh with its part of the batch.

  Without this, each device would compute the whole batch: XLA cannot split a foreign function.

  Args:
    compute: a function of two arrays.
    inputs: the two arrays, `[batch, ...]` where they have a batch.
    has_batch: whether the first axis of each is the batch. Otherwise all devices have all of it.
    result_has_batch: the same of the result. Otherwise the devices' results are summed.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.size < 2 or AxisType.Manual in mesh.axis_types or len(inputs[0]) % mesh.size:
    return compute(*inputs)

  def on_one_device(*parts: jax.Array) -> jax.Array:
    result = compute(*parts)
    if result_has_batch:
      return result
    # In float32, so that the sum over the devices is rounded once.
    total = jax.lax.psum(result.astype(jnp.float32), mesh.axis_names)
    return total.astype(result.dtype)

  split, whole = PartitionSpec(mesh.axis_names), PartitionSpec()
  specs = tuple(split if batched else whole for batched in has_batch)
  return jax.shard_map(
    on_one_device, in_specs=specs, out_specs=split if result_has_batch else whole, check_vma=False
  )(*inputs)
