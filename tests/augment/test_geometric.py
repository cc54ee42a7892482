"""Flips, crops, turns and affine maps against images whose pixels say where they are."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage

from cifar_jax.augment import geometric

N = 2000


def coordinates(size: int = 8) -> jax.Array:
  """An image whose pixels say where they are: row and column, from 1, and a constant 1."""
  rows, columns = jnp.meshgrid(jnp.arange(size) + 1.0, jnp.arange(size) + 1.0, indexing='ij')
  return jnp.stack([rows, columns, jnp.ones_like(rows)], axis=-1)


def many(image: jax.Array) -> jax.Array:
  return jnp.broadcast_to(image, (N, *image.shape))


def crops(padding: str) -> jax.Array:
  crop = functools.partial(geometric.random_crop, pad=2, padding=padding)
  return jax.jit(crop)(jax.random.key(0), many(coordinates()))


def test_alternating_flips_show_the_other_side_in_every_next_epoch():
  image = coordinates()
  flip = jax.jit(geometric.alternating_flip)
  indices = jax.random.permutation(jax.random.key(1), N)

  def mirrored(epochs, order):
    out = flip(jax.random.key(0), many(image), order, jnp.broadcast_to(epochs, N))
    is_mirrored = np.all(np.asarray(out) == np.asarray(image[:, ::-1]), axis=(1, 2, 3))
    assert np.all(is_mirrored ^ np.all(np.asarray(out) == np.asarray(image), axis=(1, 2, 3)))
    return is_mirrored

  first = mirrored(0, jnp.arange(N))
  assert abs(first.mean() - 0.5) < 0.05
  np.testing.assert_array_equal(mirrored(1, jnp.arange(N)), ~first)
  np.testing.assert_array_equal(mirrored(6, jnp.arange(N)), first)
  np.testing.assert_array_equal(mirrored(6, indices), first[indices])  # whatever the order
  np.testing.assert_array_equal(
    mirrored(jnp.arange(N) % 2, jnp.arange(N)), first ^ np.arange(N) % 2
  )


def test_flip_mirrors_half_of_the_images_and_twice_is_none():
  image = coordinates()
  flip = jax.jit(geometric.random_flip)
  out = flip(jax.random.key(0), many(image))
  flipped = np.all(np.asarray(out) == np.asarray(image[:, ::-1]), axis=(1, 2, 3))
  kept = np.all(np.asarray(out) == np.asarray(image), axis=(1, 2, 3))
  assert np.all(flipped ^ kept)
  assert abs(flipped.mean() - 0.5) < 0.05
  np.testing.assert_array_equal(flip(jax.random.key(0), out), many(image))


def test_crop_covers_every_shift_equally_with_zeros_outside():
  out = np.asarray(crops('zero'))
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
  out = crops('reflect')
  assert np.all(out[..., 2] == 1.0)
  rows = np.asarray(out[:, :, 0, 0])
  assert {tuple(row) for row in rows if row[0] == 3.0} >= {(3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)}


def test_resized_crop_takes_every_window_of_the_enlarged_image_equally():
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


def test_quarter_turns_are_those_of_numpy_and_as_likely():
  image = coordinates()
  out = np.asarray(jax.jit(geometric.random_quarter_turn)(jax.random.key(0), many(image)))
  turns = [np.rot90(image, k) for k in range(4)]
  matches = np.stack([np.all(out == turn, axis=(1, 2, 3)) for turn in turns])
  assert np.all(matches.sum(axis=0) == 1)
  assert np.all(np.abs(matches.mean(axis=1) - 0.25) < 0.03)


def test_rotations_by_right_angles_are_exact_and_counter_clockwise():
  image = jax.random.uniform(jax.random.key(0), (8, 8, 3))
  angles = jnp.deg2rad(jnp.array([0.0, 90.0, 180.0, -90.0]))
  maps = jax.jit(geometric.rotation, static_argnums=(1, 2))(angles, 8, 8)
  out = jax.jit(geometric.warp_bilinear)(jnp.stack([image] * 4), maps)
  nearest = jax.jit(geometric.warp_nearest)(jnp.stack([image] * 4), maps, jnp.zeros(3))
  for turned, near, k in zip(out, nearest, (0, 1, 2, 3), strict=True):
    np.testing.assert_allclose(turned, jnp.rot90(image, k), atol=1e-5)
    np.testing.assert_array_equal(near, jnp.rot90(image, k))


def test_rotation_by_any_angle_is_scipys_with_zero_fill():
  random = np.random.RandomState(0)
  image = random.uniform(size=(9, 14, 2)).astype(np.float32)
  angles = random.uniform(-180, 180, 5)
  maps = jax.jit(geometric.rotation, static_argnums=(1, 2))(np.deg2rad(angles), 9, 14)
  out = jax.jit(geometric.warp_bilinear)(jnp.stack([image] * 5), maps)
  for turned, degrees in zip(out, angles, strict=True):
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix, centre = np.array([[cos, sin], [-sin, cos]]), np.array([4.0, 6.5])
    for channel in range(2):
      expected = scipy.ndimage.affine_transform(
        image[..., channel], matrix, centre - matrix @ centre, order=1, mode='grid-constant'
      )
      np.testing.assert_allclose(turned[..., channel], expected, atol=2e-5)


def test_random_angles_are_uniform_within_their_bounds():
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
