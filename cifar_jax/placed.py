"""A split of a data set on the devices, to be gone through batch by batch."""

import dataclasses

import jax
import numpy as np
from jax.sharding import Mesh

from cifar_jax import data, sharding


@dataclasses.dataclass(frozen=True)
class PlacedSplit:
  """A split on the devices, padded with zeros to whole batches.

  Attributes:
    images: uint8 `[batches * batch_size, height, width, channels]`.
    labels: int32 `[batches * batch_size]`.
    size: int32 scalar, how many of them count.
    num_batches: how many batches there are.
    mesh: the devices.
  """

  images: jax.Array
  labels: jax.Array
  size: jax.Array
  num_batches: int
  mesh: Mesh


def place(split: data.Split, batch_size: int, mesh: Mesh) -> PlacedSplit:
  """Copies a split to the devices of a mesh."""
  num_batches = -(-len(split) // batch_size)
  padding = num_batches * batch_size - len(split)
  images = np.pad(split.images, ((0, padding), (0, 0), (0, 0), (0, 0)))
  labels = np.pad(split.labels, (0, padding))
  arrays = (images, labels, np.int32(len(split)))
  images, labels, size = sharding.replicate(arrays, mesh)
  return PlacedSplit(images, labels, size, num_batches, mesh)
