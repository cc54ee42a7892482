"""Lesions with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.filled import variables as filled

from cifar_jax import models
from cifar_jax.analysis import lesion, sample
from cifar_jax.errors import InputError

IMAGES = jnp.asarray(np.random.RandomState(0).standard_normal((8, 16, 16, 3)), jnp.float32)


def evaluate(net, variables):
  return jax.jit(lambda variables: net.apply(variables, IMAGES, train=False))(variables)


def deleted(net, variables, *blocks):
  parts = lesion.parts_of(net, variables)
  is_there = jnp.asarray([float(name not in blocks) for name in parts.names])
  return jax.jit(parts.logits)(variables, IMAGES, is_there)


def silenced(variables, block, norm):
  """The variables with a block's last norm giving zeros, so that its branch does."""
  params = {**variables['params']}
  zeros = jax.tree.map(jnp.zeros_like, params[block][norm])
  params[block] = {**params[block], norm: zeros}
  return {**variables, 'params': params}


@pytest.mark.parametrize('name,norm', [('resnet14', 'norm2'), ('pyramidnet14_a10', 'norm3')])
@pytest.mark.parametrize('block', ['stage1_block2', 'stage2_block1'])
def test_a_deleted_block_is_one_whose_branch_gives_nothing(name, norm, block):
  net = models.create(name, survival_probability=0.9)  # so that test time has gates of its own
  variables = filled(net)
  expected = evaluate(net, silenced(variables, block, norm))
  np.testing.assert_allclose(deleted(net, variables, block), expected, rtol=1e-5, atol=1e-5)
  assert np.abs(expected - evaluate(net, variables)).max() > 1e-3


def test_a_deleted_block_of_a_plain_net_is_one_that_gives_what_it_gets():
  net = models.create('plain14')
  variables = filled(net)
  params, block = {**variables['params']}, 'stage1_block2'
  kernel = jnp.zeros((3, 3, 16, 16)).at[1, 1].set(jnp.eye(16))
  unit = {'scale': jnp.full(16, np.sqrt(1 + 1e-5)), 'bias': jnp.zeros(16)}
  params[block] = {conv: {'kernel': kernel} for conv in ('conv1', 'conv2')} | {
    norm: unit for norm in ('norm1', 'norm2')
  }
  neutral = {'mean': jnp.zeros(16), 'var': jnp.ones(16)}
  statistics = {**variables['batch_stats'], block: {'norm1': neutral, 'norm2': neutral}}
  expected = evaluate(net, {'params': params, 'batch_stats': statistics})
  np.testing.assert_allclose(deleted(net, variables, block), expected, rtol=1e-4, atol=1e-4)


def test_a_deleted_layer_of_a_vgg_takes_its_norm_along():
  net = models.create('vgg13_bn')
  variables = filled(net)
  images = jnp.zeros((1, 32, 32, 3))
  parts = lesion.parts_of(net, variables)
  assert parts.names[:3] == ['stage1_conv1', 'stage1_conv2', 'stage2_conv1']
  is_there = jnp.ones(len(parts.names)).at[1].set(0.0)
  changed = {
    collection: tree | {name: jax.tree.map(lambda x: x + 1, tree[name]) for name in
                        ('stage1_conv2', 'stage1_norm2') if name in tree}
    for collection, tree in variables.items()
  }  # fmt: skip
  logits = jax.jit(parts.logits)
  without = logits(variables, images, is_there)
  np.testing.assert_array_equal(without, logits(changed, images, is_there))
  assert np.any(logits(changed, images, jnp.ones(10)) != logits(variables, images, jnp.ones(10)))


def test_the_first_block_of_a_later_stage_samples_down():
  net = models.create('resnet14')
  parts = lesion.parts_of(net, filled(net))
  assert parts.names == [f'stage{s}_block{b}' for s in (1, 2, 3) for b in (1, 2)]
  assert parts.down_sampling == [False, False, True, False, True, False]


def test_only_blocks_of_the_same_shape_change_places():
  net = models.create('resnet20', shortcut='project')
  variables = filled(net)
  names = lesion.parts_of(net, variables).names
  groups = lesion.interchangeable(names, variables)
  assert groups == [[0, 1, 2], [4, 5], [7, 8]]  # others have a projection or another width
  order = np.arange(9)
  order[[4, 5]] = [5, 4]
  moved = lesion.permute(names, variables, order)
  for collection in variables:
    before, after = variables[collection], moved[collection]
    assert after['stage2_block2'] is before['stage2_block3']
    assert after['stage2_block3'] is before['stage2_block2']
    assert after['stage1_block2'] is before['stage1_block2']
    assert before['stage2_block2'] is not before['stage2_block3']


def test_errors_count_every_image_once():
  class Answers:
    names = ('only',)

    @staticmethod
    def logits(variables, images, is_there):
      # The class is written in the first pixel; without the only part, the answer is 0.
      return jax.nn.one_hot((images[:, 0, 0, 0] * is_there[0]).astype(int), 10)

  labels = np.array([3, 0, 5, 1, 0], np.int32)
  images = np.zeros((5, 2, 2, 1), np.float32)
  images[:, 0, 0, 0] = [3, 0, 5, 1, 7]
  padded = np.concatenate([images, images[:1]]), np.append(labels, sample.PADDING)
  batches = sample.Sample(tuple(np.split(padded[0], 2)), tuple(np.split(padded[1], 2)), 5)
  lesions = lesion.Lesions(Answers, {}, batches)
  assert lesions.whole() == pytest.approx(1 / 5)
  assert lesions.each() == [pytest.approx(3 / 5)]


def test_nets_without_blocks_are_refused_in_one_line():
  net = models.create('densenet_bc_40_12')
  with pytest.raises(InputError, match='no branches to open and close'):
    lesion.parts_of(net, models.abstract_variables(net))
