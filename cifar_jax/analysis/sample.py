"""Images of a split on the devices, in batches, for an analysis to go through many times."""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh

from cifar_jax import data, sharding
from cifar_jax.errors import InputError

PADDING = -1  # the label of what fills the last batch


@dataclasses.dataclass(frozen=True)
class Sample:
  """Some images, normalised.

  Attributes:
    images: float32 `[batch, height, width, channels]`, of each batch.
    labels: int32 `[batch]`, of each batch; `PADDING` where an image does not count.
    size: how many images count.
  """

  images: tuple[jax.Array, ...]
  labels: tuple[jax.Array, ...]
  size: int

  def __iter__(self) -> Iterator[tuple[jax.Array, jax.Array]]:
    """The images and labels of each batch."""
    return zip(self.images, self.labels, strict=True)

  def whole_batches(self) -> 'Sample':
    """Without the last batch where that is padded.

    Raises:
      InputError: there is no other.
    """
    count = self.size // len(self.labels[0])
    if not count:
      raise InputError(
        f'{self.size} images are less than a batch of {len(self.labels[0])}; give --num-images more'
      )
    return Sample(self.images[:count], self.labels[:count], count * len(self.labels[0]))


def take(
  split: data.Split,
  num_images: int,
  batch_size: int,
  normalize: Callable[[jax.Array], jax.Array],
  mesh: Mesh,
) -> Sample:
  """The first images of a split.

  Args:
    split: uint8 images `[n, height, width, channels]` and their labels `[n]`.
    num_images: how many; all where there are fewer.
    batch_size: of each batch, a multiple of the number of devices.
    normalize: uint8 images to float32 ones.
    mesh: the devices that a batch is split over.
  """
  images, labels = split.images[:num_images], split.labels[:num_images]
  size = len(images)
  missing = -size % batch_size
  images = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
  labels = np.pad(labels, (0, missing), constant_values=PADDING)
  place = jax.jit(normalize, out_shardings=sharding.batch(mesh))
  starts = range(0, len(images), batch_size)
  return Sample(
    tuple(place(images[i : i + batch_size]) for i in starts),
    tuple(jax.device_put(labels[i : i + batch_size], sharding.batch(mesh)) for i in starts),
    size,
  )
