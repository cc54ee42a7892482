"""The sums for each channel that batch normalisation takes, in one pass over its arrays."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from cifar_jax.models.layers.onednn.operations import split_batch

ROWS = 128  # at most, in each of the parts that are summed in turn
DTYPES = (jnp.float32, jnp.bfloat16)  # others are computed in float32


@jax.custom_vjp
def channel_sums(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The sum of `a` and the sum of `a * b` for each channel.

  The sums are the same to the bit for any number of threads.

  Args:
    a: `[batch, ..., channels]` of any float dtype.
    b: of the shape and dtype of `a`.

  Returns:
    Two arrays `[channels]`, summed in float32.
  """
  sums = split_batch(_call, (a, b), (True, True), False)
  return sums[0], sums[1]


def _call(a: jax.Array, b: jax.Array) -> jax.Array:
  """Calls the foreign function; both sums in one array, float32 `[2, channels]`."""
  if a.dtype not in DTYPES:
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
  channels = a.shape[-1]
  rows = math.prod(a.shape[:-1])
  results = [
    jax.ShapeDtypeStruct((2, channels), jnp.float32),
    jax.ShapeDtypeStruct((-(-rows // ROWS), 2, channels), jnp.float32),  # scratch space
  ]
  call = jax.ffi.ffi_call('cifar_jax.channel_sums', results, vmap_method='broadcast_all')
  return call(a.reshape(rows, channels), b.reshape(rows, channels))[0]


def _forward(a: jax.Array, b: jax.Array) -> Any:
  return channel_sums(a, b), (a, b)


def _backward(inputs: tuple[jax.Array, jax.Array], gradients: Any) -> tuple[jax.Array, jax.Array]:
  a, b = inputs
  of_sum, of_product = gradients
  to_a = of_sum + of_product * b.astype(jnp.float32)
  to_b = of_product * a.astype(jnp.float32)
  return to_a.astype(a.dtype), to_b.astype(b.dtype)


channel_sums.defvjp(_forward, _backward)
