"""Affine maps against NumPy and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage

from cifar_jax.augment import affine


def test_rotations_by_right_angles_are_exact_and_counter_clockwise() -> None:
  image = jax.random.uniform(jax.random.key(0), (8, 8, 3))
  angles = jnp.deg2rad(jnp.array([0.0, 90.0, 180.0, -90.0]))
  maps = jax.jit(affine.rotation, static_argnums=(1, 2))(angles, 8, 8)
  out = jax.jit(affine.warp_bilinear)(jnp.stack([image] * 4), maps)
  nearest = jax.jit(affine.warp_nearest)(jnp.stack([image] * 4), maps, jnp.zeros(3))
  for turned, near, k in zip(out, nearest, (0, 1, 2, 3), strict=True):
    np.testing.assert_allclose(turned, jnp.rot90(image, k), atol=1e-5)
    np.testing.assert_array_equal(near, jnp.rot90(image, k))


def test_rotations_by_any_angle_equal_those_of_scipy_with_zeros_outside() -> None:
  random = np.random.RandomState(0)
  image = random.uniform(size=(9, 14, 2)).astype(np.float32)
  angles = random.uniform(-180, 180, 5)
  maps = jax.jit(affine.rotation, static_argnums=(1, 2))(np.deg2rad(angles), 9, 14)
  out = jax.jit(affine.warp_bilinear)(jnp.stack([image] * 5), maps)
  for turned, degrees in zip(out, angles, strict=True):
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix, centre = np.array([[cos, sin], [-sin, cos]]), np.array([4.0, 6.5])
    for channel in range(2):
      expected = scipy.ndimage.affine_transform(
        image[..., channel], matrix, centre - matrix @ centre, order=1, mode='grid-constant'
      )
      np.testing.assert_allclose(turned[..., channel], expected, atol=2e-5)
