"""The loss along lines, with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
from data.filled import variables as filled

from cifar_jax import models
from cifar_jax.analysis import landscape, sample

IMAGES = np.random.RandomState(0).standard_normal((6, 8, 8, 3)).astype(np.float32)
LABELS = np.array([1, 2, 3, 4, 5, sample.PADDING], np.int32)
SAMPLE = sample.Sample((IMAGES[:3], IMAGES[3:]), (LABELS[:3], LABELS[3:]), 5)


def test_each_filter_of_the_direction_is_as_long_as_the_nets_own():
  params = filled(models.create('resnet8'))['params']
  drawn = landscape.direction(jax.random.key(0), params)
  norm = lambda leaf: np.sqrt(np.sum(np.square(leaf), axis=tuple(range(leaf.ndim - 1))))  # noqa: E731
  for own, other in zip(jax.tree.leaves(params), jax.tree.leaves(drawn), strict=True):
    if own.ndim > 1:
      np.testing.assert_allclose(norm(own), norm(other), rtol=1e-5)
      assert np.abs(own - other).max() > 0.1 * np.abs(own).max()
    else:
      assert not np.any(other)


def test_the_loss_and_the_error_count_every_image_once():
  net = models.create('resnet8')
  variables = filled(net)
  logits = jax.jit(lambda images: net.apply(variables, images, train=False))(IMAGES[:5])
  here = landscape.Surface(net, SAMPLE).at(variables['params'], variables['batch_stats'])
  expected = -np.mean(jax.nn.log_softmax(logits)[jnp.arange(5), LABELS[:5]])
  np.testing.assert_allclose(here['loss'], expected, rtol=1e-5)
  assert here['error'] == np.mean(np.argmax(logits, axis=1) != LABELS[:5])


def test_statistics_measured_anew_are_those_of_the_whole_batches():
  net = models.create('resnet8')
  variables = filled(net)
  batches = sample.Sample((IMAGES[:3], IMAGES[3:]), (LABELS[:3], LABELS[3:]), 6)
  measured = landscape.Surface(net, batches).statistics(
    variables['params'], variables['batch_stats']
  )
  _, recorded = net.apply(
    variables, IMAGES, train=False, mutable=['intermediates'],
    capture_intermediates=lambda module, _: module.name == 'stem_conv',
  )  # fmt: skip
  (stem,) = recorded['intermediates']['stem_conv']['__call__']
  np.testing.assert_allclose(measured['stem_norm']['mean'], stem.mean((0, 1, 2)), rtol=1e-3)
  within = np.mean([half.var((0, 1, 2)) for half in np.split(stem, 2)], axis=0)
  np.testing.assert_allclose(measured['stem_norm']['var'], within, rtol=1e-3)
