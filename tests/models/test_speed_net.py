"""The speed run's net: counts, whitening, identities, and the same logits as in Torch.

`data/speed_net_torch.py` made the logits, the weights filled by name.
"""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data import fill
from data.filled import variables as filled
from fake_cifar import message

from cifar_jax import models
from cifar_jax.models import speed_net

TINY = 'speed_net_30_4_8'
DATA = pathlib.Path(__file__).parents[1] / 'data'
TORCH = json.loads((DATA / 'speed_net_torch.json').read_text())['nets']


def count(widths, num_classes):
  """Layer by layer: 24 biases, two convolutions and two norms' biases a group, a matrix."""
  total, inputs = 24, 24
  for width in widths:
    total += 9 * inputs * width + 9 * width * width + 2 * width
    inputs = width
  return total + inputs * num_classes


COUNTS = {'speed_net_64_256_256': 1_971_352, 'speed_net_128_384_384': 4_604_440}


@pytest.mark.parametrize(('name', 'expected'), COUNTS.items())
def test_counts_are_exact(name, expected):
  widths = [int(width) for width in name.split('_')[2:]]
  assert models.num_params(models.create(name)) == count(widths, 10) == expected
  assert models.num_params(models.create(name, num_classes=100)) == count(widths, 100)


def test_every_registered_name_is_counted():
  assert set(speed_net.NAMES) == set(COUNTS)


@pytest.mark.parametrize('name', TORCH)
def test_logits_are_those_of_torch(name):
  model = models.create(name)
  variables = filled(model)
  assert models.count(variables['params']) == TORCH[name]['num_params']
  logits = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, fill.images())
  np.testing.assert_allclose(logits, np.array(TORCH[name]['logits']), rtol=2e-4, atol=2e-4)


def correlated_images():
  """Random images, smoothed so that neighbours and channels are alike: `[20, 12, 12, 3]`."""
  noise = np.random.RandomState(0).standard_normal((20, 14, 14, 3))
  smooth = noise[:, 2:, 2:] + noise[:, 1:-1, 2:] + noise[:, 2:, 1:-1]
  return jnp.asarray(smooth @ np.array([[1, 0.5, 0.2], [0.3, 1, 0.5], [0.1, 0.1, 1]]), jnp.float32)


def patches_seen_by(kernel, images):
  """What each filter gives at each place: `[places, filters]`."""
  layer = speed_net.Whitening()
  variables = {'params': {'bias': jnp.zeros(24)}, 'batch_stats': {'kernel': kernel}}
  return np.asarray(jax.jit(layer.apply)(variables, images)).reshape(-1, 24)


def test_patches_are_white_after_the_convolution():
  images = correlated_images()
  before = patches_seen_by(speed_net.white_patches_kernel(3), images)[:, :12]
  after = patches_seen_by(jax.jit(speed_net.whitening_kernel)(images), images)
  moments = before.T @ before / len(before)
  assert np.abs(moments - np.diag(np.diag(moments))).max() > 1.0  # there was something to do
  np.testing.assert_allclose(after[:, :12].T @ after[:, :12] / len(after), np.eye(12), atol=0.01)
  np.testing.assert_array_equal(after[:, 12:], -after[:, :12])


def test_filters_are_the_principal_axes_from_the_greatest():
  images = correlated_images()
  kernel = np.asarray(jax.jit(speed_net.whitening_kernel)(images)).reshape(12, 24)[:, :12]
  patches = patches_seen_by(speed_net.white_patches_kernel(3), images)[:, :12]
  variances = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]
  lengths = np.sum(kernel**2, axis=0)
  np.testing.assert_allclose(lengths, 1 / (variances + 5e-4), rtol=1e-3)


def test_the_kernel_is_a_statistic_that_training_leaves_alone():
  model = models.create(TINY)
  variables = filled(model)
  assert set(variables['params']['whitening']) == {'bias'}
  images = correlated_images()
  fitted = jax.jit(model.fit)(variables['batch_stats'], images)
  expected = jax.jit(speed_net.whitening_kernel)(images)
  np.testing.assert_allclose(fitted['whitening']['kernel'], expected, rtol=1e-4, atol=1e-5)
  assert jax.tree.structure(fitted) == jax.tree.structure(variables['batch_stats'])
  _, updates = jax.jit(
    lambda stats: model.apply(
      {'params': variables['params'], 'batch_stats': stats},
      images,
      train=True,
      mutable=['batch_stats'],
    )
  )(fitted)
  np.testing.assert_array_equal(
    updates['batch_stats']['whitening']['kernel'], fitted['whitening']['kernel']
  )
  stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), variables['batch_stats'])
  assert model.fit(stacked, images)['whitening']['kernel'].shape == (3, 2, 2, 3, 24)


def test_convolutions_begin_as_the_identity_where_they_can():
  for inputs, outputs in ((4, 6), (6, 4), (5, 5)):
    kernel = speed_net.identity_where_it_can(
      jax.random.key(0), (3, 3, inputs, outputs), jnp.float32
    )
    x = jax.random.normal(jax.random.key(1), (2, 5, 5, inputs))
    y = jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    same = min(inputs, outputs)
    np.testing.assert_array_equal(y[..., :same], x[..., :same])
    drawn = np.asarray(kernel[..., same:])
    assert np.all(np.abs(drawn) <= 1 / np.sqrt(9 * inputs)) and np.all(drawn != 0)


def test_norms_have_biases_alone_and_half_precision_leaves_parameters_whole():
  model = models.create(TINY, num_classes=7, dtype='bfloat16')
  variables = filled(model)
  assert set(variables['params']['group1_norm1']) == {'bias'}
  logits = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, correlated_images())
  assert logits.shape == (20, 7) and logits.dtype == jnp.float32
  head = variables['params'] | {'head': {'kernel': 9 * variables['params']['head']['kernel']}}
  louder = model.apply(variables | {'params': head}, correlated_images(), train=False)
  np.testing.assert_allclose(louder, 9 * logits, rtol=0.05, atol=1e-2)


def test_impossible_nets_are_refused():
  assert 'at least 1' in message(lambda: models.create('speed_net_64_0_256'))
  assert 'fit_images is 0' in message(lambda: models.create(TINY, fit_images=0))
  assert 'speed_net_{width1}' in message(lambda: models.create('speed_net_64_256'))
