"""Mixtures of images and labels, and the loss and accuracy of soft labels."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.augment import mix
from cifar_jax.config.optimization import LossSettings
from cifar_jax.experiment import losses, metrics

N, SIZE = 3000, 8


def mixed(
  mixup: float = 0.0, cutmix: float = 0.0, probability: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Mixes images; every pixel of image i holds the number i.

  Returns:
    The mixed images from image 1 on, `[N - 1, SIZE, SIZE]`, the weight of each image's label in its
    soft label, `[N - 1]`, and the weight of its partner's label, `[N - 1]`.
  """
  numbers = jnp.arange(N, dtype=jnp.float32)
  images = jnp.broadcast_to(numbers[:, None, None, None], (N, SIZE, SIZE, 1))
  labels = jax.nn.one_hot(jnp.arange(N) % 7, 7)
  function = jax.jit(
    functools.partial(mix.random_mix, mixup=mixup, cutmix=cutmix, probability=probability)
  )
  out, soft = (np.asarray(array) for array in function(jax.random.key(0), images, labels))
  classes = np.arange(N) % 7
  np.testing.assert_allclose(soft.sum(axis=1), 1.0, rtol=1e-5)
  return out[1:, ..., 0], soft[np.arange(1, N), classes[1:]], soft[np.arange(1, N), classes[:-1]]


@pytest.mark.parametrize('alpha', [0.2, 1.0])
def test_mixup_shares_have_a_beta_distribution_and_are_those_of_the_labels(alpha: float) -> None:
  out, weight, partner_weight = mixed(mixup=alpha)
  # The mixture of image i, with share s, and image i - 1 is i - 1 + s.
  share = out[:, 0, 0] - np.arange(N - 1)
  np.testing.assert_array_equal(out, np.broadcast_to(out[:, :1, :1], out.shape))
  np.testing.assert_allclose(share, weight, atol=1e-3)
  np.testing.assert_allclose(weight + partner_weight, 1.0, rtol=1e-5)
  assert abs(weight.mean() - 0.5) < 0.03
  assert abs(weight.var() - 0.25 / (2 * alpha + 1)) < 0.01


def test_cutmix_boxes_show_the_partner_and_labels_have_the_shares_of_the_areas() -> None:
  out, weight, partner_weight = mixed(cutmix=1.0)
  numbers = np.arange(1, N)[:, None, None]
  box = out == numbers - 1
  assert np.all(box | (out == numbers))
  rows, columns = box.any(axis=2).sum(axis=1), box.any(axis=1).sum(axis=1)
  np.testing.assert_array_equal(box.sum(axis=(1, 2)), rows * columns)
  np.testing.assert_allclose(partner_weight, box.mean(axis=(1, 2)), atol=1e-5)
  np.testing.assert_allclose(weight, 1 - partner_weight, atol=1e-5)
  whole = (rows == columns) & (rows > 0)
  assert whole.mean() > 0.3 and rows.max() == SIZE - 1 + (rows.max() == SIZE)
  # The centre of a box is uniform, so the middle of the image is covered more often than a corner.
  assert box[:, 3, 3].mean() > 1.5 * box[:, 0, 0].mean() > 0
  np.testing.assert_allclose(box.mean(axis=0), box.mean(axis=0).T, atol=0.04)


def test_mixup_and_cutmix_each_mix_half_of_the_images_to_be_mixed() -> None:
  out, weight, _ = mixed(mixup=1.0, cutmix=1.0, probability=0.6)
  numbers = np.arange(1, N)[:, None, None]
  unmixed = np.all(out == numbers, axis=(1, 2))
  np.testing.assert_allclose(weight[unmixed], 1.0)
  flat = np.all(out == out[:, :1, :1], axis=(1, 2)) & ~unmixed
  assert abs(unmixed.mean() - 0.4) < 0.06  # and some with an empty box
  assert abs(flat.mean() - 0.3) < 0.05


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_the_loss_of_a_soft_label_is_the_weighted_mean_over_its_classes(smoothing: float) -> None:
  logits = jnp.array([[2.0, 0.0, -1.0], [0.5, -0.5, 0.5]])
  loss = losses.make(LossSettings(label_smoothing=smoothing))
  first, second = loss(logits, jnp.array([0, 2])), loss(logits, jnp.array([1, 1]))
  soft = 0.3 * jax.nn.one_hot(jnp.array([0, 2]), 3) + 0.7 * jax.nn.one_hot(jnp.array([1, 1]), 3)
  np.testing.assert_allclose(loss(logits, soft), 0.3 * first + 0.7 * second, rtol=1e-5)


def test_accuracy_counts_the_class_with_the_largest_weight() -> None:
  logits = jnp.array([[2.0, 0.0, -1.0], [0.5, 0.7, 0.5]])
  soft = jnp.array([[0.4, 0.6, 0.0], [0.1, 0.5, 0.4]])
  hard = metrics.of_batch(jnp.zeros(2), logits, jnp.array([1, 1]))
  assert metrics.read(metrics.of_batch(jnp.zeros(2), logits, soft), 10) == metrics.read(hard, 10)
  assert metrics.read(hard, 10)['accuracy'] == 0.5
