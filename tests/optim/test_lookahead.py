"""Lookahead against a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.optim import lookahead


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
  update = jax.jit(lookahead.update, static_argnums=(3, 4, 5))
  average = weights = {'w': jnp.asarray(start, jnp.float32)}
  trajectory = expected_weights(start, gradients, 5, 0.95)
  for index, (gradient, expected) in enumerate(zip(gradients, trajectory, strict=True)):
    weights = {'w': weights['w'] - gradient.astype(np.float32)}
    average, weights = update(average, weights, jnp.int32(index + 1), 5, 0.95, num_steps)
    np.testing.assert_allclose(weights['w'], expected, rtol=1e-4, atol=1e-5)


def test_a_run_shorter_than_the_interval_does_not_end_at_its_initial_weights() -> None:
  average = weights = jnp.zeros(2)
  for step in (1, 2):
    average, weights = lookahead.update(average, weights - 1.0, jnp.int32(step), 5, 0.95, 2)
  np.testing.assert_allclose(weights, -2 * (1 - 0.95**2), rtol=1e-5)


def test_weights_that_do_not_change_keep_their_bits() -> None:
  weights = jnp.asarray(np.random.RandomState(0).standard_normal(1000), jnp.float32)
  for step in (5, 10, 11):
    average, after = lookahead.update(weights, weights, jnp.int32(step), 5, 0.95, 11)
    np.testing.assert_array_equal(average, weights)
    np.testing.assert_array_equal(after, weights)
