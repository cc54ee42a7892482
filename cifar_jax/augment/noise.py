"""Noise on the pixels of images, float32 `[batch, height, width, channels]` in [0, 1]."""

import jax
import jax.numpy as jnp


def gaussian_noise(key: jax.Array, images: jax.Array, *, sigma: float) -> jax.Array:
  """Adds normal noise, independent in each value.

  The standard deviation of each image is uniform from 0 to `sigma`.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, channels]` in [0, 1].
    sigma: the largest standard deviation, in units of the full scale.

  Returns:
    float32 of the same shape, clipped to [0, 1].
  """
  strength_key, noise_key = jax.random.split(key)
  deviations = jax.random.uniform(strength_key, (len(images), 1, 1, 1), maxval=sigma)
  return jnp.clip(images + deviations * jax.random.normal(noise_key, images.shape), 0.0, 1.0)


def salt_and_pepper(key: jax.Array, images: jax.Array, *, share: float) -> jax.Array:
  """Turns random pixels white or black in all channels, both with equal probability.

  The share of these pixels in each image is uniform from 0 to `share`.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, channels]` in [0, 1].
    share: the largest share.

  Returns:
    float32 of the same shape.
  """
  strength_key, pixel_key = jax.random.split(key)
  shares = jax.random.uniform(strength_key, (len(images), 1, 1, 1), maxval=share)
  draws = jax.random.uniform(pixel_key, (*images.shape[:3], 1))
  images = jnp.where(draws < shares / 2, 0.0, images)
  return jnp.where(draws >= 1 - shares / 2, 1.0, images)
