"""Lookahead against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cifar_jax.config.optimization import OptimizerSettings, ScheduleSettings
from cifar_jax.optim import optimizer
from cifar_jax.optim.lookahead import lookahead
from cifar_jax.optim.schedules import make_schedule


def expected_weights(
  start: np.ndarray, gradients: np.ndarray, every: int, decay: float
) -> list[np.ndarray]:
  """The weights after each step of cifar10-airbench's loop, on plain SGD with rate 1."""
  weights, average = start.copy(), start.copy()
  result = []
  for step, gradient in enumerate(gradients, start=1):
    weights = weights - gradient
    if step % every == 0:
      share = decay**every * (step / len(gradients)) ** 3
      average = share * average + (1 - share) * weights
      weights = average.copy()
    if step == len(gradients):
      weights = average.copy()
    result.append(weights)
  return result


@pytest.mark.parametrize('num_steps', [20, 23])
def test_weights_are_set_to_their_average_every_few_steps_and_at_the_end(num_steps: int) -> None:
  random = np.random.RandomState(0)
  start, gradients = random.standard_normal(3), random.standard_normal((num_steps, 3))
  tx = optax.chain(optax.sgd(1.0), lookahead(5, 0.95, num_steps))
  params = {'w': jnp.asarray(start, jnp.float32)}
  state, update = tx.init(params), jax.jit(tx.update)
  trajectory = expected_weights(start, gradients, 5, 0.95)
  for gradient, expected in zip(gradients, trajectory, strict=True):
    updates, state = update({'w': jnp.asarray(gradient, jnp.float32)}, state, params)
    params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params['w'], expected, rtol=1e-4, atol=1e-5)


def test_a_run_shorter_than_the_interval_does_not_end_at_its_initial_weights() -> None:
  tx = lookahead(5, 0.95, 2)
  params = jnp.zeros(2)
  state = tx.init(params)
  for _ in range(2):
    updates, state = tx.update(jnp.ones(2), state, params)
    params = optax.apply_updates(params, updates)
  np.testing.assert_allclose(params, 2 * (1 - 0.95**2), rtol=1e-5)


def test_a_skipped_step_advances_the_counts() -> None:
  schedule = make_schedule(10, 1.0, ScheduleSettings())
  state = optimizer.make(schedule, OptimizerSettings(lookahead_steps=5)).init({'w': jnp.zeros(2)})
  counts = [int(leaf) for leaf in jax.tree.leaves(optimizer.skip_step(state)) if leaf.ndim == 0]
  assert counts == [1, 1]
