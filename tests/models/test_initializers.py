"""Initialisers, and their zeros where only shapes matter."""

import flax.linen as nn
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import initializers

SETTINGS = [(2.0, 'fan_out', 'normal'), (1.0, 'fan_in', 'uniform')]
SHAPE = (3, 3, 8, 16)


@pytest.mark.parametrize('settings', SETTINGS, ids=str)
@pytest.mark.parametrize('shape', [SHAPE, (7, 10), (3, 3, 81, 90), (1, 1, 512, 513)], ids=str)
def test_the_draws_are_those_of_flax(settings, shape):
  expected = jax.jit(nn.initializers.variance_scaling(*settings), static_argnums=1)
  drawn = initializers.variance_scaling(*settings)(jax.random.key(3), shape)
  np.testing.assert_array_equal(drawn, expected(jax.random.key(3), shape))


def test_a_net_of_many_shapes_draws_few():
  net = models.create('pyramidnet110_a48')
  made = jax.make_jaxpr(lambda: net.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False))
  assert set(_shapes_of_draws(made().jaxpr)) == {(2**16,)}


def _shapes_of_draws(jaxpr):
  for equation in jaxpr.eqns:
    if equation.primitive.name == 'random_bits':
      yield equation.params['shape']
    for inner in jax.extend.core.jaxprs_in_params(equation.params):
      yield from _shapes_of_draws(inner)


def test_nothing_is_drawn_or_traced_only_within_the_context():
  draw = initializers.variance_scaling(*SETTINGS[0])

  def make(key):
    made = draw(key, SHAPE, jnp.bfloat16), initializers.zeros((3,)), initializers.ones((3,))
    assert [leaf.shape for leaf in made] == [SHAPE, (3,), (3,)]
    assert [str(leaf.dtype) for leaf in made] == ['bfloat16', 'float32', 'float32']
    return made

  key = jax.random.key(0)
  with initializers.shapes_only():
    assert not jax.make_jaxpr(make)(key).eqns
  drawn, zeros, ones = make(key)
  assert np.all(drawn) and not np.any(zeros) and np.all(ones == 1)


def test_asking_for_shapes_leaves_the_initial_weights_as_they_are():
  net, images = models.create('resnet8'), jnp.zeros((1, 8, 8, 3))
  init = jax.jit(lambda: net.init(jax.random.key(0), images, train=False)['params'])
  shapes = models.abstract_variables(net)['params']
  assert all(
    np.any(leaf['kernel']) for name, leaf in init().items() if name in ('stem_conv', 'head')
  )
  assert jax.tree.map(jnp.shape, init()) == jax.tree.map(jnp.shape, shapes)
