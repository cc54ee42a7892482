"""Augmentations: what they do to pixels, and how often."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import augment
from cifar_jax.errors import InputError

N = 2000


def coordinates(size: int = 8) -> jax.Array:
  """An image whose pixels say where they are: row and column, from 1, and a constant 1."""
  rows, columns = jnp.meshgrid(jnp.arange(size) + 1.0, jnp.arange(size) + 1.0, indexing='ij')
  return jnp.stack([rows, columns, jnp.ones_like(rows)], axis=-1)


def many(image: jax.Array) -> jax.Array:
  return jnp.broadcast_to(image, (N, *image.shape))


def test_normalisation_is_by_channel_in_units_of_the_full_scale():
  images = jnp.arange(12, dtype=jnp.uint8).reshape(1, 2, 2, 3) * 20
  out = augment.normalize(images, (0.1, 0.2, 0.3), (0.5, 0.25, 0.125))
  expected = (np.asarray(images) / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.25, 0.125]
  assert out.dtype == jnp.float32
  np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_flip_mirrors_half_of_the_images_and_twice_is_none():
  image = coordinates()
  out = augment.random_flip(jax.random.key(0), many(image))
  flipped = np.all(np.asarray(out) == np.asarray(image[:, ::-1]), axis=(1, 2, 3))
  kept = np.all(np.asarray(out) == np.asarray(image), axis=(1, 2, 3))
  assert np.all(flipped ^ kept)
  assert abs(flipped.mean() - 0.5) < 0.05
  np.testing.assert_array_equal(augment.random_flip(jax.random.key(0), out), many(image))


def test_crop_covers_every_shift_equally_with_zeros_outside():
  out = np.asarray(
    augment.random_crop(jax.random.key(0), many(coordinates()), pad=2, padding='zero')
  )
  inside = out[..., 2] == 1.0
  shifts = collections.Counter()
  for image, mask in zip(out, inside, strict=True):
    assert not np.any(image[~mask])
    row, column = np.argwhere(mask)[0]
    shift = (int(image[row, column, 0] - 1 - row), int(image[row, column, 1] - 1 - column))
    shifts[shift] += 1
    assert mask.sum() == (8 - abs(shift[0])) * (8 - abs(shift[1]))
  assert set(shifts) == {(r, c) for r in range(-2, 3) for c in range(-2, 3)}
  assert min(shifts.values()) > 0.5 * N / 25 and max(shifts.values()) < 1.5 * N / 25


def test_reflecting_crop_leaves_no_gap():
  out = augment.random_crop(jax.random.key(0), many(coordinates()), pad=2, padding='reflect')
  assert np.all(out[..., 2] == 1.0)
  rows = np.asarray(out[:, :, 0, 0])
  assert {tuple(row) for row in rows if row[0] == 3.0} >= {(3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)}


def test_cutout_is_a_square_whose_centre_is_anywhere_in_the_image():
  out = np.asarray(augment.random_cutout(jax.random.key(0), many(coordinates()), size=4))
  holes = out[..., 2] == 0.0
  counts = holes.sum(axis=(1, 2))
  rows, columns = holes.any(axis=2).sum(axis=1), holes.any(axis=1).sum(axis=1)
  np.testing.assert_array_equal(counts, rows * columns)  # a rectangle, cut by the border
  assert rows.max() == columns.max() == 4 and rows.min() == columns.min() == 2
  # Along an axis, 5 of 8 centres leave the whole square inside.
  assert abs(np.mean(counts == 16) - (5 / 8) ** 2) < 0.05
  expected = np.array([min(i + 2, 8) - max(i - 2, 0) for i in range(8)]).mean() / 8
  assert abs(holes.mean() - expected**2) < 0.01


def test_composition_uses_one_key_for_each_and_the_same_key_gives_the_same_images():
  make = augment.make(flip=True, pad=2, padding='zero', cutout=3)
  images = many(coordinates())
  first, again = (jax.jit(make)(jax.random.key(0), images) for _ in range(2))
  other = make(jax.random.key(1), images)
  np.testing.assert_array_equal(first, again)
  key = jax.random.key(0)
  by_hand = augment.random_crop(jax.random.fold_in(key, 0), images, pad=2, padding='zero')
  by_hand = augment.random_flip(jax.random.fold_in(key, 1), by_hand)
  by_hand = augment.random_cutout(jax.random.fold_in(key, 2), by_hand, size=3)
  np.testing.assert_array_equal(first, by_hand)
  assert first.dtype == jnp.float32 and first.shape == images.shape
  assert np.mean(np.any(np.asarray(first) != np.asarray(other), axis=(1, 2, 3))) > 0.9


def test_nothing_asked_for_changes_nothing():
  images = many(coordinates())
  out = augment.make(flip=False, pad=0, padding='zero', cutout=0)(jax.random.key(0), images)
  np.testing.assert_array_equal(out, images)


@pytest.mark.parametrize('fields', [{'pad': -1}, {'cutout': -2}, {'padding': 'wrap'}])
def test_impossible_augmentations_are_named(fields):
  with pytest.raises(InputError, match=f'augment.{next(iter(fields))}'):
    augment.make(**fields)
