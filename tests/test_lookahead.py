"""Lookahead against a loop written by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cifar_jax import optimizer
from cifar_jax.lookahead import lookahead


def by_hand(start, gradients, every, decay):
  """cifar10-airbench's loop on plain SGD of rate 1: its weights after each step."""
  weights, average = start.copy(), start.copy()
  seen = []
  for step, gradient in enumerate(gradients, start=1):
    weights = weights - gradient
    if step % every == 0:
      keep = decay**every * (step / len(gradients)) ** 3
      average = keep * average + (1 - keep) * weights
      weights = average.copy()
    if step == len(gradients):
      weights = average.copy()
    seen.append(weights)
  return seen


@pytest.mark.parametrize('num_steps', [20, 23])
def test_weights_meet_their_average_every_few_steps_and_at_the_end(num_steps):
  random = np.random.RandomState(0)
  start, gradients = random.standard_normal(3), random.standard_normal((num_steps, 3))
  tx = optax.chain(optax.sgd(1.0), lookahead(5, 0.95, num_steps))
  params = {'w': jnp.asarray(start, jnp.float32)}
  state, update = tx.init(params), jax.jit(tx.update)
  for gradient, expected in zip(gradients, by_hand(start, gradients, 5, 0.95), strict=True):
    updates, state = update({'w': jnp.asarray(gradient, jnp.float32)}, state, params)
    params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params['w'], expected, rtol=1e-4, atol=1e-5)


def test_a_run_shorter_than_the_interval_does_not_end_where_it_began():
  tx = lookahead(5, 0.95, 2)
  params = jnp.zeros(2)
  state = tx.init(params)
  for _ in range(2):
    updates, state = tx.update(jnp.ones(2), state, params)
    params = optax.apply_updates(params, updates)
  np.testing.assert_allclose(params, 2 * (1 - 0.95**2), rtol=1e-5)


def test_a_skipped_step_counts():
  made = optimizer.make_schedule(10, 1.0)
  state = optimizer.make(made, lookahead_steps=5).init({'w': jnp.zeros(2)})
  counts = [int(leaf) for leaf in jax.tree.leaves(optimizer.skip(state)) if leaf.ndim == 0]
  assert counts == [1, 1]
