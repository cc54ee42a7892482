"""The optimizer against Torch's, and each of its settings."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cifar_jax import models
from cifar_jax.config.optimization import OptimizerSettings, ScheduleSettings
from cifar_jax.errors import InputError
from cifar_jax.optim import optimizer, parameter_groups
from cifar_jax.optim.schedules import Schedule, make_schedule
from tests.support.paths import REFERENCE

TORCH = json.loads((REFERENCE / 'torch_sgd.json').read_text())


def schedule(num_steps: int = 300, num_epochs: float = 30.0, **fields: Any) -> Schedule:
  """A schedule whose section differs from the default in these fields."""
  return make_schedule(num_steps, num_epochs, ScheduleSettings(**fields))


def test_thirty_steps_equal_those_of_torch() -> None:
  # Rates 0.1, 0.02 and 0.004 from steps 0, 10 and 20; decay 5e-4; gradients 0.5 * w + noise.
  piecewise = schedule(30, 30.0, name='piecewise', factor=0.2, boundaries=(1 / 3, 2 / 3))
  tx = optimizer.make(piecewise, OptimizerSettings(momentum=0.9, nesterov=True, weight_decay=5e-4))
  params = jnp.array(TORCH['start'], jnp.float32)
  opt_state = tx.init(params)
  for noise, expected in zip(TORCH['gradients'], TORCH['trajectory'], strict=True):
    gradient = jnp.array(noise, jnp.float32) + 0.5 * params
    updates, opt_state = tx.update(gradient, opt_state, params, value=jnp.float32(0.0))
    params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, expected, rtol=2e-6, atol=2e-6)


def test_decay_applies_to_all_parameters_or_only_to_kernels() -> None:
  params = {'kernel': jnp.ones((2, 2)), 'scale': jnp.ones(2)}
  zeros = jax.tree.map(jnp.zeros_like, params)
  for decayed, scale_moves in (('all', True), ('kernels', False)):
    tx = optimizer.make(
      schedule(name='constant'), OptimizerSettings(weight_decay=0.5, decayed=decayed, momentum=0.0)
    )
    updates, _ = tx.update(zeros, tx.init(params), params, value=jnp.float32(0.0))
    np.testing.assert_allclose(updates['kernel'], -0.1 * 0.5, rtol=1e-6)
    assert bool(np.any(updates['scale'])) == scale_moves


def test_the_norms_of_a_scanned_stage_are_no_kernels() -> None:
  net = models.create('resnet398')  # 66 blocks a stage, of which 65 are stacked
  params = models.abstract_variables(net)['params']
  decayed = jax.tree_util.tree_leaves_with_path(parameter_groups.kernels(params))
  assert any('stage1_rest' in jax.tree_util.keystr(path) for path, _ in decayed)
  for path, is_kernel in decayed:
    assert is_kernel == jax.tree_util.keystr(path).endswith("['kernel']")


def grouped_params() -> dict[str, dict[str, jax.Array]]:
  """Parameters of every group: norm biases, whitening and others."""
  return {
    'group1_norm1': {'bias': jnp.ones(2)},
    'group1_conv1': {'kernel': jnp.ones((2, 2))},
    'whitening': {'bias': jnp.ones(2)},
    'head': {'bias': jnp.ones(2)},
  }


def test_norm_biases_have_another_rate_and_the_common_decay() -> None:
  params = grouped_params()
  constant = schedule(name='constant', learning_rate=0.1)
  tx = optimizer.make(constant, OptimizerSettings(norm_bias_factor=64.0, weight_decay=0.5))
  update, state = jax.jit(tx.update), tx.init(params)
  ones = jax.tree.map(jnp.ones_like, params)
  # Nesterov's first step is 1.9 times the gradient, the second 1 + 0.9 * 1.9 = 2.71 times.
  for length in (1.9, 2.71):
    updates, state = update(ones, state, params, value=jnp.float32(0.0))
    np.testing.assert_allclose(updates['group1_norm1']['bias'], -0.1 * length * 64.5, rtol=1e-5)
    for name in ('group1_conv1', 'whitening', 'head'):
      for leaf in updates[name].values():
        np.testing.assert_allclose(leaf, -0.1 * length * 1.5, rtol=1e-5)


def test_whitening_is_frozen_after_its_fraction_of_the_run() -> None:
  params = grouped_params()
  tx = optimizer.make(schedule(10, 1.0, name='constant'), OptimizerSettings(whitening_until=0.3))
  update, state = jax.jit(tx.update), tx.init(params)
  has_moved = []
  for _ in range(6):
    updates, state = update(params, state, params, value=jnp.float32(0.0))
    has_moved.append(bool(np.any(updates['whitening']['bias'])))
    assert np.all(updates['head']['bias']) and np.all(updates['group1_norm1']['bias'])
  assert has_moved == [True] * 3 + [False] * 3


def test_settings_that_are_off_add_no_state_and_change_no_update() -> None:
  params = grouped_params()
  cosine = schedule(name='cosine')
  plain = optax.chain(
    optax.identity(),
    optax.add_decayed_weights(1e-4),
    optax.sgd(cosine.learning_rate_fn, 0.9, True),
    optax.with_extra_args_support(optax.identity()),
  )
  tx = optimizer.make(cosine, OptimizerSettings())
  state = tx.init(params)
  structure: Any = jax.tree.structure(state)
  assert structure == jax.tree.structure(plain.init(params))
  updates, _ = tx.update(params, state, params, value=jnp.float32(0.0))
  expected, _ = plain.update(params, plain.init(params), params)
  jax.tree.map(np.testing.assert_array_equal, updates, expected)


def test_the_gradient_is_clipped_before_decay_is_added() -> None:
  params = {'w': jnp.array([3.0, 4.0])}
  tx = optimizer.make(
    schedule(name='constant', learning_rate=1.0),
    OptimizerSettings(clip_norm=1.0, weight_decay=1.0, momentum=0.0),
  )
  updates, _ = tx.update(
    {'w': jnp.array([30.0, 40.0])}, tx.init(params), params, value=jnp.float32(0.0)
  )
  np.testing.assert_allclose(updates['w'], -np.array([0.6 + 3.0, 0.8 + 4.0]), rtol=1e-6)


@pytest.mark.parametrize(
  'fields',
  [
    {'momentum': 1.0},
    {'weight_decay': -1.0},
    {'weight_decay': float('nan')},
    {'decayed': 'bias'},
    {'clip_norm': -1.0},
    {'norm_bias_factor': 0.0},
    {'whitening_until': 1.5},
    {'lookahead_steps': -1},
    {'lookahead_decay': 1.0},
  ],
)
def test_impossible_optimizers_are_named(fields: dict[str, Any]) -> None:
  with pytest.raises(InputError, match=f'optimizer.{next(iter(fields))}'):
    optimizer.make(schedule(), OptimizerSettings(**fields))
