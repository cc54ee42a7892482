"""Which images a step takes: a permutation for each epoch, one after the other, cut into batches.

The images of a run form one stream, epoch after epoch, each epoch in an order of its own. Step s
takes images s * batch to (s + 1) * batch of that stream. So every training image is used exactly
once an epoch and every batch is full, also where an epoch does not divide into batches: the batch
at the seam takes the end of one epoch and the beginning of the next.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cifar_jax import keys


class Order(NamedTuple):
  """The order of an epoch and the next, for the batch at the seam.

  Attributes:
    indices: int32 `[2 * num_images]`, which image stands where.
    start: int32 scalar, the position in the stream of the first of them, modulo 2**32.
    epoch: int32 scalar.
  """

  indices: jax.Array
  start: jax.Array
  epoch: jax.Array


@functools.partial(jax.jit, static_argnames='num_images')
def of_epoch(key: jax.Array, epoch: jax.Array, num_images: int) -> Order:
  """The order of an epoch, a pure function of the root key and the epoch (int32 scalar).

  Of several keys, `[seeds]`, the order has that leading axis too.
  """
  if key.ndim:
    return jax.vmap(lambda own: of_epoch(own, epoch, num_images))(key)
  both = [jax.random.permutation(keys.stream(key, 'order', epoch + i), num_images) for i in (0, 1)]
  return Order(jnp.concatenate(both).astype(jnp.int32), epoch * num_images, epoch)


def batch_indices(order: Order, step: jax.Array, batch_size: int) -> jax.Array:
  """The images of a step that begins in the order's first epoch; int32 `[batch_size]`.

  The stream of a long run has more images than an int32 counts; positions wrap around, and their
  difference is right all the same.
  """
  return jax.lax.dynamic_slice_in_dim(order.indices, step * batch_size - order.start, batch_size)


def batch_epochs(order: Order, step: jax.Array, batch_size: int) -> jax.Array:
  """The epoch that each of `batch_indices` belongs to; int32 `[batch_size]`."""
  place = step * batch_size - order.start + jnp.arange(batch_size)
  return order.epoch + (place >= len(order.indices) // 2)


def epoch_of(step: int, batch_size: int, num_images: int) -> int:
  """The epoch in which a step begins, from 0."""
  return step * batch_size // num_images


def end_of_epoch(epoch: int, batch_size: int, num_images: int) -> int:
  """The number of steps after which all images of epochs 0 to `epoch` have been used."""
  return math.ceil((epoch + 1) * num_images / batch_size)
