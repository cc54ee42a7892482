"""Deleted and exchanged blocks, against known values."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.analysis.deletion import Units, Variables, deletable_units, down_sampling
from cifar_jax.analysis.measures import lesion
from cifar_jax.analysis.sample import PADDING
from cifar_jax.errors import InputError
from tests.support.filled import filled_variables
from tests.support.samples import two_batches

IMAGES = jnp.asarray(np.random.RandomState(0).standard_normal((8, 16, 16, 3)), jnp.float32)


def evaluate(net: nn.Module, variables: Variables) -> jax.Array:
  return jax.jit(lambda variables: net.apply(variables, IMAGES, train=False))(variables)


def evaluate_without(net: nn.Module, variables: Variables, block: str) -> jax.Array:
  units = deletable_units(net, variables)
  is_present = jnp.asarray([float(name != block) for name in units.names])
  return jax.jit(units.logits)(variables, IMAGES, is_present)


def with_zero_branch(variables: Variables, block: str, norm: str) -> Variables:
  """The variables with zeros in the last norm of a block's branch, which then outputs zeros."""
  params = {**variables['params']}
  zeros = jax.tree.map(jnp.zeros_like, params[block][norm])
  params[block] = {**params[block], norm: zeros}
  return {**variables, 'params': params}


@pytest.mark.parametrize(('name', 'norm'), [('resnet14', 'norm2'), ('pyramidnet14_a10', 'norm3')])
@pytest.mark.parametrize('block', ['stage1_block2', 'stage2_block1'])
def test_deleting_a_block_is_like_a_branch_of_zeros(name: str, norm: str, block: str) -> None:
  net = models.create(name, survival_probability=0.9)  # its gates at test time are not 1
  variables = filled_variables(net)
  expected = evaluate(net, with_zero_branch(variables, block, norm))
  logits = evaluate_without(net, variables, block)
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
  assert np.abs(expected - evaluate(net, variables)).max() > 1e-3


def test_deleting_a_block_of_a_plain_net_is_like_the_identity() -> None:
  net = models.create('plain14')
  variables = filled_variables(net)
  params, block = {**variables['params']}, 'stage1_block2'
  kernel = jnp.zeros((3, 3, 16, 16)).at[1, 1].set(jnp.eye(16))
  neutral_norm = {'scale': jnp.full(16, np.sqrt(1 + 1e-5)), 'bias': jnp.zeros(16)}
  params[block] = {conv: {'kernel': kernel} for conv in ('conv1', 'conv2')} | {
    norm: neutral_norm for norm in ('norm1', 'norm2')
  }
  neutral = {'mean': jnp.zeros(16), 'var': jnp.ones(16)}
  statistics = {**variables['batch_stats'], block: {'norm1': neutral, 'norm2': neutral}}
  expected = evaluate(net, {'params': params, 'batch_stats': statistics})
  logits = evaluate_without(net, variables, block)
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


def test_deleting_a_convolution_of_a_vgg_deletes_its_norm() -> None:
  net = models.create('vgg13_bn')
  variables = filled_variables(net)
  images = jnp.zeros((1, 32, 32, 3))
  units = deletable_units(net, variables)
  assert units.names[:3] == ['stage1_conv1', 'stage1_conv2', 'stage2_conv1']
  all_present = jnp.ones(len(units.names))
  is_present = all_present.at[1].set(0.0)
  changed = {
    collection: tree | {name: jax.tree.map(lambda x: x + 1, tree[name]) for name in
                        ('stage1_conv2', 'stage1_norm2') if name in tree}
    for collection, tree in variables.items()
  }  # fmt: skip
  logits = jax.jit(units.logits)
  without = logits(variables, images, is_present)
  np.testing.assert_array_equal(without, logits(changed, images, is_present))
  assert np.any(logits(changed, images, all_present) != logits(variables, images, all_present))


@pytest.mark.parametrize(
  ('name', 'reducing'),
  [
    ('resnet14', ['stage2_block1', 'stage3_block1']),
    ('plain14', ['stage2_block1', 'stage3_block1']),
    ('resnet18_imagenet', ['stage2_block1', 'stage3_block1', 'stage4_block1']),
    ('vgg11', []),  # its pools do it
    ('resnet434', ['stage2_block1', 'stage3_block1']),  # scanned
  ],
)
def test_units_are_down_sampling_where_they_reduce_the_resolution(
  name: str, reducing: list[str]
) -> None:
  net = models.create(name)
  variables = models.abstract_variables(net)
  names = deletable_units(net, variables).names
  marks = down_sampling(net, variables, names)
  assert [unit for unit, mark in zip(names, marks, strict=True) if mark] == reducing


def test_only_blocks_of_the_same_shape_are_exchanged() -> None:
  net = models.create('resnet20', shortcut='project')
  variables = filled_variables(net)
  names = deletable_units(net, variables).names
  groups = lesion.interchangeable_blocks(names, variables)
  assert groups == [[0, 1, 2], [4, 5], [7, 8]]  # the rest have a projection or another width
  order = np.arange(9)
  order[[4, 5]] = [5, 4]
  permuted = lesion.permute(names, variables, order)
  for collection in variables:
    before, after = variables[collection], permuted[collection]
    assert after['stage2_block2'] is before['stage2_block3']
    assert after['stage2_block3'] is before['stage2_block2']
    assert after['stage1_block2'] is before['stage1_block2']
    assert before['stage2_block2'] is not before['stage2_block3']


def test_errors_count_every_image_once() -> None:
  def logits(variables: Any, images: jax.Array, is_present: jax.Array) -> jax.Array:
    # The first pixel holds the class; without the only unit, the prediction is class 0.
    return jax.nn.one_hot((images[:, 0, 0, 0] * is_present[0]).astype(int), 10)

  labels = np.array([3, 0, 5, 1, 0], np.int32)
  images = np.zeros((5, 2, 2, 1), np.float32)
  images[:, 0, 0, 0] = [3, 0, 5, 1, 7]
  sample = two_batches(np.append(images, images[:1], axis=0), np.append(labels, PADDING))
  lesions = lesion.Lesions(Units(['only'], logits), {}, sample)
  assert lesions.whole_net() == pytest.approx(1 / 5)
  assert lesions.each_deleted() == [pytest.approx(3 / 5)]


def test_nets_without_deletable_units_are_refused() -> None:
  net = models.create('densenet_bc_40_12')
  with pytest.raises(InputError, match='no branches to open and close'):
    deletable_units(net, models.abstract_variables(net))
