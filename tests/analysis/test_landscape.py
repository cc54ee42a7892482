"""The loss along lines, against known values."""

import functools
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.analysis.measures import landscape
from cifar_jax.analysis.sample import PADDING
from tests.support.fake_cifar import message
from tests.support.filled import filled_variables
from tests.support.samples import two_batches

IMAGES = np.random.RandomState(0).standard_normal((6, 8, 8, 3)).astype(np.float32)
LABELS = np.array([1, 2, 3, 4, 5, PADDING], np.int32)
SAMPLE = two_batches(IMAGES, LABELS)


def test_each_filter_of_a_direction_has_the_norm_of_the_nets_filter() -> None:
  params = filled_variables(models.create('resnet8'))['params']
  direction = jax.jit(landscape.random_direction)(jax.random.key(0), params)
  norm = lambda leaf: np.sqrt(np.sum(np.square(leaf), axis=tuple(range(leaf.ndim - 1))))  # noqa: E731
  for leaf, change in zip(jax.tree.leaves(params), jax.tree.leaves(direction), strict=True):
    if leaf.ndim > 1:
      np.testing.assert_allclose(norm(leaf), norm(change), rtol=1e-5)
      assert np.abs(leaf - change).max() > 0.1 * np.abs(leaf).max()
    else:
      assert not np.any(change)


def test_a_direction_of_a_scanned_stage_is_scaled_block_by_block() -> None:
  block = {'norm': {'scale': jnp.ones((3, 4))}, 'conv': {'kernel': jnp.ones((3, 1, 1, 2, 4))}}
  scales = jnp.arange(1.0, 4)[:, None, None, None, None]
  block['conv']['kernel'] *= scales  # of the three blocks
  direction = landscape.random_direction(jax.random.key(0), {'stage1_rest': block})['stage1_rest']
  assert not np.any(direction['norm']['scale'])
  norms = np.sqrt(np.sum(np.square(direction['conv']['kernel']), axis=(1, 2, 3)))
  np.testing.assert_allclose(norms, np.sqrt(2) * np.arange(1, 4)[:, None].repeat(4, 1), rtol=1e-5)


def test_the_loss_and_the_error_count_every_image_once() -> None:
  net = models.create('resnet8')
  variables = filled_variables(net)
  logits = jax.jit(lambda images: net.apply(variables, images, train=False))(IMAGES[:5])
  measured = landscape.Surface(net, SAMPLE).at(variables['params'], variables['batch_stats'])
  expected = -np.mean(jax.nn.log_softmax(logits)[jnp.arange(5), LABELS[:5]])
  np.testing.assert_allclose(measured['loss'], expected, rtol=1e-5)
  assert measured['error'] == np.mean(np.argmax(logits, axis=1) != LABELS[:5])


def test_measured_statistics_are_means_over_the_whole_batches() -> None:
  net = models.create('resnet8')
  variables = filled_variables(net)
  sample = two_batches(IMAGES, np.arange(6))
  measured = landscape.Surface(net, sample).statistics(
    variables['params'], variables['batch_stats']
  )
  apply = functools.partial(
    net.apply, train=False, mutable=['intermediates'],
    capture_intermediates=lambda module, _: module.name == 'stem_conv',
  )  # fmt: skip
  _, recorded = jax.jit(apply)(variables, IMAGES)
  (stem,) = recorded['intermediates']['stem_conv']['__call__']
  np.testing.assert_allclose(measured['stem_norm']['mean'], stem.mean((0, 1, 2)), rtol=1e-3)
  within = np.mean([half.var((0, 1, 2)) for half in np.split(stem, 2)], axis=0)
  np.testing.assert_allclose(measured['stem_norm']['var'], within, rtol=1e-3)


@pytest.mark.parametrize(
  ('name', 'fields', 'size'),
  [
    ('resnet8', {'survival_probability': 0.5}, 8),
    ('fractalnet10_w4', {'drop_path': 0.15, 'dropout': 0.3}, 32),
    ('speed_net_30_4_8', {}, 12),
  ],
)
def test_statistics_are_those_of_evaluation_whatever_training_leaves_out(
  name: str, fields: dict[str, Any], size: int
) -> None:
  net = models.create(name, **fields)
  variables = filled_variables(net, size)
  params, given = variables['params'], variables['batch_stats']
  images = np.random.RandomState(0).standard_normal((4, size, size, 3)).astype(np.float32)
  surface = landscape.Surface(net, two_batches(images, np.arange(4)))
  measured = surface.statistics(params, given)
  others = jax.tree_util.tree_map_with_path(
    lambda path, leaf: leaf if path[-1].key == 'kernel' else 2 * leaf + 1, given
  )
  again = surface.statistics(params, others)  # nothing of the given norms is left
  for path, leaf in jax.tree_util.tree_leaves_with_path(measured):
    before, after = (functools.reduce(lambda t, key: t[key.key], path, t) for t in (given, again))
    if path[-1].key == 'kernel':  # the whitening, which is no norm
      np.testing.assert_array_equal(leaf, before)
    else:
      np.testing.assert_allclose(leaf, after, rtol=1e-3, atol=1e-4)


def test_a_line_ends_only_at_a_net_with_the_same_model_and_data() -> None:
  def run(name: str, model: str = 'resnet8', mean: tuple[float, ...] = (0.5,)) -> Any:
    dataset = types.SimpleNamespace(class_names=('cat', 'dog'), mean=mean, std=(0.2,))
    net = models.create(model)
    return types.SimpleNamespace(
      name=model,
      model=net,
      variables={'params': {'x': jnp.ones(2)}},
      workdir=name,
      experiment=types.SimpleNamespace(dataset=dataset),
    )

  assert not np.any(landscape._difference(run('a'), run('b'))['x'])
  assert 'with other fields' in message(
    lambda: landscape._difference(run('a'), run('b', 'resnet14'))
  )
  text = message(lambda: landscape._difference(run('a'), run('b', mean=(0.4,))))
  assert 'b was trained on other data than a' in text
