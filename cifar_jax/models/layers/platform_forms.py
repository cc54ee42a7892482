"""The form of an operation on each platform, and the barriers that CPUs need.

Accelerators get `jax.lax.conv_general_dilated`; GPUs in 16 bits get zero channels up to a multiple
of what their tensor cores want. CPUs get oneDNN's convolutions, or where these cannot be used the
forms of `cpu_conv.py`.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from cifar_jax.models.layers import cpu_conv, onednn
from cifar_jax.models.layers.cpu_conv import LAYOUT, Padding, Pair

# NVIDIA's guide to convolutional layers asks for channels in multiples of 8 where numbers have 16
# bits. XLA's own pass pads to that in float16 only.
TENSOR_CORE_CHANNELS = 8

_PLAIN = 'plain'  # no platform's name
_platform = contextvars.ContextVar('platform', default='')


@contextlib.contextmanager
def forms_for(platform: str) -> Iterator[None]:
  """Within this context the forms of a platform (`cpu`, `gpu`, `tpu`) are traced, on any machine.

  This lowers a program for a platform that this machine lacks.
  """
  token = _platform.set(platform)
  try:
    yield
  finally:
    _platform.reset(token)


def plain_forms() -> contextlib.AbstractContextManager[None]:
  """Within this context bare convolutions are traced, so that their operations can be counted."""
  return forms_for(_PLAIN)


def convolve(
  x: jax.Array, kernel: jax.Array, strides: Pair, padding: Padding | str, groups: int = 1
) -> jax.Array:
  """A convolution in the form that suits the platform.

  Args:
    x: `[batch, height, width, inputs]`.
    kernel: `[kernel height, kernel width, inputs / groups, outputs]`, of the dtype of `x`.
    strides: downwards and to the right.
    padding: (above, below), (left, right), of zeros; or `SAME` or `VALID`.
    groups: groups of channels that are convolved separately.

  Returns:
    `[batch, height', width', outputs]`, of the dtype of `x`.
  """
  if is_for('cpu'):
    if isinstance(padding, str):
      down, right = jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
      padding = down, right
    convolve_on_cpu = onednn.convolve if onednn.load() else cpu_conv.grouped_conv
    return convolve_on_cpu(x, kernel, strides, padding, groups)
  outputs = kernel.shape[-1]
  if is_for('gpu') and groups == 1 and x.dtype.itemsize == 2:
    x, kernel = _pad_to_tensor_cores(x, kernel)
  y = jax.lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=LAYOUT, feature_group_count=groups
  )
  return y if y.shape[-1] == outputs else y[..., :outputs]


def library_of_convolutions() -> str:
  """What computes the convolutions of this process: `oneDNN` or `XLA`."""
  return 'oneDNN' if is_for('cpu') and onednn.load() else 'XLA'


def _pad_to_tensor_cores(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Input and kernel with zero channels up to multiples of 8; few channels stay as they are."""
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


def channel_sums(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The sum of `a` and the sum of `a * b` for each channel, in the form that suits the platform.

  Args:
    a: `[batch, ..., channels]` of any float dtype.
    b: of the shape and dtype of `a`.

  Returns:
    Two arrays `[channels]`, summed in float32.
  """
  if is_for('cpu') and onednn.load():
    return onednn.channel_sums(a, b)
  a, b = (jax.lax.convert_element_type(array, jnp.float32) for array in (a, b))
  axes = tuple(range(a.ndim - 1))
  return jax.lax.reduce_sum(a, axes), jax.lax.reduce_sum(jax.lax.mul(a, b), axes)


def compute_once(x: jax.Array) -> jax.Array:
  """`x`, of any shape, computed a single time on CPUs, and so is its gradient.

  XLA's CPU compiler repeats a cheap operation at each of its uses. It would repeat a residual sum
  with all sums before it, so that time grows with the square of the depth.
  """
  return jax.lax.optimization_barrier(x) if is_for('cpu') else x


def is_for(platform: str) -> bool:
  """Whether the forms of a platform (`cpu`, `gpu`, `tpu`) are to be traced."""
  return (_platform.get() or jax.default_backend()) == platform
