"""The data set `shapes`: a function of its seed, balanced, and hard to classify by colour alone."""

import numpy as np
import pytest

from cifar_jax.data import outlines, shapes

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
CHANCE = 1 / len(shapes.CLASS_NAMES)


@pytest.fixture(scope='module')
def generated() -> Arrays:
  return shapes.generate(0)


@pytest.fixture
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(shapes, 'TRAIN_SIZE', 200)
  monkeypatch.setattr(shapes, 'TEST_SIZE', 100)


def _nearest_mean_accuracy(
  features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, test_labels: np.ndarray
) -> float:
  """The test accuracy of a classifier that chooses the class with the nearest mean."""
  means = np.stack([features[labels == label].mean(0) for label in range(len(shapes.CLASS_NAMES))])
  distances = np.linalg.norm(test_features[:, None] - means, axis=-1)
  return float(np.mean(distances.argmin(1) == test_labels))


def _ridge_accuracy(
  features: np.ndarray, labels: np.ndarray, test_features: np.ndarray, test_labels: np.ndarray
) -> float:
  """The test accuracy of ridge regression."""
  offset = features.mean(0)
  features = features - offset
  targets = np.eye(len(shapes.CLASS_NAMES))[labels] - CHANCE
  penalty = 0.01 * np.trace(features.T @ features) * np.eye(features.shape[1])
  weights = np.linalg.solve(features.T @ features + penalty, features.T @ targets)
  return float(np.mean(((test_features - offset) @ weights).argmax(1) == test_labels))


def _thumbnails(images: np.ndarray) -> np.ndarray:
  """Means over 4 × 4 pixels: float64 `[count, 192]`."""
  blocks = images.reshape(len(images), 8, 4, 8, 4, 3)
  return blocks.mean(axis=(2, 4)).reshape(len(images), -1)


def test_sizes_and_types(generated: Arrays) -> None:
  images, labels, test_images, test_labels = generated
  assert images.shape == (12_000, 32, 32, 3) and test_images.shape == (2_000, 32, 32, 3)
  assert images.dtype == test_images.dtype == np.uint8
  assert labels.dtype == test_labels.dtype == np.int32


def test_classes_are_balanced_and_shuffled(generated: Arrays) -> None:
  _, labels, _, test_labels = generated
  assert len(set(shapes.CLASS_NAMES)) == 10
  assert np.bincount(labels).tolist() == [1_200] * 10
  assert np.bincount(test_labels).tolist() == [200] * 10
  assert np.bincount(labels[:1_000], minlength=10).min() > 60


def test_every_image_is_unique(generated: Arrays) -> None:
  images, _, test_images, _ = generated
  distinct = {image.tobytes() for image in np.concatenate([images, test_images])}
  assert len(distinct) == len(images) + len(test_images)


def test_pixels_use_the_full_range_and_seldom_saturate(generated: Arrays) -> None:
  images = generated[0]
  assert images.min() == 0 and images.max() == 255
  assert np.mean((images == 0) | (images == 255)) < 0.05


def test_seed_0_draws_the_set_of_all_published_accuracies(generated: Arrays) -> None:
  images, labels, test_images, test_labels = generated
  assert images.mean() == pytest.approx(127.602, abs=0.001)
  assert test_images.mean() == pytest.approx(127.134, abs=0.001)
  assert labels[:8].tolist() == [4, 9, 1, 2, 6, 1, 6, 9]
  assert test_labels[:8].tolist() == [5, 2, 2, 2, 8, 8, 4, 0]


@pytest.mark.usefixtures('small_sets')
def test_equal_seeds_draw_equal_sets_and_different_seeds_different_ones() -> None:
  first, again, other = shapes.generate(3), shapes.generate(3), shapes.generate(4)
  for a, b in zip(first, again, strict=True):
    np.testing.assert_array_equal(a, b)
  for a, b in zip(first, other, strict=True):
    assert np.mean(a != b) > 0.5


def test_mean_colour_does_not_predict_the_class(generated: Arrays) -> None:
  images, labels, test_images, test_labels = generated
  colors, test_colors = images.mean(axis=(1, 2)), test_images.mean(axis=(1, 2))
  means = np.stack([colors[labels == label].mean(0) for label in range(10)])
  assert np.ptp(means, axis=0).max() < 5  # of 255; the mean colours of images differ by about 30
  accuracy = _nearest_mean_accuracy(colors, labels, test_colors, test_labels)
  assert accuracy < CHANCE + 0.03  # 4 standard deviations of a guess


def test_coarse_pixels_hardly_predict_the_class(generated: Arrays) -> None:
  images, labels, test_images, test_labels = generated
  accuracy = _ridge_accuracy(_thumbnails(images), labels, _thumbnails(test_images), test_labels)
  assert accuracy < 0.25


@pytest.mark.parametrize('name', shapes.CLASS_NAMES)
def test_a_shape_is_symmetric_and_has_about_the_common_area(name: str) -> None:
  axis = np.linspace(-1.5, 1.5, 301, dtype=np.float32)
  u, v = np.meshgrid(axis, axis)
  for proportion in np.array([0, 0.5, 0.999], np.float32):
    inside = outlines.OUTLINES[name](u, v, proportion) < 0
    assert np.mean(inside != inside[:, ::-1]) < 0.001
    assert 1.4 < inside.sum() * 0.01**2 < 2.6
    assert not inside[[0, -1]].any() and not inside[:, [0, -1]].any()
