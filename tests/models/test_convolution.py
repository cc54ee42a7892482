"""The convolutions for CPUs against jax.lax's own, value and gradients."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.models import convolution
from cifar_jax.models.cpu_convolution import LAYOUT

of_jax = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=LAYOUT)
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
def test_it_is_the_convolution_of_jax(inputs, outputs, height, width, taps, stride, padding):
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (2, height, width, inputs))
  kernel = jax.random.normal(keys[1], (taps, taps, inputs, outputs))

  def gradients(conv):
    arguments = ((stride, stride), (padding, padding))
    value, vjp = jax.vjp(lambda x, kernel: conv(x, kernel, *arguments), x, kernel)
    return value, *vjp(jax.random.normal(keys[2], value.shape))

  expected, got = gradients(of_jax), gradients(convolution.convolve)
  for ours, plain in zip(got, expected, strict=True):
    np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
@pytest.mark.parametrize('groups,inputs,outputs', [(2, 4, 6), (4, 4, 4), (4, 4, 8), (1, 3, 2)])
@pytest.mark.parametrize('stride,padding', [(1, 'SAME'), (2, 'SAME'), (2, ((1, 1), (0, 2)))])
def test_groups_and_channels_by_themselves(groups, inputs, outputs, stride, padding, dtype):
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (2, 9, 8, inputs), dtype)
  kernel = jax.random.normal(keys[1], (3, 3, inputs // groups, outputs), dtype)
  groups_of_jax = functools.partial(of_jax, feature_group_count=groups)
  ours = functools.partial(convolution.convolve, groups=groups)

  @functools.partial(jax.jit, static_argnums=0)
  def apply(conv, x, kernel, cotangent):
    value, vjp = jax.vjp(lambda x, k: conv(x, k, (stride, stride), padding), x, kernel)
    return value, vjp(cotangent)

  like = groups_of_jax(x, kernel, (stride, stride), padding)
  cotangent = jax.random.normal(keys[2], like.shape, dtype)
  expected, got = (apply(conv, x, kernel, cotangent) for conv in (groups_of_jax, ours))
  close = {'rtol': 1e-4, 'atol': 1e-4} if dtype == 'float32' else {'rtol': 0.03, 'atol': 0.15}
  for leaf, plain in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert leaf.dtype == plain.dtype
    np.testing.assert_allclose(leaf.astype('float32'), plain.astype('float32'), **close)


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


def traced(groups, taps=3, outputs=4, differentiate=True):
  """The program of a convolution of 4 channels, or of its gradients."""
  x, kernel = jnp.ones((1, 4, 4, 4)), jnp.ones((taps, taps, 4 // groups, outputs))
  conv = lambda x, k: convolution.convolve(x, k, (1, 1), 'SAME', groups).sum()  # noqa: E731
  return str(jax.make_jaxpr(jax.grad(conv, (0, 1)) if differentiate else conv)(x, kernel))


def test_which_form_is_taken(monkeypatch):
  assert traced(1).count('conv_general_dilated') == 3
  assert traced(1).count('optimization_barrier') == 2
  assert 'optimization_barrier' not in traced(1, differentiate=False)
  for narrow in (traced(1, taps=1), traced(1, outputs=2)):
    assert narrow.count('conv_general_dilated') == 2 and narrow.count('dot_general') == 1
  assert traced(2).count('conv_general_dilated') == 6
  assert 'conv_general_dilated' not in traced(4)
  with convolution.plain():
    assert 'feature_group_count=4' in traced(4)
    assert 'optimization_barrier' not in traced(1)
  keep = lambda: str(jax.make_jaxpr(jax.grad(convolution.kept))(1.0))  # noqa: E731
  assert 'optimization_barrier' in keep()
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert 'optimization_barrier' not in keep()
  assert 'optimization_barrier' not in traced(1) and 'dot_general' not in traced(1, taps=1)
  assert 'feature_group_count=4' in traced(4)


@pytest.mark.parametrize(
  ('inputs', 'outputs', 'padded'), [(20, 23, (24, 24)), (16, 12, (16, 16)), (3, 16, (3, 16))]
)
def test_tensor_cores_are_given_channels_in_eights(monkeypatch, inputs, outputs, padded):
  """As PyramidNet's, in which hardly a width is a multiple of anything."""
  keys = jax.random.split(jax.random.key(0), 2)
  x = jax.random.normal(keys[0], (2, 6, 6, inputs), jnp.bfloat16)
  kernel = jax.random.normal(keys[1], (3, 3, inputs, outputs), jnp.bfloat16)

  def run(x, kernel):
    y = convolution.convolve(x, kernel, (1, 1), 'SAME')
    return jnp.sum(y.astype(jnp.float32) ** 2), y

  value_and_gradients = jax.value_and_grad(run, (0, 1), has_aux=True)
  with convolution.plain():
    expected = value_and_gradients(x, kernel)
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  got = value_and_gradients(x, kernel)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-2, atol=1e-1), got, expected)
  program = lambda *a: str(jax.make_jaxpr(lambda *a: run(*a))(*a))  # noqa: E731 (none kept)
  assert f'bf16[3,3,{padded[0]},{padded[1]}]' in program(x, kernel)
  assert ('pad[' in program(x, kernel)) == (padded != (inputs, outputs))
  assert 'pad[' not in program(x.astype(jnp.float32), kernel.astype(jnp.float32))
  with convolution.plain():
    assert 'pad[' not in program(x, kernel)
