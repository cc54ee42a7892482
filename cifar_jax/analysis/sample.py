"""A sample of images on the devices, in batches, which an analysis evaluates many times."""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from cifar_jax.data.dataset import Split
from cifar_jax.errors import InputError
from cifar_jax.runtime.console import logger
from cifar_jax.runtime.devices import batch_sharding, jit_in_turn

SEED = 0  # of the drawn images
PADDING = -1  # label of the images that fill the last batch


@dataclasses.dataclass(frozen=True)
class Sample:
  """Normalised images in batches, with their labels.

  Attributes:
    images: one array per batch, float32 `[batch, height, width, channels]`.
    labels: one array per batch, int32 `[batch]`; `PADDING` for an image that does not count.
    size: number of images that count.
  """

  images: tuple[jax.Array, ...]
  labels: tuple[jax.Array, ...]
  size: int

  def __iter__(self) -> Iterator[tuple[jax.Array, jax.Array]]:
    """Iterates over the images and labels of each batch."""
    return zip(self.images, self.labels, strict=True)

  def first_whole_batch(self) -> tuple[jax.Array, jax.Array]:
    """Images `[batch, height, width, 3]` and labels `[batch]` of the first batch.

    Raises:
      InputError: the batch is padded.
    """
    batch_size = len(self.labels[0])
    if self.size < batch_size:
      raise InputError(
        f'{self.size} images are fewer than a batch of {batch_size}; increase --num-images'
      )
    return self.images[0], self.labels[0]

  def whole_batches(self) -> 'Sample':
    """The sample without its last batch if that is padded, which a warning then says.

    Raises:
      InputError: the sample has no whole batch.
    """
    batch_size = len(self.first_whole_batch()[1])
    count = self.size // batch_size
    used = count * batch_size
    if used < self.size:
      logger.warning('%d of %d images are used, in batches of %d', used, self.size, batch_size)
    return Sample(self.images[:count], self.labels[:count], used)


def take_sample(
  split: Split,
  num_images: int,
  batch_size: int,
  normalize: Callable[[jax.Array], jax.Array],
  mesh: Mesh,
) -> Sample:
  """Copies images of a split to the devices, drawn at random, and the same ones each time.

  The first images would be of a few classes where a set is sorted by class, as a folder is.

  Args:
    split: uint8 images `[n, height, width, channels]` and their labels `[n]`.
    num_images: number of images; all images if the split has fewer.
    batch_size: images per batch, a multiple of the number of devices.
    normalize: maps uint8 images to float32 images.
    mesh: the devices that each batch is split over.
  """
  chosen = np.random.RandomState(SEED).permutation(len(split.labels))[:num_images]
  images, labels = split.images[chosen], split.labels[chosen]
  size = len(images)
  padding = -size % batch_size
  images = np.pad(images, ((0, padding), (0, 0), (0, 0), (0, 0)))
  labels = np.pad(labels, (0, padding), constant_values=PADDING)
  sharding = batch_sharding(mesh)
  normalize_batch = jit_in_turn(normalize, out_shardings=sharding)
  starts = range(0, len(images), batch_size)
  return Sample(
    tuple(normalize_batch(images[i : i + batch_size]) for i in starts),
    tuple(jax.device_put(labels[i : i + batch_size], sharding) for i in starts),
    size,
  )
