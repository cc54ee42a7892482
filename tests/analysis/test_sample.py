"""The images of an analysis: drawn from the whole split, the same ones each time."""

import logging

import jax
import numpy as np
import pytest

from cifar_jax.analysis.sample import PADDING, Sample, take_sample
from cifar_jax.data.dataset import Split
from cifar_jax.errors import InputError
from cifar_jax.runtime.devices import make_mesh


def draw(num_images: int, batch_size: int = 16) -> Sample:
  """A sample of a split of 200 images, sorted by their ten classes."""
  labels = np.repeat(np.arange(10, dtype=np.int32), 20)
  images = np.broadcast_to(labels[:, None, None, None], (200, 2, 2, 3)).astype(np.uint8)
  normalize = lambda images: images.astype(jax.numpy.float32)  # noqa: E731
  return take_sample(Split(images, labels), num_images, batch_size, normalize, make_mesh(1))


def test_a_sample_of_a_sorted_split_has_images_of_all_classes_with_their_labels() -> None:
  sample = draw(60)
  labels = np.concatenate(sample.labels)
  counted = labels[labels != PADDING]
  assert sample.size == len(counted) == 60 and set(counted) == set(range(10))
  pixels = np.concatenate(sample.images)[labels != PADDING]
  np.testing.assert_array_equal(pixels[:, 0, 0, 0], counted)
  jax.tree.map(np.testing.assert_array_equal, draw(60).labels, sample.labels)


def test_a_sample_of_more_images_than_there_are_has_each_once() -> None:
  labels = np.concatenate(draw(1000).labels)
  assert np.bincount(labels[labels != PADDING]).tolist() == [20] * 10


def test_images_that_whole_batches_leave_out_are_reported(
  caplog: pytest.LogCaptureFixture,
) -> None:
  with caplog.at_level(logging.WARNING):  # what a command shows
    assert draw(60).whole_batches().size == 48
  assert caplog.messages == ['48 of 60 images are used, in batches of 16']
  with pytest.raises(InputError, match='fewer than a batch of 16'):
    draw(10).whole_batches()
