"""The sums of batch normalisation as a foreign function: exact, differentiable, repeatable."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cifar_jax.models.layers import onednn
from cifar_jax.runtime.devices import jit_step

pytestmark = pytest.mark.skipif(not onednn.load(), reason='the foreign functions cannot be built')

SHAPES = [(8, 5, 3, 12), (1, 4), (300, 33), (16, 9, 9, 1), (0, 3, 5)]


def draw(shape: tuple[int, ...], dtype: Any = 'float32') -> Any:
  keys = jax.random.split(jax.random.key(0))
  return tuple(jax.random.normal(key, shape, dtype) for key in keys)


def plain(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The sums as operations of JAX."""
  a, b = a.astype(jnp.float32), b.astype(jnp.float32)
  axes = tuple(range(a.ndim - 1))
  return jnp.sum(a, axes), jnp.sum(a * b, axes)


def values_and_gradients(sums: Any, a: jax.Array, b: jax.Array) -> Any:
  """Both sums and the gradients of both arrays along a fixed direction."""
  values, pull = jax.vjp(sums, a, b)
  direction = jnp.sin(jnp.arange(a.shape[-1], dtype=jnp.float32))
  return values, pull((direction, 2 * direction))


def assert_close(ours: Any, theirs: Any) -> None:
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
    assert a.dtype == b.dtype and a.shape == b.shape
    got, expected = np.asarray(a, np.float64), np.asarray(b, np.float64)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.ci
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
@pytest.mark.parametrize('shape', SHAPES, ids=str)
def test_values_and_gradients_are_those_of_jax(shape: tuple[int, ...], dtype: str) -> None:
  ours, theirs = (
    jax.jit(functools.partial(values_and_gradients, sums))(*draw(shape, dtype))
    for sums in (onednn.channel_sums, plain)
  )
  assert_close(ours, theirs)


@pytest.mark.parametrize('in_axes', [(0, 0), (0, None)])
def test_vmap_takes_the_sums_of_each(in_axes: Any) -> None:
  a, b = draw((3, 4, 150, 5))
  b = b if in_axes[1] == 0 else b[0]
  ours, theirs = (
    jax.vmap(functools.partial(values_and_gradients, sums), in_axes)(a, b)
    for sums in (onednn.channel_sums, plain)
  )
  assert_close(ours, theirs)


def test_a_mesh_sums_over_all_devices() -> None:
  arrays = draw((16, 4, 4, 6))
  mesh = Mesh(np.array(jax.devices()), ('data',))
  split = jax.device_put(arrays, NamedSharding(mesh, PartitionSpec('data')))
  whole = jax.device_put(jnp.zeros(6), NamedSharding(mesh, PartitionSpec()))

  def step(start: jax.Array, a: jax.Array, b: jax.Array) -> Any:
    total, product = onednn.channel_sums(a, b)
    return start + total, product

  jitted: Any = jit_step(step, mesh)
  compiled = jitted.lower(whole, *split).compile()
  (call,) = [line for line in compiled.as_text().splitlines() if 'cifar_jax.' in line]
  assert '[32,6]' in call  # 2 of 16 images for each of 8 devices
  assert_close(compiled(whole, *split), plain(*arrays))


def test_sums_of_many_rows_are_accurate_and_the_same_each_time() -> None:
  a = 100 + draw((200_000, 2))[0]
  run = jax.jit(onednn.channel_sums)
  first = run(a, a)
  wide = np.asarray(a, np.float64)
  for ours, exact in zip(first, (wide.sum(0), (wide * wide).sum(0)), strict=True):
    np.testing.assert_allclose(ours, exact, rtol=2e-7)
  for _ in range(20):
    jax.tree.map(np.testing.assert_array_equal, run(a, a), first)
