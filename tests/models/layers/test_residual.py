"""The residual seam, and the conventions of convolutions, norms, shortcuts and heads."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.models import layers

SHAPE = (4, 2, 2, 3)


def normal(seed: int, shape: tuple[int, ...] = SHAPE) -> jax.Array:
  return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize('gate_shape', [(), (4,)])
def test_value_and_gradients_have_different_gates(gate_shape: tuple[int, ...]) -> None:
  shortcut, branch, cotangent = normal(0), normal(1), normal(2)
  forward, backward, through = (jnp.full(gate_shape, value) for value in (0.3, -0.7, 2.0))
  value, vjp = jax.vjp(layers.residual_add, shortcut, branch, forward, backward, through)
  to_shortcut, to_branch, *to_gates = vjp(cotangent)
  np.testing.assert_allclose(value, shortcut + 0.3 * branch, rtol=1e-6)
  np.testing.assert_allclose(to_shortcut, 2.0 * cotangent, rtol=1e-6)
  np.testing.assert_allclose(to_branch, -0.7 * cotangent, rtol=1e-6)
  assert all(not np.any(gradient) for gradient in to_gates)


def test_gates_may_differ_between_images() -> None:
  gate = jnp.array([0.0, 1.0, 0.5, -1.0])
  value = layers.residual_add(jnp.zeros(SHAPE), jnp.ones(SHAPE), gate, gate, jnp.ones(()))
  np.testing.assert_array_equal(value, np.broadcast_to(gate[:, None, None, None], SHAPE))


def test_the_residual_sum_has_the_dtype_of_its_inputs() -> None:
  half = jnp.ones(SHAPE, jnp.bfloat16)
  gate = jnp.float32(0.5)
  value, vjp = jax.vjp(lambda s, b: layers.residual_add(s, b, gate, gate, gate), half, half)
  assert value.dtype == jnp.bfloat16
  assert all(gradient.dtype == jnp.bfloat16 for gradient in vjp(value))


def test_each_branch_has_its_gates_and_the_shortcut_one() -> None:
  shortcut, first, second, cotangent = (normal(seed) for seed in range(4))
  gates = layers.Gates(jnp.array([0.2, 0.8]), jnp.array([0.6, 0.4]), jnp.float32(3.0))
  value, vjp = jax.vjp(
    lambda s, a, b: layers.residual_sum(s, (a, b), gates), shortcut, first, second
  )
  np.testing.assert_allclose(value, shortcut + 0.2 * first + 0.8 * second, rtol=1e-5)
  for gradient, factor in zip(vjp(cotangent), (3.0, 0.6, 0.4), strict=True):
    np.testing.assert_allclose(gradient, factor * cotangent, rtol=1e-6)


def test_a_strided_convolution_starts_at_the_corner_as_in_torch() -> None:
  # With one pixel of padding on each side, the corner pixel meets the centre tap. With Flax's
  # `SAME` it would meet the first tap.
  conv = layers.conv3x3(1, stride=2)
  image = jnp.zeros((1, 4, 4, 1)).at[0, 0, 0, 0].set(1.0)
  kernel = jnp.arange(9.0).reshape(3, 3, 1, 1)
  y: Any = conv.apply({'params': {'kernel': kernel}}, image)
  assert y.shape == (1, 2, 2, 1)
  assert y[0, 0, 0, 0] == kernel[1, 1, 0, 0]


def test_kernels_start_from_an_untruncated_normal_with_fan_out() -> None:
  kernel = layers.he_fan_out(jax.random.key(0), (3, 3, 16, 256), jnp.float32)
  std = np.sqrt(2.0 / (3 * 3 * 256))
  np.testing.assert_allclose(np.std(kernel), std, rtol=0.02)
  assert np.max(np.abs(kernel)) > 3.5 * std  # a truncated one ends at 2.3
  kernel = layers.he_fan_in(jax.random.key(0), (3, 3, 16, 256), jnp.float32)
  np.testing.assert_allclose(np.std(kernel), np.sqrt(2.0 / (3 * 3 * 16)), rtol=0.02)


def test_running_statistics_keep_nine_tenths_of_the_old_value() -> None:
  x = normal(0, (64, 2, 2, 3)) * 2.0 + 5.0
  norm = layers.batch_norm(train=True, dtype=jnp.float32)()
  _, updates = norm.apply(norm.init(jax.random.key(0), x), x, mutable=['batch_stats'])
  np.testing.assert_allclose(
    updates['batch_stats']['mean'], 0.1 * np.mean(x, axis=(0, 1, 2)), rtol=1e-4
  )
  np.testing.assert_allclose(
    updates['batch_stats']['var'], 0.9 + 0.1 * np.var(x, axis=(0, 1, 2)), rtol=1e-4
  )


def test_shortcuts_without_parameters() -> None:
  x = jnp.arange(16.0).reshape(1, 4, 4, 1)
  np.testing.assert_array_equal(layers.subsample(x, 2).ravel(), [0, 2, 8, 10])
  np.testing.assert_array_equal(layers.average_pool(x, 2).ravel(), [2.5, 4.5, 10.5, 12.5])
  padded = layers.pad_channels(x, 3)
  np.testing.assert_array_equal(padded[..., 0], x[..., 0])
  assert not np.any(padded[..., 1:])


def test_head_is_the_mean_and_a_linear_layer_in_float32() -> None:
  class Head(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
      return layers.head(x, 7)

  x = normal(0, (2, 4, 4, 5)).astype(jnp.bfloat16)
  logits, variables = Head().init_with_output(jax.random.key(1), x)
  kernel = variables['params']['head']['kernel']
  assert logits.dtype == jnp.float32
  np.testing.assert_allclose(
    logits, np.mean(np.asarray(x, np.float32), axis=(1, 2)) @ kernel, rtol=1e-5, atol=1e-6
  )
  assert np.max(np.abs(kernel)) <= 1 / np.sqrt(5)
