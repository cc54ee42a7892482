"""Maximum pooling on CPUs has the values and gradients of Flax's."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.models import layers

WINDOWS = [  # height, width, size, stride, padding
  (8, 8, 2, 2, (0, 0)),
  (9, 8, 2, 2, (0, 0)),
  (8, 8, 3, 2, (1, 1)),
  (8, 7, 3, 2, (0, 1)),
  (7, 7, 3, 2, (0, 0)),
  (6, 5, 3, 1, (1, 1)),
  (7, 6, 2, 3, (0, 0)),
  (3, 3, 3, 3, (1, 1)),
  (4, 4, 2, 2, (1, 0)),
]


def of_flax(x: jax.Array, size: int, stride: int, padding: tuple[int, int]) -> jax.Array:
  return nn.max_pool(x, (size, size), strides=(stride, stride), padding=(padding, padding))


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize(('height', 'width', 'size', 'stride', 'padding'), WINDOWS)
def test_values_and_gradients_are_those_of_flax(
  height: int, width: int, size: int, stride: int, padding: tuple[int, int], dtype: str
) -> None:
  keys = jax.random.split(jax.random.key(0), 2)
  # Few different values, so that many windows have their maximum more than once.
  x = jax.random.randint(keys[0], (3, height, width, 4), -2, 2).astype(dtype)

  @functools.partial(jax.jit, static_argnums=0)
  def values_and_gradient(pool: Any, x: jax.Array) -> Any:
    y, pull = jax.vjp(lambda x: pool(x, size, stride, padding), x)
    return y, *pull(jax.random.normal(keys[1], y.shape, jnp.float32).astype(dtype))

  got, expected = values_and_gradient(layers.max_pool, x), values_and_gradient(of_flax, x)
  for ours, theirs in zip(got, expected, strict=True):
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(
      ours.astype('float32'), theirs.astype('float32'), atol=2e-6 if dtype == 'float32' else 6e-2
    )


def test_windows_are_a_form_of_tpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
  trace = lambda: str(jax.make_jaxpr(lambda x: layers.max_pool(x, 2, 2))(jnp.ones((1, 4, 4, 1))))  # noqa: E731
  assert 'reduce_window' not in trace()
  with layers.plain_forms():
    assert 'reduce_window' in trace()
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert 'reduce_window' not in trace()  # whose gradient would scatter
  monkeypatch.setattr(jax, 'default_backend', lambda: 'tpu')
  assert 'reduce_window' in trace()
