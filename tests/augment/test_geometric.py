"""Flips, crops and rotations of images whose pixels hold their own coordinates."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.augment import geometric

N = 2000


def coordinates(size: int = 8) -> jax.Array:
  """An image whose pixels hold their coordinates: row and column, from 1, and a constant 1."""
  rows, columns = jnp.meshgrid(jnp.arange(size) + 1.0, jnp.arange(size) + 1.0, indexing='ij')
  return jnp.stack([rows, columns, jnp.ones_like(rows)], axis=-1)


def many(image: jax.Array) -> jax.Array:
  """A batch of `N` copies of an image."""
  return jnp.broadcast_to(image, (N, *image.shape))


def crops(padding: str) -> jax.Array:
  """Random crops of `coordinates()`."""
  crop = functools.partial(geometric.random_crop, pad=2, padding=padding)
  return jax.jit(crop)(jax.random.key(0), many(coordinates()))


def test_alternating_flips_show_the_other_side_in_the_next_epoch() -> None:
  image = coordinates()
  flip = jax.jit(geometric.alternating_flip)
  indices = jax.random.permutation(jax.random.key(1), N)

  def mirrored(epochs: int | jax.Array, order: jax.Array) -> np.ndarray:
    out = flip(jax.random.key(0), many(image), order, jnp.broadcast_to(epochs, N))
    is_mirrored = np.all(np.asarray(out) == np.asarray(image[:, ::-1]), axis=(1, 2, 3))
    assert np.all(is_mirrored ^ np.all(np.asarray(out) == np.asarray(image), axis=(1, 2, 3)))
    return is_mirrored

  first = mirrored(0, jnp.arange(N))
  assert abs(first.mean() - 0.5) < 0.05
  np.testing.assert_array_equal(mirrored(1, jnp.arange(N)), ~first)
  np.testing.assert_array_equal(mirrored(6, jnp.arange(N)), first)
  np.testing.assert_array_equal(mirrored(6, indices), first[indices])  # in any order
  np.testing.assert_array_equal(
    mirrored(jnp.arange(N) % 2, jnp.arange(N)), first ^ np.arange(N) % 2
  )


@pytest.mark.parametrize('vertical', [False, True])
def test_flip_mirrors_half_of_the_images_and_restores_them_when_repeated(vertical: bool) -> None:
  image = coordinates()
  flip = jax.jit(geometric.random_vertical_flip if vertical else geometric.random_flip)
  out = flip(jax.random.key(0), many(image))
  mirrored = image[::-1] if vertical else image[:, ::-1]
  flipped = np.all(np.asarray(out) == np.asarray(mirrored), axis=(1, 2, 3))
  unchanged = np.all(np.asarray(out) == np.asarray(image), axis=(1, 2, 3))
  assert np.all(flipped ^ unchanged)
  assert abs(flipped.mean() - 0.5) < 0.05
  np.testing.assert_array_equal(flip(jax.random.key(0), out), many(image))


def test_crops_have_all_shifts_equally_often_and_zeros_outside() -> None:
  out = np.asarray(crops('zero'))
  inside = out[..., 2] == 1.0
  shifts: collections.Counter[tuple[int, int]] = collections.Counter()
  for image, mask in zip(out, inside, strict=True):
    assert not np.any(image[~mask])
    row, column = np.argwhere(mask)[0]
    shift = (int(image[row, column, 0] - 1 - row), int(image[row, column, 1] - 1 - column))
    shifts[shift] += 1
    assert mask.sum() == (8 - abs(shift[0])) * (8 - abs(shift[1]))
  assert set(shifts) == {(r, c) for r in range(-2, 3) for c in range(-2, 3)}
  assert min(shifts.values()) > 0.5 * N / 25 and max(shifts.values()) < 1.5 * N / 25


def test_five_crops_are_the_centre_and_the_corners_equally_often() -> None:
  crop = functools.partial(geometric.random_crop, pad=2, padding='zero', crops='five')
  out = np.asarray(jax.jit(crop)(jax.random.key(0), many(coordinates())))
  middle = out[:, 4, 4, :2].astype(int)  # row and column, from 1, of the pixel in the middle
  places = collections.Counter(map(tuple, middle.tolist()))
  assert set(places) == {(5, 5), (3, 3), (3, 7), (7, 3), (7, 7)}
  assert min(places.values()) > 0.8 * N / 5 and max(places.values()) < 1.2 * N / 5


def test_crops_with_reflection_have_no_gap() -> None:
  out = crops('reflect')
  assert np.all(out[..., 2] == 1.0)
  rows = np.asarray(out[:, :, 0, 0])
  assert {tuple(row) for row in rows if row[0] == 3.0} >= {(3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)}


def test_resized_crops_show_all_windows_of_the_enlarged_image_equally_often() -> None:
  image = coordinates()
  enlarged = np.asarray(jax.image.resize(image, (10, 10, 3), 'bilinear'))
  out = jax.jit(lambda key, x: geometric.random_resized_crop(key, x, size=10))(
    jax.random.key(0), many(image)
  )
  windows = [enlarged[r : r + 8, c : c + 8] for r in range(3) for c in range(3)]
  errors = np.stack([np.abs(out - window).max(axis=(1, 2, 3)) for window in windows])
  assert errors.min(axis=0).max() < 1e-5
  counts = np.bincount(errors.argmin(axis=0), minlength=9)
  assert counts.min() > 0.7 * N / 9 and counts.max() < 1.3 * N / 9


def test_quarter_turns_equal_those_of_numpy_and_are_equally_likely() -> None:
  image = coordinates()
  out = np.asarray(jax.jit(geometric.random_quarter_turn)(jax.random.key(0), many(image)))
  turns = [np.rot90(image, k) for k in range(4)]
  matches = np.stack([np.all(out == turn, axis=(1, 2, 3)) for turn in turns])
  assert np.all(matches.sum(axis=0) == 1)
  assert np.all(np.abs(matches.mean(axis=1) - 0.25) < 0.03)


def test_random_angles_are_uniform_within_their_bounds() -> None:
  # A gradient that turns with the image: its direction is the angle.
  rows = jnp.arange(9.0)[:, None] - 4
  columns = jnp.arange(9.0)[None] - 4
  image = jnp.broadcast_to(jnp.stack(jnp.broadcast_arrays(rows, columns), -1), (N, 9, 9, 2))
  out = np.asarray(
    jax.jit(lambda key, x: geometric.random_rotation(key, x, degrees=30.0))(
      jax.random.key(0), image
    )
  )
  down, right = out[:, 5, 4, 0], out[:, 5, 4, 1]  # one pixel below the centre: (cos, -sin)
  angles = np.rad2deg(np.arctan2(-right, down))
  assert np.abs(angles).max() < 30.001
  histogram = np.histogram(angles, bins=6, range=(-30, 30))[0]
  assert histogram.min() > 0.8 * N / 6 and histogram.max() < 1.2 * N / 6
