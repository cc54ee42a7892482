"""Path lengths: the paths add up to the whole, and the curves to what binomials say."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.filled import variables as filled

from cifar_jax import models
from cifar_jax.analysis import gating, path_length
from cifar_jax.errors import InputError

RANDOM = np.random.RandomState(0)
IMAGES = jnp.asarray(RANDOM.standard_normal((3, 8, 8, 3)), jnp.float32)
LABELS = jnp.asarray([1, 9, -1], jnp.int32)


@pytest.mark.parametrize(
  'name,fields',
  [('resnet8', {}), ('pyramidnet8_a6', {'survival_probability': 0.5}),
   ('shake_shake_8_2x2d', {})],
)  # fmt: skip
def test_the_gradients_along_all_paths_add_up_to_the_whole(name, fields):
  net = models.create(name, **fields)
  variables, gates = filled(net), gating.at_test_time(net)
  whole = path_length.input_gradient(net, variables, IMAGES, LABELS, gates)
  paths = [
    path_length.input_gradient(
      net, variables, IMAGES, LABELS, path_length.along_path(gates, jnp.asarray(through))
    )
    for through in itertools.product((0.0, 1.0), repeat=net.num_blocks)
  ]
  assert len(paths) == 8 and all(np.any(path) for path in paths)
  np.testing.assert_allclose(sum(paths), whole, rtol=1e-4, atol=1e-6 * np.abs(whole).max())
  assert not np.any(whole[2])  # which has no label


def test_the_gradient_is_that_of_the_cross_entropy():
  net = models.create('resnet8')
  variables, gates = filled(net), gating.at_test_time(net)
  gradient = path_length.input_gradient(net, variables, IMAGES, LABELS, gates)

  def loss(images):
    logits = net.apply(variables, images, train=False)
    return -jnp.sum(jax.nn.log_softmax(logits)[jnp.arange(2), LABELS[:2]])

  np.testing.assert_allclose(
    gradient[:2], jax.jit(jax.grad(loss))(IMAGES[:2]), rtol=1e-4, atol=1e-7
  )


def test_with_equal_norms_the_share_is_binomial():
  share = path_length.carried(3, [0, 3], [0.1, 0.1])
  np.testing.assert_allclose(share, [1 / 8, 3 / 8, 3 / 8, 1 / 8])


def test_norms_between_measured_lengths_are_geometric():
  share = path_length.carried(2, [0, 2], [1.0, 0.01])  # so 0.1 at length 1
  np.testing.assert_allclose(share, np.array([1.0, 0.2, 0.01]) / 1.21)


def test_the_bulk_leaves_both_tails_out():
  share = np.array([0.02, 0.02, 0.5, 0.44, 0.02])
  assert path_length.bulk(share) == (1, 3)


@pytest.mark.parametrize('name', ['densenet_bc_40_12', 'plain20', 'vgg11_bn'])
def test_nets_without_shortcuts_are_refused_in_one_line(name):
  with pytest.raises(InputError, match=r'^a net of the kind .* take a residual net$'):
    gating.at_test_time(models.create(name))


def test_blocks_without_a_shortcut_are_refused():
  net = models.create('efficientnet_b0')
  with pytest.raises(InputError, match='have no shortcut'):
    gating.block_names(net, models.abstract_variables(net)['params'])


def test_the_blocks_of_a_scanned_stage_have_their_names():
  net = models.create('resnet1202')
  names = gating.block_names(net, models.abstract_variables(net)['params'])
  assert len(names) == 600 and names[:2] == ['stage1_block1', 'stage1_block2']
  assert names[200] == 'stage2_block1' and names[-1] == 'stage3_block200'
