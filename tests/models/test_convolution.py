"""The convolutions for CPUs against jax.lax's own, value and gradients."""

import contextlib
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import convolution

SHAPES = [  # height, width, kernel, stride, padding
  (8, 8, 3, 1, (1, 1)),
  (8, 8, 3, 2, (1, 1)),
  (8, 8, 1, 1, (0, 0)),
  (8, 8, 1, 2, (0, 0)),
  (9, 7, 3, 2, (1, 1)),
  (7, 8, 3, 2, (0, 2)),
]


@pytest.mark.parametrize(('height', 'width', 'taps', 'stride', 'padding'), SHAPES)
@pytest.mark.parametrize(('inputs', 'outputs'), [(3, 4), (6, 2)])
@pytest.mark.parametrize('is_inner', [False, True], ids=['main', 'inner'])
def test_it_is_the_convolution_of_jax(
  is_inner, inputs, outputs, height, width, taps, stride, padding
):
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (2, height, width, inputs))
  kernel = jax.random.normal(keys[1], (taps, taps, inputs, outputs))

  def gradients(conv):
    apply = functools.partial(conv, dimension_numbers=convolution.LAYOUT)
    arguments = ((stride, stride), (padding, padding))
    value, vjp = jax.vjp(lambda x, kernel: apply(x, kernel, *arguments), x, kernel)
    return value, *vjp(jax.random.normal(keys[2], value.shape))

  expected = gradients(jax.lax.conv_general_dilated)
  with convolution.inner_computation() if is_inner else contextlib.nullcontext():
    got = gradients(convolution.conv_general_dilated)
  for ours, plain in zip(got, expected, strict=True):
    np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize('groups,inputs,outputs', [(2, 4, 6), (4, 4, 4), (4, 4, 8), (1, 3, 2)])
@pytest.mark.parametrize('stride,padding', [(1, 'SAME'), (2, 'SAME'), (2, ((1, 1), (0, 2)))])
def test_groups_and_channels_by_themselves(groups, inputs, outputs, stride, padding, dtype):
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (2, 9, 8, inputs), dtype)
  kernel = jax.random.normal(keys[1], (3, 3, inputs // groups, outputs), dtype)
  fields = {'dimension_numbers': convolution.LAYOUT, 'feature_group_count': groups}

  @functools.partial(jax.jit, static_argnums=0)
  def apply(conv, x, kernel, cotangent):
    value, vjp = jax.vjp(lambda x, k: conv(x, k, (stride, stride), padding, **fields), x, kernel)
    return value, vjp(cotangent)

  like = jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, **fields)
  cotangent = jax.random.normal(keys[2], like.shape, dtype)
  expected = apply(jax.lax.conv_general_dilated, x, kernel, cotangent)
  got = apply(convolution.conv_general_dilated, x, kernel, cotangent)
  close = {'rtol': 1e-4, 'atol': 1e-4} if dtype == 'float32' else {'rtol': 0.03, 'atol': 0.15}
  for ours, plain in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert ours.dtype == plain.dtype
    np.testing.assert_allclose(ours.astype('float32'), plain.astype('float32'), **close)


@pytest.mark.parametrize(
  'fields',
  [
    {},
    {'strides': (2, 2), 'padding': ((1, 1), (1, 1)), 'use_bias': False},
    {'feature_group_count': 2, 'bias_init': nn.initializers.normal(1.0)},
    {'dtype': jnp.bfloat16},
  ],
  ids=['plain', 'strided', 'grouped', 'bfloat16'],
)
def test_the_layer_is_flax_in_draws_and_results(fields):
  ours, flax = convolution.Conv(8, (3, 3), **fields), nn.Conv(8, (3, 3), **fields)
  x = jax.random.normal(jax.random.key(1), (2, 6, 6, 4))
  drawn = [jax.jit(layer.init)(jax.random.key(0), x) for layer in (ours, flax)]
  assert jax.tree.structure(drawn[0]) == jax.tree.structure(drawn[1])
  assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), *drawn))
  got, expected = (jax.jit(layer.apply)(drawn[0], x) for layer in (ours, flax))
  assert got.dtype == expected.dtype
  np.testing.assert_allclose(
    got.astype('float32'), expected.astype('float32'), rtol=2e-2 if 'dtype' in fields else 1e-5,
    atol=1e-5,
  )  # fmt: skip


def traced(groups, taps=3, outputs=4, **more):
  """The program of a convolution of 4 channels."""
  x, kernel = jnp.ones((1, 4, 4, 4)), jnp.ones((taps, taps, 4 // groups, outputs))
  fields = {'dimension_numbers': convolution.LAYOUT, 'feature_group_count': groups, **more}
  conv = lambda x, k: convolution.conv_general_dilated(x, k, (1, 1), 'SAME', **fields)  # noqa: E731
  return str(jax.make_jaxpr(conv)(x, kernel))


def test_a_branch_that_may_be_skipped_has_the_inner_form():
  net = models.create('resnet8', survival_probability=0.5)

  def train(variables, images, key):
    return net.apply(
      variables, images, train=True, mutable=['batch_stats'], rngs={'drop_path': key}
    )

  images = jnp.zeros((2, 8, 8, 3))
  program = jax.make_jaxpr(train)(models.abstract_variables(net), images, jax.random.key(0))
  assert str(program).count('loop_conv') == 2 * net.num_blocks


def test_which_form_is_taken(monkeypatch):
  assert 'custom_vjp' not in traced(1) and traced(1).count('conv_general_dilated') == 1
  assert 'optimization_barrier' in traced(1)
  assert 'shifted_conv' in traced(1, taps=1) and 'shifted_conv' in traced(1, outputs=2)
  assert traced(2).count('conv_general_dilated') == 2
  assert 'conv_general_dilated' not in traced(4)
  assert 'rhs_dilation=(2, 2)' in traced(2, rhs_dilation=(2, 2))
  with convolution.inner_computation():
    assert 'custom_vjp' in traced(1) and traced(2).count('custom_vjp_call') == 2
    with convolution.plain():
      assert 'custom_vjp' not in traced(1) and 'feature_group_count=2' in traced(2)
  with convolution.plain():
    assert 'feature_group_count=4' in traced(4)
    assert 'optimization_barrier' not in traced(1)
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert 'optimization_barrier' not in traced(1) and 'shifted_conv' not in traced(1, taps=1)
  with convolution.inner_computation():
    assert 'custom_vjp' not in traced(1) and 'feature_group_count=4' in traced(4)
