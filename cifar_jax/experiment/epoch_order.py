"""The order of the training images: one permutation per epoch, cut into batches.

The images of a run form one stream, epoch after epoch, each epoch in another order. Step s uses
the images s * batch to (s + 1) * batch of that stream. So every training image is used exactly once
per epoch and every batch is full, even where an epoch does not divide into batches: the batch at
the seam holds the end of one epoch and the beginning of the next.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cifar_jax.experiment import randomness


class EpochOrder(NamedTuple):
  """The order of an epoch and of the next one, which the batch at the seam needs too.

  Attributes:
    indices: int32 `[2 * num_images]`, the image at each position.
    start: int32 scalar, the position of `indices[0]` in the stream of all epochs; it wraps around.
    epoch: int32 scalar.
  """

  indices: jax.Array
  start: jax.Array
  epoch: jax.Array


@functools.partial(jax.jit, static_argnames='num_images')
def order_of_epoch(key: jax.Array, epoch: jax.Array, num_images: int) -> EpochOrder:
  """The order of an epoch, a pure function of the root key and the epoch.

  Args:
    key: the root key, a scalar; or `[seeds]`, which gives the order the same leading axis.
    epoch: int32 scalar, from 0.
    num_images: number of training images.
  """
  if key.ndim:
    return jax.vmap(lambda seed_key: order_of_epoch(seed_key, epoch, num_images))(key)
  both = [
    jax.random.permutation(randomness.stream(key, 'order', epoch + i), num_images) for i in (0, 1)
  ]
  return EpochOrder(jnp.concatenate(both).astype(jnp.int32), epoch * num_images, epoch)


def batch_indices(order: EpochOrder, step: jax.Array, batch_size: int) -> jax.Array:
  """The images of a step that begins in the order's first epoch; int32 `[batch_size]`.

  The stream of a long run has more images than an int32 counts. Positions wrap around, but
  `step * batch_size - start` is right, because it is below `2 * num_images`.
  """
  return jax.lax.dynamic_slice_in_dim(order.indices, step * batch_size - order.start, batch_size)


def batch_epochs(order: EpochOrder, step: jax.Array, batch_size: int) -> jax.Array:
  """The epoch of each image of `batch_indices`; int32 `[batch_size]`."""
  position = step * batch_size - order.start + jnp.arange(batch_size)
  return order.epoch + (position >= len(order.indices) // 2)


def epoch_of_step(step: int, batch_size: int, num_images: int) -> int:
  """The epoch in which a step begins, from 0."""
  return step * batch_size // num_images


def end_of_epoch(epoch: int, batch_size: int, num_images: int) -> int:
  """The number of steps after which all images of epochs 0 to `epoch` have been used."""
  return math.ceil((epoch + 1) * num_images / batch_size)
