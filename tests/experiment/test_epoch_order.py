"""Every training image is used exactly once per epoch, and each epoch has another order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.experiment.epoch_order import (
  batch_epochs,
  batch_indices,
  end_of_epoch,
  epoch_of_step,
  order_of_epoch,
)

KEY = jax.random.key(3)


def stream(num_images: int, batch_size: int, num_epochs: int) -> tuple[np.ndarray, list[int]]:
  """The images that the steps of a run use, one after another, and the step after each epoch."""
  indices, ends = [], []
  step = 0
  for epoch in range(num_epochs):
    epoch_order = order_of_epoch(KEY, jnp.int32(epoch), num_images)
    end = end_of_epoch(epoch, batch_size, num_images)
    while step < end:
      assert epoch_of_step(step, batch_size, num_images) == epoch
      indices.append(np.asarray(batch_indices(epoch_order, jnp.int32(step), batch_size)))
      step += 1
    ends.append(step)
  return np.concatenate(indices), ends


@pytest.mark.parametrize('batch_size', [1, 4, 7, 10])
def test_each_epoch_is_a_permutation_whether_or_not_batches_divide_it(batch_size: int) -> None:
  indices, ends = stream(10, batch_size, 5)
  epochs = indices[:50].reshape(5, 10)
  for epoch in epochs:
    assert sorted(epoch) == list(range(10))
  assert len({tuple(epoch) for epoch in epochs}) == 5
  assert ends == [-(-10 * (epoch + 1) // batch_size) for epoch in range(5)]


def test_the_order_depends_on_key_and_epoch_alone() -> None:
  first = order_of_epoch(KEY, jnp.int32(2), 50)
  again = order_of_epoch(KEY, jnp.int32(2), 50)
  np.testing.assert_array_equal(first.indices, again.indices)
  other = order_of_epoch(jax.random.key(4), jnp.int32(2), 50)
  assert np.any(first.indices != other.indices)
  following = order_of_epoch(KEY, jnp.int32(3), 50)
  np.testing.assert_array_equal(first.indices[50:], following.indices[:50])


def test_each_image_of_a_batch_across_two_epochs_has_the_right_epoch() -> None:
  epoch_order = order_of_epoch(KEY, jnp.int32(3), 10)
  epochs = [batch_epochs(epoch_order, jnp.int32(step), 4).tolist() for step in (8, 9)]
  assert epochs == [[3, 3, 3, 3], [3, 3, 3, 3]]  # images 32 to 40 of the stream
  epoch_order = order_of_epoch(KEY, jnp.int32(2), 10)
  assert batch_epochs(epoch_order, jnp.int32(7), 4).tolist() == [2, 2, 3, 3]  # 28 to 32


def test_batches_are_right_when_positions_exceed_an_int32() -> None:
  num_images, batch_size = 50_000, 128
  epoch = 50_000  # 2.5e9 images: the position no longer fits an int32
  step = -(-epoch * num_images // batch_size)
  epoch_order = order_of_epoch(KEY, jnp.int32(epoch), num_images)
  indices = batch_indices(epoch_order, jnp.int32(step), batch_size)
  offset = step * batch_size - epoch * num_images
  np.testing.assert_array_equal(indices, epoch_order.indices[offset : offset + batch_size])
