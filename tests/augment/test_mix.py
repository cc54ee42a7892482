"""Mixtures of images and labels, and what the loss and the metrics make of soft labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import losses, metrics
from cifar_jax.augment import mix

N, SIZE = 3000, 8


def mixed(**fields):
  """Mixtures of images that hold their own number everywhere, and of labels that are their own."""
  numbers = jnp.arange(N, dtype=jnp.float32)
  images = jnp.broadcast_to(numbers[:, None, None, None], (N, SIZE, SIZE, 1))
  labels = jax.nn.one_hot(jnp.arange(N) % 7, 7)
  options = {'mixup': 0.0, 'cutmix': 0.0, 'probability': 1.0} | fields
  function = jax.jit(lambda key, *arrays: mix.random_mix(key, *arrays, **options))
  out, soft = (np.asarray(array) for array in function(jax.random.key(0), images, labels))
  own = np.arange(N) % 7
  np.testing.assert_allclose(soft.sum(axis=1), 1.0, rtol=1e-5)
  return out[1:, ..., 0], soft[np.arange(1, N), own[1:]], soft[np.arange(1, N), own[:-1]]


@pytest.mark.parametrize('alpha', [0.2, 1.0])
def test_mixup_shares_are_beta_and_those_of_the_labels(alpha):
  out, own, partner = mixed(mixup=alpha)
  # Image i mixed with i - 1 by share s is i - 1 + s.
  share = out[:, 0, 0] - np.arange(N - 1)
  np.testing.assert_array_equal(out, np.broadcast_to(out[:, :1, :1], out.shape))
  np.testing.assert_allclose(share, own, atol=1e-3)
  np.testing.assert_allclose(own + partner, 1.0, rtol=1e-5)
  assert abs(own.mean() - 0.5) < 0.03
  assert abs(own.var() - 0.25 / (2 * alpha + 1)) < 0.01


def test_cutmix_boxes_hold_the_partner_and_labels_follow_the_area():
  out, own, partner = mixed(cutmix=1.0)
  numbers = np.arange(1, N)[:, None, None]
  box = out == numbers - 1
  assert np.all(box | (out == numbers))
  rows, columns = box.any(axis=2).sum(axis=1), box.any(axis=1).sum(axis=1)
  np.testing.assert_array_equal(box.sum(axis=(1, 2)), rows * columns)
  np.testing.assert_allclose(partner, box.mean(axis=(1, 2)), atol=1e-5)
  np.testing.assert_allclose(own, 1 - partner, atol=1e-5)
  whole = (rows == columns) & (rows > 0)
  assert whole.mean() > 0.3 and rows.max() == SIZE - 1 + (rows.max() == SIZE)
  # Its centre is uniform: the middle of the image is covered more often than a corner.
  assert box[:, 3, 3].mean() > 1.5 * box[:, 0, 0].mean() > 0
  np.testing.assert_allclose(box.mean(axis=0), box.mean(axis=0).T, atol=0.04)


def test_both_share_the_images_and_the_rest_stays_whole():
  out, own, _ = mixed(mixup=1.0, cutmix=1.0, probability=0.6)
  numbers = np.arange(1, N)[:, None, None]
  kept = np.all(out == numbers, axis=(1, 2))
  np.testing.assert_allclose(own[kept], 1.0)
  flat = np.all(out == out[:, :1, :1], axis=(1, 2)) & ~kept
  assert abs(kept.mean() - 0.4) < 0.06  # and some whose box is empty
  assert abs(flat.mean() - 0.3) < 0.05


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_a_soft_label_costs_the_mean_of_its_parts(smoothing):
  logits = jnp.array([[2.0, 0.0, -1.0], [0.5, -0.5, 0.5]])
  loss = losses.make(label_smoothing=smoothing)
  first, second = loss(logits, jnp.array([0, 2])), loss(logits, jnp.array([1, 1]))
  soft = 0.3 * jax.nn.one_hot(jnp.array([0, 2]), 3) + 0.7 * jax.nn.one_hot(jnp.array([1, 1]), 3)
  np.testing.assert_allclose(loss(logits, soft), 0.3 * first + 0.7 * second, rtol=1e-5)


def test_accuracy_counts_the_class_of_the_greatest_weight():
  logits = jnp.array([[2.0, 0.0, -1.0], [0.5, 0.7, 0.5]])
  soft = jnp.array([[0.4, 0.6, 0.0], [0.1, 0.5, 0.4]])
  hard = metrics.of_batch(jnp.zeros(2), logits, jnp.array([1, 1]))
  assert metrics.read(metrics.of_batch(jnp.zeros(2), logits, soft)) == metrics.read(hard)
  assert metrics.read(hard)['accuracy'] == 0.5
