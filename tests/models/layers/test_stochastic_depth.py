"""Stochastic depth: survival, gates at test time, and dropped blocks of every residual family."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import layers
from tests.models.family_table import FAMILIES
from tests.support import fill
from tests.support.family_row import Net
from tests.support.filled import filled_variables

BATCH = 8


def test_survival_falls_linearly_to_that_of_the_last_block() -> None:
  survival = layers.survival_probabilities(54, 0.5)
  np.testing.assert_allclose(survival[[0, 26, 53]], [1 - 0.5 / 54, 0.75, 0.5], rtol=1e-6)
  np.testing.assert_allclose(np.diff(survival), -0.5 / 54, rtol=1e-3)


def test_blocks_survive_with_their_probability_for_a_whole_batch() -> None:
  gates = jax.vmap(lambda key: layers.survival_gates(key, 54, 0.5))(
    jax.random.split(jax.random.key(0), 4000)
  )
  assert gates.forward.shape == (4000, 54, 1)  # one gate per block, none per image
  assert set(np.unique(gates.forward)) == {0.0, 1.0}
  np.testing.assert_array_equal(gates.forward, gates.backward)
  np.testing.assert_allclose(
    np.mean(gates.forward, axis=(0, 2)), layers.survival_probabilities(54, 0.5), atol=0.03
  )


def test_branches_are_multiplied_by_their_survival_at_test_time() -> None:
  gates = layers.survival_gates(None, 6, 0.5)
  np.testing.assert_array_equal(gates.forward[:, 0], layers.survival_probabilities(6, 0.5))
  model: Any = models.create('resnet8', survival_probability=0.5)
  images = jax.random.normal(jax.random.key(9), (BATCH, 32, 32, 3))
  variables = filled_variables(model)

  def apply(model: Any, gates: layers.Gates | None = None) -> jax.Array:
    return jax.jit(lambda v, x: model.apply(v, x, train=False, gates=gates))(variables, images)

  logits = apply(model)
  given = apply(model, layers.survival_gates(None, model.num_blocks, 0.5))
  np.testing.assert_array_equal(logits, given)
  assert not np.allclose(logits, apply(models.create('resnet8')))


RESIDUAL = [
  pytest.param(net, marks=[] if family == 'resnet' else pytest.mark.slow, id=net.name)
  for family, net in ((family, row.small[0]) for family, row in FAMILIES.items())
  if isinstance(net.create(), layers.ResidualNet)
]


@pytest.mark.parametrize('net', RESIDUAL)
def test_a_dropped_block_is_its_shortcut_and_its_statistics_do_not_change(net: Net) -> None:
  model: Any = net.create(survival_probability=0.01)  # of three blocks: 0.67, 0.34, 0.01
  variables, images = filled_variables(model), fill.images(BATCH)
  statistics = variables['batch_stats']
  blocks = [f'stage{stage}_block1' for stage in (1, 2, 3)]
  # The last norm always belongs to the branch; the first may serve both paths.
  norm = max(name for name in statistics[blocks[0]] if name.startswith('norm'))

  @jax.jit
  def apply(key: jax.Array) -> Any:
    return model.apply(
      variables, images, train=True, rngs={'drop_path': key}, mutable=['batch_stats']
    )

  @jax.jit
  def apply_with_gates(gates: layers.Gates) -> Any:
    return model.apply(variables, images, train=True, gates=gates, mutable=['batch_stats'])

  def closed(updated: Any) -> tuple[bool, ...]:
    """Whether each block was dropped: its statistics did not change."""
    return tuple(
      np.array_equal(updated[block][norm]['mean'], statistics[block][norm]['mean'])
      for block in blocks
    )

  logits_of = {}
  for seed in range(6):
    logits, updates = apply(jax.random.key(seed))
    logits_of[closed(updates['batch_stats'])] = logits
  assert len(logits_of) > 1  # different blocks were dropped
  for pattern, logits in logits_of.items():
    forward = jnp.where(jnp.array(pattern), 0.0, 1.0)[:, None]
    given, _ = apply_with_gates(layers.Gates(forward, forward, jnp.ones(3)))
    np.testing.assert_allclose(logits, given, rtol=1e-4, atol=1e-5)


def test_a_dropped_branch_is_not_computed() -> None:
  calls = []

  class Block(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, gate: jax.Array) -> jax.Array:
      def branch(x: jax.Array) -> jax.Array:
        jax.debug.callback(lambda: calls.append(1))
        return nn.Dense(3)(x)

      if self.is_initializing():  # as in the models, which are initialised in evaluation
        return branch(x)
      return layers.compute_if_open(self, branch, x, gate, x)

  block, x = Block(), jnp.ones((2, 3))
  variables = block.init(jax.random.key(0), x, jnp.float32(1.0))
  calls.clear()
  for gate, expected in ((0.0, 0), (1.0, 1)):
    jax.block_until_ready(jax.jit(block.apply)(variables, x, jnp.float32(gate)))
    jax.effects_barrier()
    assert len(calls) == expected
