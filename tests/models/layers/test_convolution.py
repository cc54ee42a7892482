"""The convolutions of XLA have the values and gradients of `jax.lax`; forms per platform."""

import functools
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import layers
from cifar_jax.models.layers import cpu_conv, onednn

conv_of_jax = functools.partial(jax.lax.conv_general_dilated, dimension_numbers=cpu_conv.LAYOUT)


@pytest.fixture(autouse=True)
def without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
  """`test_onednn.py` has the tests of the other form for CPUs."""
  monkeypatch.setattr(onednn, 'load', lambda: None)


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
def test_values_and_gradients_are_those_of_jax(
  inputs: int,
  outputs: int,
  height: int,
  width: int,
  taps: int,
  stride: int,
  padding: tuple[int, int],
) -> None:
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (2, height, width, inputs))
  kernel = jax.random.normal(keys[1], (taps, taps, inputs, outputs))

  @functools.partial(jax.jit, static_argnums=0)
  def gradients(conv: Any) -> Any:
    arguments = ((stride, stride), (padding, padding))
    value, vjp = jax.vjp(lambda x, kernel: conv(x, kernel, *arguments), x, kernel)
    return value, *vjp(jax.random.normal(keys[2], value.shape))

  expected, got = gradients(conv_of_jax), gradients(layers.convolve)
  for ours, plain in zip(got, expected, strict=True):
    np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('groups,inputs,outputs', [(2, 4, 6), (4, 4, 4), (4, 4, 8), (1, 3, 2)])
@pytest.mark.parametrize(
  'stride,padding,dtype',
  [
    *((1, 'SAME', 'float32'), (2, 'SAME', 'float32'), (2, ((1, 1), (0, 2)), 'float32')),
    (2, ((1, 1), (0, 2)), 'bfloat16'),
  ],
)
def test_grouped_and_depthwise_convolutions_are_those_of_jax(
  groups: int, inputs: int, outputs: int, stride: int, padding: Any, dtype: str
) -> None:
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (2, 9, 8, inputs), dtype)
  kernel = jax.random.normal(keys[1], (3, 3, inputs // groups, outputs), dtype)
  in_groups = functools.partial(conv_of_jax, feature_group_count=groups)
  ours = functools.partial(layers.convolve, groups=groups)

  @functools.partial(jax.jit, static_argnums=0)
  def apply(conv: Any, x: Any, kernel: Any, cotangent: Any) -> Any:
    value, vjp = jax.vjp(lambda x, k: conv(x, k, (stride, stride), padding), x, kernel)
    return value, vjp(cotangent)

  like = in_groups(x, kernel, (stride, stride), padding)
  cotangent = jax.random.normal(keys[2], like.shape, dtype)
  expected, got = (apply(conv, x, kernel, cotangent) for conv in (in_groups, ours))
  rtol, atol = (1e-4, 1e-4) if dtype == 'float32' else (0.03, 0.15)
  for leaf, plain in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
    assert leaf.dtype == plain.dtype
    np.testing.assert_allclose(
      leaf.astype('float32'), plain.astype('float32'), rtol=rtol, atol=atol
    )


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
def test_the_layer_has_the_initial_values_and_results_of_flax(fields: dict[str, Any]) -> None:
  ours, flax = layers.Conv(8, (3, 3), **fields), nn.Conv(8, (3, 3), **fields)
  x = jax.random.normal(jax.random.key(1), (2, 6, 6, 4))
  variables = [jax.jit(layer.init)(jax.random.key(0), x) for layer in (ours, flax)]
  jax.tree.map(np.testing.assert_array_equal, *variables)  # raises where the structures differ
  got, expected = (jax.jit(layer.apply)(variables[0], x) for layer in (ours, flax))
  assert got.dtype == expected.dtype
  np.testing.assert_allclose(
    got.astype('float32'), expected.astype('float32'), rtol=2e-2 if 'dtype' in fields else 1e-5,
    atol=1e-5,
  )  # fmt: skip


def jaxpr(groups: int, differentiate: bool = True) -> str:
  """The jaxpr of a convolution of 4 channels, or of its gradients."""
  x, kernel = jnp.ones((1, 4, 4, 4)), jnp.ones((3, 3, 4 // groups, 4))
  conv = lambda x, k: layers.convolve(x, k, (1, 1), 'SAME', groups).sum()  # noqa: E731
  return str(jax.make_jaxpr(jax.grad(conv, (0, 1)) if differentiate else conv)(x, kernel))


def test_each_platform_has_its_forms(monkeypatch: pytest.MonkeyPatch) -> None:
  assert jaxpr(1).count('conv_general_dilated') == 3
  assert jaxpr(1).count('optimization_barrier') == 2
  assert 'optimization_barrier' not in jaxpr(1, differentiate=False)
  assert jaxpr(2).count('conv_general_dilated') == 6
  assert 'conv_general_dilated' not in jaxpr(4)
  with layers.plain_forms():
    assert 'feature_group_count=4' in jaxpr(4)
    assert 'optimization_barrier' not in jaxpr(1)
  keep = lambda: str(jax.make_jaxpr(jax.grad(layers.compute_once))(1.0))  # noqa: E731
  assert 'optimization_barrier' in keep()
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert 'optimization_barrier' not in keep()
  assert 'optimization_barrier' not in jaxpr(1)
  assert 'feature_group_count=4' in jaxpr(4)


@pytest.mark.parametrize(
  ('inputs', 'outputs', 'padded'), [(20, 23, (24, 24)), (16, 12, (16, 16)), (3, 16, (3, 16))]
)
def test_gpus_in_16_bits_have_channels_in_multiples_of_eight(
  monkeypatch: pytest.MonkeyPatch, inputs: int, outputs: int, padded: tuple[int, int]
) -> None:
  # Hardly any width of a PyramidNet is a multiple of eight.
  keys = jax.random.split(jax.random.key(0), 2)
  x = jax.random.normal(keys[0], (2, 6, 6, inputs), jnp.bfloat16)
  kernel = jax.random.normal(keys[1], (3, 3, inputs, outputs), jnp.bfloat16)

  def run(x: jax.Array, kernel: jax.Array) -> Any:
    y = layers.convolve(x, kernel, (1, 1), 'SAME')
    return jnp.sum(y.astype(jnp.float32) ** 2), y

  def value_and_gradients() -> Any:
    # A new function each time: JAX would return the compiled program of the other platform.
    return jax.jit(jax.value_and_grad(lambda *a: run(*a), (0, 1), has_aux=True))

  with layers.plain_forms():
    expected = value_and_gradients()(x, kernel)
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  got = value_and_gradients()(x, kernel)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-2, atol=1e-1), got, expected)
  program = lambda *a: str(jax.make_jaxpr(lambda *a: run(*a))(*a))  # noqa: E731
  assert f'bf16[3,3,{padded[0]},{padded[1]}]' in program(x, kernel)
  assert ('pad[' in program(x, kernel)) == (padded != (inputs, outputs))
  assert 'pad[' not in program(x.astype(jnp.float32), kernel.astype(jnp.float32))
  with layers.plain_forms():
    assert 'pad[' not in program(x, kernel)


def test_images_whose_channels_come_first_are_refused_by_shape() -> None:
  net = models.create('resnet8')
  images = jax.ShapeDtypeStruct((2, 3, 32, 32), jnp.float32)  # in PyTorch's order
  with pytest.raises(flax.errors.ScopeParamShapeError, match=r'"kernel" in "stem_conv"'):
    jax.eval_shape(
      lambda variables, images: net.apply(variables, images, train=False),
      models.abstract_variables(net),
      images,
    )
