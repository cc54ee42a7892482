"""The speed run's net: counts layer by layer, whitening, and partial identities."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import speed_net
from tests.models import exact_counts
from tests.support.filled import filled_variables

TINY = 'speed_net_30_4_8'


def layer_by_layer(widths: Sequence[int], num_classes: int) -> int:
  """The parameters: 24 biases; per group two convolutions and the biases of two norms; a matrix."""
  total, inputs = 24, 24
  for width in widths:
    total += 9 * inputs * width + 9 * width * width + 2 * width
    inputs = width
  return total + inputs * num_classes


@pytest.mark.parametrize('name', exact_counts.SPEED_NET)
def test_counts_are_those_of_the_layers(name: str) -> None:
  widths = [int(width) for width in name.split('_')[2:]]
  counts = (layer_by_layer(widths, 10), layer_by_layer(widths, 100))
  assert counts == exact_counts.SPEED_NET[name]


def correlated_images() -> jax.Array:
  """Random images whose neighbouring pixels and channels correlate: `[20, 12, 12, 3]`."""
  noise = np.random.RandomState(0).standard_normal((20, 14, 14, 3))
  smooth = noise[:, 2:, 2:] + noise[:, 1:-1, 2:] + noise[:, 2:, 1:-1]
  return jnp.asarray(smooth @ np.array([[1, 0.5, 0.2], [0.3, 1, 0.5], [0.1, 0.1, 1]]), jnp.float32)


def filtered_patches(kernel: jax.Array, images: jax.Array) -> np.ndarray:
  """The output of each filter at each position: `[positions, filters]`."""
  layer = speed_net.Whitening()
  variables = {'params': {'bias': jnp.zeros(24)}, 'batch_stats': {'kernel': kernel}}
  return np.asarray(jax.jit(layer.apply)(variables, images)).reshape(-1, 24)


def test_patches_are_white_after_the_convolution() -> None:
  images = correlated_images()
  before = filtered_patches(speed_net.white_patches_kernel(3), images)[:, :12]
  after = filtered_patches(jax.jit(speed_net.whitening_kernel)(images), images)
  moments = before.T @ before / len(before)
  assert np.abs(moments - np.diag(np.diag(moments))).max() > 1.0  # they are not white before
  np.testing.assert_allclose(after[:, :12].T @ after[:, :12] / len(after), np.eye(12), atol=0.01)
  np.testing.assert_allclose(after[:, 12:], -after[:, :12], atol=1e-5)  # up to rounding


def test_filters_are_the_principal_axes_in_falling_order() -> None:
  images = correlated_images()
  kernel = np.asarray(jax.jit(speed_net.whitening_kernel)(images)).reshape(12, 24)[:, :12]
  patches = filtered_patches(speed_net.white_patches_kernel(3), images)[:, :12]
  variances = np.linalg.eigvalsh(patches.T @ patches / len(patches))[::-1]
  lengths = np.sum(kernel**2, axis=0)
  np.testing.assert_allclose(lengths, 1 / (variances + 5e-4), rtol=1e-3)


def test_the_kernel_is_a_statistic_that_training_does_not_change() -> None:
  model: Any = models.create(TINY)
  variables = filled_variables(model)
  assert set(variables['params']['whitening']) == {'bias'}
  images = correlated_images()
  fitted = jax.jit(model.fit)(variables['batch_stats'], images)
  expected = jax.jit(speed_net.whitening_kernel)(images)
  np.testing.assert_allclose(fitted['whitening']['kernel'], expected, rtol=1e-4, atol=1e-5)
  assert jax.tree.map(np.shape, fitted) == jax.tree.map(np.shape, variables['batch_stats'])
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


@pytest.mark.parametrize(('inputs', 'outputs'), [(4, 6), (6, 4), (5, 5)])
def test_convolutions_start_as_the_identity_of_as_many_channels_as_possible(
  inputs: int, outputs: int
) -> None:
  kernel = speed_net.partial_identity(jax.random.key(0), (3, 3, inputs, outputs), jnp.float32)
  x = jax.random.normal(jax.random.key(1), (2, 5, 5, inputs))
  y = jax.lax.conv_general_dilated(
    x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )
  same = min(inputs, outputs)
  np.testing.assert_array_equal(y[..., :same], x[..., :same])
  random = np.asarray(kernel[..., same:])
  assert np.all(np.abs(random) <= 1 / np.sqrt(9 * inputs)) and np.all(random != 0)


@pytest.mark.ci
def test_norms_have_biases_only_and_logits_are_linear_in_the_head() -> None:
  model: Any = models.create(TINY, num_classes=7, dtype='bfloat16')
  variables = filled_variables(model)
  assert set(variables['params']['group1_norm1']) == {'bias'}
  logits = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, correlated_images())
  assert logits.shape == (20, 7) and logits.dtype == jnp.float32
  head = variables['params'] | {'head': {'kernel': 9 * variables['params']['head']['kernel']}}
  louder = model.apply(variables | {'params': head}, correlated_images(), train=False)
  np.testing.assert_allclose(louder, 9 * logits, rtol=0.05, atol=1e-2)
