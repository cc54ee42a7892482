"""ResNet, pre-activation and wide nets: counts of other shortcuts, and dropout."""

from typing import Any

import jax
import numpy as np
import pytest

from cifar_jax import models
from tests.support import fill
from tests.support.filled import filled_variables
from tests.support.layer_counts import conv, norm


@pytest.mark.parametrize(
  ('name', 'shortcut', 'count'),
  [
    ('resnet20', 'project', 272_474),  # option B: 1x1 convolutions and their norms
    ('resnet20', 'pool_pad', 269_722),
    ('resnet110', 'project', 1_730_714),
    # Option C: projections at the blocks that keep their width, too.
    (
      'resnet20',
      'project_all',
      272_474
      + 3 * (conv(1, 16, 16) + norm(16))
      + 2 * sum(conv(1, width, width) + norm(width) for width in (32, 64)),
    ),
    ('preact_resnet110', 'pad', 1_727_962),
  ],
)
def test_counts_with_other_shortcuts(name: str, shortcut: str, count: int) -> None:
  assert models.num_params(models.create(name, shortcut=shortcut)) == count


def test_a_hundred_classes_change_the_head_only() -> None:
  model = models.create('wrn_16_4', num_classes=100)
  assert models.num_params(model) == 2_772_020


def test_wide_resnet_drops_activations_only_before_the_second_convolution() -> None:
  model = models.create('wrn_10_1', dropout=0.5)
  variables, images = filled_variables(model), fill.images(4)
  _, state = jax.jit(
    lambda variables: model.apply(
      variables,
      images,
      train=True,
      rngs={'dropout': jax.random.key(0)},
      capture_intermediates=True,
      mutable=True,
    )
  )(variables)
  block = state['intermediates']['stage1_block1']
  assert [name for name in block if name.startswith('Dropout')] == ['Dropout_0']
  before = jax.nn.relu(block['norm2']['__call__'][0])
  after = block['Dropout_0']['__call__'][0]
  survives = after != 0
  np.testing.assert_allclose(after, np.where(survives, 2.0 * before, 0.0), rtol=1e-6, atol=1e-6)
  assert 0.45 < np.mean(survives[before > 0]) < 0.55


@pytest.mark.ci
def test_a_resnet_without_norms_is_one_whose_norms_change_nothing() -> None:
  model = models.create('resnet8', shortcut='project')
  variables, images = filled_variables(model), fill.images(2)
  # A norm of mean 0 and variance 1, whose scale makes up for epsilon.
  identity = {'mean': 0.0, 'var': 1.0, 'scale': np.sqrt(1 + 1e-5), 'bias': 0.0}

  def leaf_of_identity(path: tuple[jax.tree_util.DictKey, ...], leaf: Any) -> Any:
    in_norm = any('norm' in str(key.key) for key in path)
    return np.full_like(leaf, identity[path[-1].key]) if in_norm else leaf

  normalised = jax.tree_util.tree_map_with_path(leaf_of_identity, variables)
  bare = models.create('resnet8', shortcut='project', norm=False)
  assert set(jax.eval_shape(lambda: bare.init(jax.random.key(0), images, train=False))) == {
    'params'
  }
  params = {
    block: {name: leaf for name, leaf in layers.items() if 'norm' not in name}
    for block, layers in variables['params'].items()
    if 'norm' not in block
  }
  expected = jax.jit(lambda: model.apply(normalised, images, train=False))()
  logits = jax.jit(lambda: bare.apply({'params': params}, images, train=False))()
  np.testing.assert_allclose(logits, expected, rtol=1e-5)
