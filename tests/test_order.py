"""Every training image is used exactly once an epoch, in an order of its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import order

KEY = jax.random.key(3)


def stream(num_images, batch_size, num_epochs):
  """The images that the steps of a run take, one after the other, and their epochs' ends."""
  taken, ends = [], []
  step = 0
  for epoch in range(num_epochs):
    epoch_order = order.of_epoch(KEY, jnp.int32(epoch), num_images)
    end = order.end_of_epoch(epoch, batch_size, num_images)
    while step < end:
      assert order.epoch_of(step, batch_size, num_images) == epoch
      taken.append(np.asarray(order.batch_indices(epoch_order, jnp.int32(step), batch_size)))
      step += 1
    ends.append(step)
  return np.concatenate(taken), ends


@pytest.mark.parametrize('batch_size', [1, 4, 7, 10])
def test_each_epoch_is_a_permutation_whether_or_not_batches_divide_it(batch_size):
  taken, ends = stream(10, batch_size, 5)
  epochs = taken[:50].reshape(5, 10)
  for epoch in epochs:
    assert sorted(epoch) == list(range(10))
  assert len({tuple(epoch) for epoch in epochs}) == 5
  assert ends == [-(-10 * (epoch + 1) // batch_size) for epoch in range(5)]


def test_the_order_depends_on_key_and_epoch_alone():
  first = order.of_epoch(KEY, jnp.int32(2), 50)
  again = order.of_epoch(KEY, jnp.int32(2), 50)
  np.testing.assert_array_equal(first.indices, again.indices)
  other = order.of_epoch(jax.random.key(4), jnp.int32(2), 50)
  assert np.any(first.indices != other.indices)
  following = order.of_epoch(KEY, jnp.int32(3), 50)
  np.testing.assert_array_equal(first.indices[50:], following.indices[:50])


def test_each_image_of_a_batch_at_the_seam_knows_its_epoch():
  epoch_order = order.of_epoch(KEY, jnp.int32(3), 10)
  epochs = [order.batch_epochs(epoch_order, jnp.int32(step), 4).tolist() for step in (8, 9)]
  assert epochs == [[3, 3, 3, 3], [3, 3, 3, 3]]  # images 32 to 40 of the stream
  epoch_order = order.of_epoch(KEY, jnp.int32(2), 10)
  assert order.batch_epochs(epoch_order, jnp.int32(7), 4).tolist() == [2, 2, 3, 3]  # 28 to 32


def test_positions_past_two_to_the_31_still_find_their_images():
  num_images, batch_size = 50_000, 128
  epoch = 50_000  # 2.5e9 images: the position no longer fits an int32
  step = -(-epoch * num_images // batch_size)
  epoch_order = order.of_epoch(KEY, jnp.int32(epoch), num_images)
  got = order.batch_indices(epoch_order, jnp.int32(step), batch_size)
  offset = step * batch_size - epoch * num_images
  np.testing.assert_array_equal(got, epoch_order.indices[offset : offset + batch_size])
