"""The optimizer against Torch's, and the schedules against their formulas at every step."""

import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cifar_jax import optimizer
from cifar_jax.errors import InputError

TORCH = json.loads((pathlib.Path(__file__).parent / 'data' / 'torch_sgd.json').read_text())


def schedule(num_steps=300, num_epochs=30.0, **fields):
  return optimizer.make_schedule(num_steps, num_epochs, **fields)


def rates(made, num_steps=300):
  return np.array([float(made.learning_rate_fn(jnp.int32(step))) for step in range(num_steps)])


def test_thirty_steps_are_torchs():
  # Rates 0.1, 0.02 and 0.004 from steps 0, 10 and 20; decay 5e-4; gradients 0.5 * w + noise.
  made = schedule(30, 30.0, name='piecewise', factor=0.2, boundaries=(1 / 3, 2 / 3))
  tx = optimizer.make(made, momentum=0.9, nesterov=True, weight_decay=5e-4)
  params = jnp.array(TORCH['start'], jnp.float32)
  opt_state = tx.init(params)
  for noise, expected in zip(TORCH['gradients'], TORCH['trajectory'], strict=True):
    gradient = jnp.array(noise, jnp.float32) + 0.5 * params
    updates, opt_state = tx.update(gradient, opt_state, params, value=jnp.float32(0.0))
    params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, expected, rtol=2e-6, atol=2e-6)


def test_cosine_falls_from_the_rate_to_zero():
  steps = np.arange(300)
  expected = 0.1 * 0.5 * (1 + np.cos(np.pi * steps / 300))
  np.testing.assert_allclose(rates(schedule(name='cosine')), expected, atol=1e-7)
  assert float(schedule(name='cosine').learning_rate_fn(300)) == 0.0


def test_piecewise_multiplies_from_each_boundary_on():
  got = rates(schedule(name='piecewise', factor=0.2, boundaries=(0.3, 0.6, 0.8)))
  expected = np.select(
    [np.arange(300) < 90, np.arange(300) < 180, np.arange(300) < 240], [0.1, 0.02, 0.004], 0.0008
  )
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_sgdr_restarts_at_the_end_of_each_cycle():
  # Cycles of 2, 4, 8 and 16 epochs of 10 steps.
  got = rates(schedule(name='sgdr', first_cycle_epochs=2.0, cycle_multiplier=2.0))
  expected = []
  for length in (20, 40, 80, 160):
    expected += [0.05 * (1 + math.cos(math.pi * step / length)) for step in range(length)]
  np.testing.assert_allclose(got, expected[:300], atol=1e-7)
  assert got[20] == got[60] == got[140] == np.float32(0.1)


def test_constant_is_constant():
  np.testing.assert_allclose(rates(schedule(name='constant', learning_rate=0.3)), 0.3)


def test_triangular_rises_to_the_peak_and_falls_to_its_end():
  # airbench94's: 23 % of the run from 0.2 up to 1, then down to 0.07 of the rate.
  got = rates(schedule(name='triangular', learning_rate=1.5))
  steps, rise = np.arange(300), 69
  up = 0.2 + 0.8 * steps / rise
  down = 1 - 0.93 * (steps - rise) / (300 - rise)
  np.testing.assert_allclose(got, 1.5 * np.where(steps < rise, up, down), rtol=1e-5)
  other = rates(schedule(name='triangular', start_factor=0.0, peak=0.5, end_factor=1.0))
  np.testing.assert_allclose(other, 0.1 * np.minimum(steps / 150, 1), atol=1e-7)


@pytest.mark.parametrize('name', optimizer.SCHEDULES)
def test_warmup_rises_linearly_and_leaves_the_rest_where_it_was(name):
  plain = rates(schedule(name=name))
  warm = rates(schedule(name=name, warmup_epochs=2.0, warmup_learning_rate=0.01))
  np.testing.assert_allclose(warm[:20], 0.01 + 0.09 * np.arange(20) / 20, rtol=1e-5)
  np.testing.assert_allclose(warm[20:], plain[20:], rtol=1e-6)


def test_plateau_lowers_the_rate_once_the_loss_no_longer_falls():
  made = schedule(name='plateau', factor=0.5, patience=2, learning_rate=0.1)
  tx = optimizer.make(made, momentum=0.0, weight_decay=0.0)
  params = jnp.zeros(2)
  opt_state = tx.init(params)
  update = jax.jit(lambda state, loss: tx.update(jnp.ones(2), state, params, value=loss))
  seen = []
  for epoch in range(8):  # the loss falls for three epochs of ten steps, then stands
    for _ in range(10):
      updates, opt_state = update(opt_state, jnp.float32(max(3 - epoch, 1)))
    seen.append(float(made.learning_rate(0, opt_state)))
  np.testing.assert_allclose(seen, [0.1] * 4 + [0.05] * 2 + [0.025] * 2, rtol=1e-6)
  assert float(updates[0]) == pytest.approx(-seen[-1])


