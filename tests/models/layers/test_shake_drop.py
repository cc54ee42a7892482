"""ShakeDrop: its factors, their place in both passes, and a net that draws them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import layers
from cifar_jax.models.layers import shake_drop
from tests.support import fill
from tests.support.filled import filled_variables

BATCH = 8


def draw(level: str, draws: int = 4000) -> tuple[np.ndarray, np.ndarray]:
  """Draws forward and backward factors of three blocks, float32 `[draws, 3]`."""
  key = jax.random.key(0)
  if level == 'image':
    gates = jax.jit(lambda key: layers.shake_drop_gates(key, 3, draws, 0.5, level))(key)
    assert gates.forward.shape == gates.backward.shape == (3, 1, draws)
    return np.asarray(gates.forward)[:, 0].T, np.asarray(gates.backward)[:, 0].T
  one = lambda key: layers.shake_drop_gates(key, 3, BATCH, 0.5, level)  # noqa: E731
  gates = jax.jit(lambda key: jax.vmap(one)(jax.random.split(key, draws)))(key)
  assert gates.forward.shape == gates.backward.shape == (draws, 3, 1)
  return np.asarray(gates.forward)[..., 0], np.asarray(gates.backward)[..., 0]


@pytest.mark.parametrize('level', shake_drop.LEVELS)
def test_factors_have_the_papers_distributions(level: str) -> None:
  forward, backward = draw(level)
  survival = layers.survival_probabilities(3, 0.5)  # 5/6, 4/6, 3/6
  whole = forward == 1.0
  np.testing.assert_array_equal(whole, backward == 1.0)  # one b for both passes
  np.testing.assert_allclose(whole.mean(axis=0), survival, atol=0.03)
  alpha, beta = forward[~whole], backward[~whole]
  for values, low, high in ((alpha, -1.0, 1.0), (beta, 0.0, 1.0)):  # uniform
    assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
    np.testing.assert_allclose(values.mean(), (low + high) / 2, atol=0.03)
    np.testing.assert_allclose(values.var(), (high - low) ** 2 / 12, atol=0.02)
  assert abs(np.corrcoef(alpha, beta)[0, 1]) < 0.05  # independent of each other
  at_test = layers.shake_drop_gates(None, 3, BATCH, 0.5, level)
  np.testing.assert_allclose(at_test.forward[:, 0], survival, rtol=1e-6)
  np.testing.assert_allclose(forward.mean(axis=0), survival, atol=0.03)  # the expectation


@pytest.mark.parametrize('level', shake_drop.LEVELS)
def test_value_and_gradient_are_multiplied_by_different_factors(level: str) -> None:
  gates = layers.shake_drop_gates(jax.random.key(3), 4, BATCH, 0.01, level).of_block(3)
  shortcut, branch = (jax.random.normal(jax.random.key(s), (BATCH, 2, 2, 3)) for s in (0, 1))
  add = lambda s, b: layers.residual_sum(s, (b,), gates)  # noqa: E731
  value, vjp = jax.vjp(jax.jit(add), shortcut, branch)
  to_shortcut, to_branch = vjp(jnp.ones_like(value))
  alpha, beta = (
    np.broadcast_to(gate[0], BATCH)[:, None, None, None] for gate in (gates.forward, gates.backward)
  )
  assert not np.allclose(alpha, beta)
  np.testing.assert_allclose(value, shortcut + alpha * branch, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(to_branch, np.broadcast_to(beta, branch.shape), rtol=1e-6)
  np.testing.assert_array_equal(to_shortcut, np.ones_like(shortcut))


@pytest.mark.parametrize('level', shake_drop.LEVELS)
def test_a_net_draws_at_its_level_and_computes_every_branch(level: str) -> None:
  model = models.create('pyramidnet8_a6', shake_drop=level, survival_probability=0.01)
  variables, images = filled_variables(model), fill.images(BATCH, 8)

  @jax.jit
  def apply(key: jax.Array) -> Any:
    _, state = model.apply(
      variables, images, train=True, rngs={'shake': key}, mutable=True, capture_intermediates=True
    )
    outputs = state['intermediates']
    branch = outputs['stage3_block1']['norm3']['__call__'][0]
    pooled = layers.average_pool(outputs['stage2_block1']['__call__'][0], 2)
    shortcut = layers.pad_channels(pooled, branch.shape[-1])
    return branch, outputs['stage3_block1']['__call__'][0] - shortcut, state['batch_stats']

  factors, before = [], variables['batch_stats']
  for seed in (0, 1):
    branch, added, statistics = jax.device_get(apply(jax.random.key(seed)))
    factors.append(np.sum(added * branch, (1, 2, 3)) / np.sum(branch**2, (1, 2, 3)))
    np.testing.assert_allclose(added, factors[-1][:, None, None, None] * branch, atol=1e-4)
    for stage in (1, 2, 3):
      old, new = (v[f'stage{stage}_block1']['norm3']['mean'] for v in (before, statistics))
      assert np.all(new != old)
  assert np.min(factors) >= -1 and np.max(factors) < 1 and not np.allclose(*factors)
  assert len(np.unique(np.round(factors[0], 4))) == (BATCH if level == 'image' else 1)
