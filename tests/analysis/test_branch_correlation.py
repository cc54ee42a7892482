"""Branch correlations, against known values."""

import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.analysis.measures import branch_correlation
from cifar_jax.errors import InputError
from tests.support.filled import filled_variables

RANDOM = np.random.RandomState(0)
IMAGES = jnp.asarray(RANDOM.standard_normal((6, 8, 8, 3)), jnp.float32)
ALL = jnp.ones(6, bool)


def sums(x: np.ndarray, y: np.ndarray) -> np.ndarray:
  """The sums of x, y, x², y² and xy over the first axis."""
  return np.array([np.sum(value, axis=0) for value in (x, y, x * x, y * y, x * y)])


def test_correlations_are_averaged_over_entries() -> None:
  x, y = RANDOM.standard_normal((2, 50, 4))
  y += np.array([0.0, 1.0, -2.0, 100.0]) * x + 3.0
  expected = np.mean([np.corrcoef(x[:, i], y[:, i])[0, 1] for i in range(4)])
  assert branch_correlation.correlation(sums(x, y), 50) == pytest.approx(expected)


def test_entries_that_do_not_vary_are_left_out() -> None:
  x = RANDOM.standard_normal((50, 2))
  y = np.stack([-x[:, 0], np.full(50, 7.0)], axis=1)
  assert branch_correlation.correlation(sums(x, y), 50) == pytest.approx(-1.0)
  assert np.isnan(branch_correlation.correlation(sums(x[:, :1], y[:, 1:]), 50))
  constant = np.full((50, 1), 0.1, np.float32)  # whose sums are rounded
  in_float32 = sums(x[:, :1].astype(np.float32), constant).astype(np.float64)
  assert np.isnan(branch_correlation.correlation(in_float32, 50))


def test_equal_branches_correlate_with_1_and_opposite_ones_with_minus_1() -> None:
  net = models.create('shake_shake_8_2x4d')
  variables = filled_variables(net)
  trees = {collection: {**tree} for collection, tree in variables.items()}
  for tree in trees.values():
    for block in ('stage1_block1', 'stage2_block1'):
      tree[block] = {**tree[block], 'branch2': tree[block]['branch1']}
  block = trees['params']['stage2_block1']
  norm = block['branch2']['norm2']  # negated, it makes the branches opposite
  block['branch2'] = {**block['branch2'], 'norm2': {**norm, 'scale': -norm['scale']}}

  pairs = branch_correlation.module_pairs(trees['params'])
  assert list(pairs) == ['conv1', 'conv2', 'branch']
  all_pairs = tuple(pair for of_layer in pairs.values() for pair in of_layer)
  all_sums = branch_correlation.sums_of_products(net, all_pairs, trees, IMAGES, ALL)
  values = [branch_correlation.correlation(np.asarray(s, np.float64), 6) for s in all_sums]
  by_layer = np.reshape(values, (3, 3))  # [layer, block]
  np.testing.assert_allclose(by_layer[:, 0], 1.0, atol=1e-4)
  np.testing.assert_allclose(by_layer[:, 1], [1.0, 1.0, -1.0], atol=1e-4)
  assert np.all(np.abs(by_layer[:, 2]) < 0.9)


def test_padding_does_not_count() -> None:
  net = models.create('shake_shake_8_2x4d')
  pair = ((('stage1_block1', 'branch1'), ('stage1_block1', 'branch2')),)
  variables = filled_variables(net)
  (four,) = branch_correlation.sums_of_products(net, pair, variables, IMAGES[:4], ALL[:4])
  (padded,) = branch_correlation.sums_of_products(net, pair, variables, IMAGES, jnp.arange(6) < 4)
  np.testing.assert_allclose(four, padded, rtol=1e-5, atol=1e-5)


def test_nets_without_two_branches_are_refused() -> None:
  params = models.abstract_variables(models.create('resnet8'))['params']
  with pytest.raises(InputError, match='take a Shake-Shake net'):
    branch_correlation.module_pairs(params)
