"""Batch normalisation, compared with Flax's, whose gradient JAX derives."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.models import layers

RANDOM = np.random.RandomState(0)
# Channels of different means and deviations, one of them constant.
X = RANDOM.normal([1.0, -2.0, 0.0], [0.5, 3.0, 0.0], (4, 5, 6, 3)).astype(np.float32)
WEIGHTS = RANDOM.standard_normal(X.shape).astype(np.float32)  # the loss weighs the result by them
VARIABLES = {
  'params': {'scale': jnp.array([0.5, -1.5, 2.0]), 'bias': jnp.array([0.1, 0.2, -0.3])},
  'batch_stats': {'mean': jnp.array([0.9, -1.0, 0.4]), 'var': jnp.array([0.2, 4.0, 1.3])},
}


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def results_and_gradients(module: Any, train: bool, dtype: str) -> Any:
  """The result, the updated statistics, and the gradients of the parameters and the input."""
  norm = module(use_running_average=not train, momentum=0.9, epsilon=1e-5, dtype=dtype)

  def loss(params: Any, x: Any) -> Any:
    variables = {'params': params, 'batch_stats': VARIABLES['batch_stats']}
    y, updates = norm.apply(variables, x, mutable=['batch_stats'])
    return jnp.sum(y.astype(jnp.float32) * WEIGHTS), (y, updates)

  gradients, (y, updates) = jax.grad(loss, (0, 1), has_aux=True)(
    VARIABLES['params'], jnp.asarray(X, dtype)
  )
  return y, updates, gradients


@pytest.mark.parametrize('train', [True, False])
def test_results_and_gradients_are_those_of_flax_in_float32(train: bool) -> None:
  ours, flax = (
    results_and_gradients(layers.BatchNorm, train, 'float32'),
    results_and_gradients(nn.BatchNorm, train, 'float32'),
  )
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=2e-5, atol=2e-5), ours, flax)


def test_only_activations_are_rounded_in_bfloat16() -> None:
  y, updates, (to_params, to_x) = results_and_gradients(layers.BatchNorm, True, 'bfloat16')
  exact, exact_updates, (exact_to_params, exact_to_x) = results_and_gradients(
    layers.BatchNorm, True, 'float32'
  )
  assert y.dtype == to_x.dtype == jnp.bfloat16
  assert {leaf.dtype for leaf in jax.tree.leaves((updates, to_params))} == {jnp.dtype('float32')}
  close = functools.partial(np.testing.assert_allclose, rtol=0.02, atol=0.02)
  jax.tree.map(close, (updates, to_params['bias']), (exact_updates, exact_to_params['bias']))
  varying = np.s_[..., :2]  # the constant channel's gradient is rounding, multiplied by 1 / 0.003
  close(y[varying].astype(np.float32), exact[varying], atol=0.05)
  close(to_x[varying].astype(np.float32), exact_to_x[varying], atol=0.1)


def test_the_backward_pass_keeps_the_input_once_and_in_its_dtype() -> None:
  norm = layers.BatchNorm(use_running_average=False, dtype='bfloat16')

  def residuals(x: jax.Array) -> Any:
    apply = lambda x: norm.apply(VARIABLES, x, mutable=['batch_stats'])[0]  # noqa: E731
    return jax.vjp(apply, x)[1]

  leaves = jax.tree.leaves(jax.eval_shape(residuals, jnp.asarray(X, 'bfloat16')))
  assert [leaf.dtype for leaf in leaves if leaf.shape == X.shape] == [jnp.bfloat16]


def test_initialising_does_not_update_the_statistics() -> None:
  variables = layers.BatchNorm(use_running_average=False).init(jax.random.key(0), X)
  assert not np.any(variables['batch_stats']['mean']) and np.all(
    variables['batch_stats']['var'] == 1
  )


def test_second_derivatives_are_those_of_flax() -> None:
  variables = jax.tree.map(lambda leaf: leaf[:2], VARIABLES)  # the third channel is constant

  def of_gradient(module: Any) -> jax.Array:
    norm = module(use_running_average=False, momentum=0.9, epsilon=1e-5)

    def loss(x: jax.Array) -> jax.Array:
      return jnp.sum(jnp.sin(norm.apply(variables, x, mutable=['batch_stats'])[0]))

    return jax.jit(jax.grad(lambda x: jnp.vdot(jax.grad(loss)(x), WEIGHTS[..., :2])))(X[..., :2])

  ours, flax = of_gradient(layers.BatchNorm), of_gradient(nn.BatchNorm)
  np.testing.assert_allclose(ours, flax, rtol=1e-4, atol=1e-4)
