"""Initialisers, and the zeros that they return where only shapes matter."""

from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax.extend
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import layers

SETTINGS = [(2.0, 'fan_out', 'normal'), (1.0, 'fan_in', 'uniform'), (1.0, 'fan_avg', 'uniform')]
SHAPE = (3, 3, 8, 16)


@pytest.mark.parametrize('settings', SETTINGS, ids=str)
@pytest.mark.parametrize('shape', [SHAPE, (7, 10), (3, 3, 81, 90), (1, 1, 512, 513)], ids=str)
def test_values_are_those_of_flax(settings: Any, shape: tuple[int, ...]) -> None:
  expected = jax.jit(nn.initializers.variance_scaling(*settings), static_argnums=1)
  values = layers.variance_scaling(*settings)(jax.random.key(3), shape)
  # To the bit with jaxlib 0.10.2; XLA of jaxlib 0.12 rounds the last product otherwise.
  rtol = 0.0 if jaxlib.__version__.startswith('0.10.') else 3e-7
  np.testing.assert_allclose(values, expected(jax.random.key(3), shape), rtol=rtol)


def test_a_net_with_many_shapes_draws_random_bits_of_one_shape() -> None:
  net = models.create('pyramidnet110_a48')
  init = jax.make_jaxpr(lambda: net.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False))
  assert set(shapes_of_random_bits(init().jaxpr)) == {(2**16,)}


def shapes_of_random_bits(jaxpr: jax.extend.core.Jaxpr) -> Iterator[tuple[int, ...]]:
  """The shapes in which a traced computation draws random bits."""
  for equation in jaxpr.eqns:
    if equation.primitive.name == 'random_bits':
      yield equation.params['shape']
    for inner in jax.extend.core.jaxprs_in_params(equation.params):
      yield from shapes_of_random_bits(inner)


def test_within_the_context_nothing_is_drawn_or_traced() -> None:
  initialize = layers.variance_scaling(*SETTINGS[0])

  def init(key: jax.Array) -> jax.Array:
    values = initialize(key, SHAPE, jnp.bfloat16)
    assert values.shape == SHAPE and values.dtype == jnp.bfloat16
    return values

  key = jax.random.key(0)
  with layers.shapes_only():
    equations = jax.make_jaxpr(init)(key).eqns
  assert {equation.primitive.name for equation in equations} <= {'broadcast_in_dim'}
  assert np.all(init(key))


def test_asking_for_shapes_does_not_change_the_initial_weights() -> None:
  net, images = models.create('resnet8'), jnp.zeros((1, 8, 8, 3))
  init = jax.jit(lambda: net.init(jax.random.key(0), images, train=False)['params'])
  shapes = models.abstract_variables(net)['params']
  assert all(
    np.any(leaf['kernel']) for name, leaf in init().items() if name in ('stem_conv', 'head')
  )
  assert jax.tree.map(jnp.shape, init()) == jax.tree.map(jnp.shape, shapes)
