"""The statistics of Shake-Shake and of stochastic depth: values, gradients, test time."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.filled import variables as filled

from cifar_jax import models
from cifar_jax.errors import InputError
from cifar_jax.models import layers, shake_shake, stochastic_depth

BLOCKS, BATCH = 400, 8
MODES = [  # the rows of the Shake-Shake paper's table 1
  ('even', 'even', 'image'),
  *itertools.product(('even', 'shake'), ('even', 'shake', 'keep'), ('batch', 'image')),
]
MODES = [mode for mode in MODES if mode[:2] not in (('even', 'even'), ('even', 'keep'))]
MODES = [('even', 'even', 'image'), *MODES]


@pytest.mark.parametrize(('forward', 'backward', 'level'), MODES)
def test_nine_modes_draw_their_factors(forward, backward, level):
  gates = shake_shake.draw_gates(jax.random.key(0), BLOCKS, BATCH, forward, backward, level)
  shape = (BLOCKS, 2, BATCH) if level == 'image' else (BLOCKS, 2)
  alpha, beta = np.asarray(gates.forward), np.asarray(gates.backward)
  assert alpha.shape == beta.shape == shape
  for coefficients, mode in ((alpha, forward), (beta, backward)):
    np.testing.assert_allclose(coefficients.sum(axis=1), 1.0, rtol=1e-6)
    first = coefficients[:, 0]
    if mode == 'even':
      assert np.all(coefficients == 0.5)
    else:  # uniform in [0, 1]: mean, variance, range
      assert abs(first.mean() - 0.5) < 0.05
      assert abs(first.var() - 1 / 12) < 0.01
      assert first.min() < 0.02 and first.max() > 0.98
    if mode != 'even' and level == 'image':  # each image its own
      assert len(np.unique(first)) > 0.99 * BLOCKS * BATCH
  if backward == 'keep':
    np.testing.assert_array_equal(alpha, beta)
  if (forward, backward) == ('shake', 'shake'):  # drawn independently of each other
    assert abs(np.corrcoef(alpha[:, 0].ravel(), beta[:, 0].ravel())[0, 1]) < 0.1
  assert np.all(gates.shortcut == 1.0)


def test_there_are_nine_modes():
  assert len(MODES) == 9


@pytest.mark.parametrize(('forward', 'backward', 'level'), MODES)
def test_a_block_applies_its_factors_to_value_and_gradient(forward, backward, level):
  gates = shake_shake.draw_gates(jax.random.key(1), 1, BATCH, forward, backward, level).of_block(0)
  first, second, shortcut = (
    jax.random.normal(jax.random.key(seed), (BATCH, 2, 2, 3)) for seed in range(3)
  )
  value, vjp = jax.vjp(lambda *b: layers.residual_sum(shortcut, b, gates), first, second)
  gradients = vjp(jnp.ones_like(value))
  alpha, beta = (
    np.broadcast_to(np.asarray(g).reshape(2, -1), (2, BATCH))[..., None, None, None]
    for g in (gates.forward, gates.backward)
  )
  np.testing.assert_allclose(
    value, shortcut + alpha[0] * first + alpha[1] * second, rtol=1e-4, atol=1e-6
  )
  for gradient, factor in zip(gradients, beta, strict=True):
    np.testing.assert_allclose(gradient, np.broadcast_to(factor, gradient.shape), rtol=1e-6)


def apply_and_capture(model, train, *keys):
  images = jax.random.normal(jax.random.key(9), (BATCH, 32, 32, 3))
  variables = filled(model)
  apply = jax.jit(
    lambda variables, images, key: model.apply(
      variables, images, train=train, rngs={'shake': key}, capture_intermediates=True, mutable=True
    )
  )
  return variables, *(apply(variables, images, key) for key in keys or [jax.random.key(0)])


def test_shake_shake_mixes_evenly_at_test_time():
  model = models.create('shake_shake_8_2x4d')
  _, (_, state) = apply_and_capture(model, train=False)
  block = state['intermediates']['stage1_block1']
  branches = [block[f'branch{i}']['__call__'][0] for i in (1, 2)]
  shortcut = block['shortcut']['__call__'][0]
  np.testing.assert_allclose(
    block['__call__'][0], shortcut + 0.5 * branches[0] + 0.5 * branches[1], rtol=1e-4, atol=1e-5
  )


def alphas(state) -> np.ndarray:
  """The coefficient of each image in the first block of a training pass, by least squares."""
  block = state['intermediates']['stage1_block1']
  first, second = (np.asarray(block[f'branch{i}']['__call__'][0]) for i in (1, 2))
  mixed = np.asarray(block['__call__'][0]) - np.asarray(block['shortcut']['__call__'][0])
  axes = (1, 2, 3)
  apart = first - second
  return np.sum((mixed - second) * apart, axis=axes) / np.sum(apart**2, axis=axes)


def test_shake_shake_draws_anew_for_each_image_and_pass():
  model = models.create('shake_shake_8_2x4d')
  _, *passes = apply_and_capture(model, True, *jax.random.split(jax.random.key(0)))
  first, second = (alphas(state) for _, state in passes)
  for drawn in (first, second):
    assert len(set(np.round(drawn, 4))) == BATCH
    assert np.all((drawn >= -1e-4) & (drawn <= 1.0001))
  assert not np.allclose(first, second)


def test_survival_falls_linearly_to_that_of_the_last_block():
  survival = stochastic_depth.survival_probabilities(54, 0.5)
  np.testing.assert_allclose(survival[[0, 26, 53]], [1 - 0.5 / 54, 0.75, 0.5], rtol=1e-6)
  np.testing.assert_allclose(np.diff(survival), -0.5 / 54, rtol=1e-3)


def test_blocks_survive_as_often_as_they_should_and_whole_batches_at_a_time():
  gates = jax.vmap(lambda key: stochastic_depth.gates(key, 54, 0.5))(
    jax.random.split(jax.random.key(0), 4000)
  )
  assert gates.forward.shape == (4000, 54, 1)  # one gate a block, none for single images
  assert set(np.unique(gates.forward)) == {0.0, 1.0}
  np.testing.assert_array_equal(gates.forward, gates.backward)
  np.testing.assert_allclose(
    np.mean(gates.forward, axis=(0, 2)), stochastic_depth.survival_probabilities(54, 0.5), atol=0.03
  )


def test_branches_are_weighted_by_their_survival_at_test_time():
  gates = stochastic_depth.gates(None, 6, 0.5)
  np.testing.assert_array_equal(
    gates.forward[:, 0], stochastic_depth.survival_probabilities(6, 0.5)
  )
  model = models.create('resnet8', survival_probability=0.5)
  images = jax.random.normal(jax.random.key(9), (BATCH, 32, 32, 3))
  variables = filled(model)

  def apply(model, gates=None):
    return jax.jit(lambda v, x: model.apply(v, x, train=False, gates=gates))(variables, images)

  logits = apply(model)
  given = apply(model, stochastic_depth.gates(None, model.num_blocks, 0.5))
  np.testing.assert_array_equal(logits, given)
  assert not np.allclose(logits, apply(models.create('resnet8')))


@pytest.mark.parametrize('name', ['resnet8', 'preact_resnet8', 'wrn_10_1', 'pyramidnet8_a12'])
def test_a_dropped_block_is_its_shortcut_and_leaves_its_statistics_alone(name):
  model = models.create(name, survival_probability=0.01)  # of three blocks: 0.67, 0.34, 0.01
  images = jax.random.normal(jax.random.key(9), (BATCH, 32, 32, 3))
  variables = filled(model)

  @jax.jit
  def apply(seed):
    return model.apply(
      variables,
      images,
      train=True,
      rngs={'drop_path': jax.random.key(seed)},
      mutable=['batch_stats'],
    )

  @jax.jit
  def with_gates(gates):
    return model.apply(variables, images, train=True, gates=gates, mutable=['batch_stats'])

  def closed(updates):  # the last norm of a branch always belongs to the branch
    norms = {'resnet8': 'norm2', 'preact_resnet8': 'norm2', 'wrn_10_1': 'norm2'}
    norm = norms.get(name, 'norm3')
    means = lambda tree, stage: tree['batch_stats'][f'stage{stage}_block1'][norm]['mean']  # noqa: E731
    return tuple(np.array_equal(means(updates, s), means(variables, s)) for s in (1, 2, 3))

  seen = {}
  for seed in range(6):
    logits, updates = apply(seed)
    seen[closed(updates)] = logits
  assert len(seen) > 1  # different blocks were dropped
  for pattern, logits in seen.items():
    forward = jnp.where(jnp.array(pattern), 0.0, 1.0)[:, None]
    gates = layers.Gates(forward, forward, jnp.ones(3))
    given, _ = with_gates(gates)
    np.testing.assert_allclose(logits, given, rtol=1e-4, atol=1e-5)


def test_a_dropped_branch_is_not_computed():
  calls = []

  class Block(nn.Module):
    @nn.compact
    def __call__(self, x, gate):
      def branch(_, x):
        jax.debug.callback(lambda: calls.append(1))
        return nn.Dense(3)(x)

      if self.is_initializing():  # as the models do, which are initialised for test time
        return branch(self, x)
      return stochastic_depth.compute_if_open(self, branch, x, gate, x)

  block, x = Block(), jnp.ones((2, 3))
  variables = block.init(jax.random.key(0), x, jnp.float32(1.0))
  calls.clear()
  for gate, expected in ((0.0, 0), (1.0, 1)):
    jax.block_until_ready(jax.jit(block.apply)(variables, x, jnp.float32(gate)))
    jax.effects_barrier()
    assert len(calls) == expected


def test_survival_probability_must_be_one():
  with pytest.raises(InputError, match='survival_probability'):
    models.create('resnet8', survival_probability=0.0)
