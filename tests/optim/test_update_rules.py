"""AdamW, Lion, Muon, SAM and the moving average against Optax or their formulas, written out."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cifar_jax.config.optimization import OptimizerSettings, ScheduleSettings, doubt_about_rate
from cifar_jax.optim import ema, optimizer, parameter_groups, sam
from cifar_jax.optim.schedules import Schedule, make_schedule

RANDOM = np.random.RandomState(0)
PARAMS: Any = {
  'conv1': {'kernel': jnp.asarray(RANDOM.standard_normal((3, 3, 4, 8)), jnp.float32)},
  'stage1_rest': {'conv1': {'kernel': jnp.asarray(RANDOM.standard_normal((2, 1, 1, 8, 8)))}},
  'norm1': {'scale': jnp.ones(8), 'bias': jnp.zeros(8)},
  'dense': {'kernel': jnp.asarray(RANDOM.standard_normal((8, 6)), jnp.float32)},
  'head': {'kernel': jnp.asarray(RANDOM.standard_normal((6, 3)), jnp.float32)},
}
GRADIENTS: list[Any] = [
  jax.tree.map(lambda leaf: jnp.asarray(RANDOM.standard_normal(leaf.shape), jnp.float32), PARAMS)
  for _ in range(4)
]
cosine = make_schedule(8, 1.0, ScheduleSettings(name='cosine', learning_rate=0.01))


def trajectory(tx: optax.GradientTransformation, gradients: Any = GRADIENTS) -> list[Any]:
  """The parameters after each step."""
  tx = optax.with_extra_args_support(tx)
  params, state, update, result = PARAMS, tx.init(PARAMS), jax.jit(tx.update), []
  for gradient in gradients:
    updates, state = update(gradient, state, params, value=jnp.float32(0.0))
    params = optax.apply_updates(params, updates)
    result.append(params)
  return result


def make(schedule: Schedule = cosine, **fields: Any) -> optax.GradientTransformationExtraArgs:
  """An optimizer whose section differs from the default in these fields."""
  return optimizer.make(schedule, OptimizerSettings(**fields))


def assert_equal(got: list[Any], expected: list[Any]) -> None:
  """Both trajectories agree up to rounding, and they move."""
  assert len(got) == len(expected)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, expected)
  assert np.any(np.abs(got[-1]['conv1']['kernel'] - PARAMS['conv1']['kernel']) > 1e-3)


def test_adamw_is_that_of_optax() -> None:
  rate, mask = cosine.learning_rate_fn, parameter_groups.kernels
  got = trajectory(make(name='adamw', weight_decay=0.5, decayed='kernels', momentum=0.8))
  assert_equal(got, trajectory(optax.adamw(rate, b1=0.8, weight_decay=0.5, mask=mask)))
  got = trajectory(make(name='adamw', weight_decay=0.0, beta2=0.5))
  assert_equal(got, trajectory(optax.adamw(rate, b2=0.5, weight_decay=0.0)))


def test_lion_follows_the_sign_of_its_two_means() -> None:
  got = trajectory(make(name='lion', weight_decay=0.5))
  weights, mean = np.asarray(PARAMS['conv1']['kernel']), np.zeros(())
  for step, (gradient, params) in enumerate(zip(GRADIENTS, got, strict=True)):
    slope = np.asarray(gradient['conv1']['kernel'])
    rate = float(cosine.learning_rate_fn(step))
    weights = weights - rate * (np.sign(0.9 * mean + 0.1 * slope) + 0.5 * weights)
    mean = 0.99 * mean + 0.01 * slope
    np.testing.assert_allclose(params['conv1']['kernel'], weights, rtol=1e-5, atol=1e-6)


def muon_step(slope: np.ndarray, weights: np.ndarray, rate: float) -> np.ndarray:
  """The first step of Muon on a matrix, with a decay of 0.5: five Newton-Schulz iterations."""
  x = slope / np.linalg.norm(slope)
  for _ in range(5):
    square = x @ x.T
    x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
  return weights - rate * (0.2 * np.sqrt(max(slope.shape)) * x + 0.5 * weights)


def test_muon_orthogonalises_each_kernel_as_one_matrix() -> None:
  params = trajectory(make(name='muon', weight_decay=0.5), GRADIENTS[:1])[0]
  for name, shape in (('conv1', (36, 8)), ('dense', (8, 6))):
    slope, weights = (
      np.asarray(tree[name]['kernel']).reshape(shape) for tree in (GRADIENTS[0], PARAMS)
    )
    got = np.asarray(params[name]['kernel']).reshape(shape)
    np.testing.assert_allclose(got, muon_step(slope, weights, 0.01), rtol=1e-4, atol=1e-5)
  for block in (0, 1):  # each block of a scanned stage is a matrix of its own
    slope, weights, got = (
      np.asarray(tree['stage1_rest']['conv1']['kernel'][block]).reshape(8, 8)
      for tree in (GRADIENTS[0], PARAMS, params)
    )
    np.testing.assert_allclose(got, muon_step(slope, weights, 0.01), rtol=1e-4, atol=1e-5)


def test_muon_leaves_the_last_layer_and_what_is_no_kernel_to_adam() -> None:
  got = trajectory(make(name='muon', weight_decay=0.5))
  adam = trajectory(
    optax.adamw(cosine.learning_rate_fn, weight_decay=0.5, nesterov=True)  # as optax.contrib.muon
  )
  for name in ('head', 'norm1'):
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
      got[-1][name],
      adam[-1][name],
    )


@pytest.mark.parametrize('name', ['adamw', 'lion', 'muon'])
def test_other_stages_hold_for_each_rule(name: str) -> None:
  norm_bias = {'norm1': {'bias': jnp.ones(2)}, 'conv1': {'kernel': jnp.ones((1, 1, 2, 2))}}
  plateau = make_schedule(8, 1.0, ScheduleSettings(name='plateau', learning_rate=0.1))
  fields: Any = {'name': name, 'weight_decay': 0.0, 'nesterov': False}
  moves = []
  for factor in (1.0, 64.0):
    tx = make(plateau, norm_bias_factor=factor, **fields)
    state = tx.init(norm_bias)
    updates, state = tx.update(norm_bias, state, norm_bias, value=jnp.float32(0.5))
    moves.append(np.abs(updates['norm1']['bias']))
  np.testing.assert_allclose(moves[0], 0.1, rtol=1e-4)
  np.testing.assert_allclose(moves[1], 6.4, rtol=1e-4)
  before, after = schedule_counts(state), schedule_counts(optimizer.skip_step(state))
  assert (before, after) == ([1], [2])  # of one schedule
  assert plateau.learning_rate(0, state) == pytest.approx(0.1)


def schedule_counts(state: Any) -> list[int]:
  """The counts of all schedules in the state of an optimizer."""
  is_schedule = lambda node: isinstance(node, optax.ScaleByScheduleState)  # noqa: E731
  nodes = jax.tree.leaves(state, is_leaf=is_schedule)
  return [int(node.count) for node in nodes if is_schedule(node)]


def test_sam_steps_are_those_of_optax() -> None:
  curvature = jax.tree.map(lambda leaf: 1.0 + jnp.arange(float(leaf.size)), PARAMS)

  def loss(params: Any) -> jax.Array:
    terms = jax.tree.map(lambda w, c: jnp.sum(c * w.ravel() ** 4), params, curvature)
    return sum(jax.tree.leaves(terms), start=jnp.float32(0.0))

  rule = optax.sgd(1e-6)
  adversary = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
  reference = optax.contrib.sam(rule, adversary, opaque_mode=True)
  slope = jax.jit(jax.grad(loss))
  params = expected = PARAMS
  state, reference_state = rule.init(params), reference.init(params)
  for _ in range(3):
    updates, reference_state = reference.update(
      slope(expected), reference_state, expected, grad_fn=lambda params, _: slope(params)
    )
    expected = optax.apply_updates(expected, updates)
    highest = sam.highest_point(params, slope(params), 0.05)
    updates, state = rule.update(slope(highest), state)
    params = optax.apply_updates(params, updates)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), params, expected
  )
  moved = optax.tree.sub(sam.highest_point(PARAMS, slope(PARAMS), 0.05), PARAMS)
  np.testing.assert_allclose(optax.tree.norm(moved), 0.05, rtol=1e-4)


def test_a_gradient_of_zero_moves_nothing_in_sam() -> None:
  zeros = jax.tree.map(jnp.zeros_like, PARAMS)
  jax.tree.map(np.testing.assert_array_equal, sam.highest_point(PARAMS, zeros, 0.05), PARAMS)


def test_the_moving_average_forgets_the_initial_weights_first_fast_then_slowly() -> None:
  weights = RANDOM.standard_normal((400, 3))
  expected, average = np.full(3, 9.0), {'w': jnp.full(3, 9.0)}
  for step, weight in enumerate(weights, start=1):
    decay = min(0.95, (1 + step) / (10 + step))
    expected = decay * expected + (1 - decay) * weight
    average = ema.update(average, {'w': jnp.asarray(weight, jnp.float32)}, 0.95, jnp.int32(step))
    np.testing.assert_allclose(average['w'], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  ('name', 'rate', 'is_doubted'),
  [('adamw', 0.1, True), ('lion', 0.01, True), ('muon', 0.02, False), ('sgd', 0.1, False)],
)
def test_a_rate_that_was_meant_for_sgd_is_doubted(name: str, rate: float, is_doubted: bool) -> None:
  doubt = doubt_about_rate(OptimizerSettings(name=name), ScheduleSettings(learning_rate=rate))
  assert bool(doubt) == is_doubted
  assert not doubt or f'{rate:g} is high for optimizer.name={name}' in doubt