def test_decay_takes_all_parameters_or_only_kernels():
  params = {'kernel': jnp.ones((2, 2)), 'scale': jnp.ones(2)}
  zeros = jax.tree.map(jnp.zeros_like, params)
  for decayed, scale_moves in (('all', True), ('kernels', False)):
    tx = optimizer.make(schedule(name='constant'), weight_decay=0.5, decayed=decayed, momentum=0.0)
    updates, _ = tx.update(zeros, tx.init(params), params, value=jnp.float32(0.0))
    np.testing.assert_allclose(updates['kernel'], -0.1 * 0.5, rtol=1e-6)
    assert bool(np.any(updates['scale'])) == scale_moves


def grouped():
  return {
    'group1_norm1': {'bias': jnp.ones(2)},
    'group1_conv1': {'kernel': jnp.ones((2, 2))},
    'whitening': {'bias': jnp.ones(2)},
    'head': {'bias': jnp.ones(2)},
  }


def test_the_norms_biases_have_a_rate_of_their_own_and_the_common_decay():
  params = grouped()
  made = schedule(name='constant', learning_rate=0.1)
  tx = optimizer.make(made, norm_bias_factor=64.0, weight_decay=0.5)
  update, state = jax.jit(tx.update), tx.init(params)
  ones = jax.tree.map(jnp.ones_like, params)
  # Nesterov's first step is 1.9 times the gradient, its second 1 + 0.9 * 1.9 = 2.71 times.
  for length in (1.9, 2.71):
    updates, state = update(ones, state, params, value=jnp.float32(0.0))
    np.testing.assert_allclose(updates['group1_norm1']['bias'], -0.1 * length * 64.5, rtol=1e-5)
    for name in ('group1_conv1', 'whitening', 'head'):
      for leaf in updates[name].values():
        np.testing.assert_allclose(leaf, -0.1 * length * 1.5, rtol=1e-5)


def test_whitening_stands_still_from_its_share_of_the_run():
  params = grouped()
  tx = optimizer.make(schedule(10, 1.0, name='constant'), whitening_until=0.3)
  update, state = jax.jit(tx.update), tx.init(params)
  moved = []
  for _ in range(6):
    updates, state = update(params, state, params, value=jnp.float32(0.0))
    moved.append(bool(np.any(updates['whitening']['bias'])))
    assert np.all(updates['head']['bias']) and np.all(updates['group1_norm1']['bias'])
  assert moved == [True] * 3 + [False] * 3


def test_what_is_not_asked_for_leaves_no_trace():
  params = grouped()
  made = schedule(name='cosine')
  plain = optax.chain(
    optax.identity(),
    optax.add_decayed_weights(1e-4),
    optax.sgd(made.learning_rate_fn, 0.9, True),
    optax.with_extra_args_support(optax.identity()),
  )
  state = optimizer.make(made).init(params)
  assert jax.tree.structure(state) == jax.tree.structure(plain.init(params))
  got, _ = optimizer.make(made).update(params, state, params, value=jnp.float32(0.0))
  expected, _ = plain.update(params, plain.init(params), params)
  jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_clipping_is_of_the_gradient_before_decay():
  params = {'w': jnp.array([3.0, 4.0])}
  tx = optimizer.make(
    schedule(name='constant', learning_rate=1.0), clip_norm=1.0, weight_decay=1.0, momentum=0.0
  )
  updates, _ = tx.update(
    {'w': jnp.array([30.0, 40.0])}, tx.init(params), params, value=jnp.float32(0.0)
  )
  np.testing.assert_allclose(updates['w'], -np.array([0.6 + 3.0, 0.8 + 4.0]), rtol=1e-6)


@pytest.mark.parametrize(
  'fields',
  [
    {'name': 'cos'},
    {'learning_rate': 0.0},
    {'learning_rate': float('nan')},
    {'boundaries': (0.5, 0.3)},
    {'boundaries': (0.5, 1.0)},
    {'factor': 0.0},
    {'name': 'plateau', 'factor': 1.0},
    {'patience': 0},
    {'first_cycle_epochs': 0.0},
    {'cycle_multiplier': 0.5},
    {'warmup_epochs': 30.0},
    {'warmup_epochs': -1.0},
    {'warmup_learning_rate': -1.0},
    {'factor': float('nan')},
    {'name': 'sgdr', 'first_cycle_epochs': float('inf')},
    {'start_factor': -0.1},
    {'peak': 1.0},
    {'end_factor': 1.5},
  ],
)
def test_impossible_schedules_are_named(fields):
  with pytest.raises(InputError, match=f'schedule.{list(fields)[-1]}'):
    schedule(**fields)


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
def test_impossible_optimizers_are_named(fields):
  with pytest.raises(InputError, match=f'optimizer.{next(iter(fields))}'):
    optimizer.make(schedule(), **fields)


def test_a_run_of_countless_cycles_is_refused():
  with pytest.raises(InputError, match='1000 cycles'):
    schedule(30_000, 30.0, name='sgdr', cycle_multiplier=1.0, first_cycle_epochs=0.001)
