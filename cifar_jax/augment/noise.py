"""Sensors: noise of the pixels of images float32 `[batch, height, width, channels]` in [0, 1]."""

import jax
import jax.numpy as jnp


def gaussian_noise(key: jax.Array, images: jax.Array, *, sigma: float) -> jax.Array:
  """Adds normal noise, independent in each value, and cuts off what leaves [0, 1].

  Args:
    key: for the noise, and for one standard deviation an image, drawn evenly from 0 to `sigma`.
    images: float32 `[batch, height, width, channels]` in [0, 1].
    sigma: in units of the full scale.

  Returns:
    float32 of the same shape.
  """
  strength_key, noise_key = jax.random.split(key)
  deviations = jax.random.uniform(strength_key, (len(images), 1, 1, 1), maxval=sigma)
  return jnp.clip(images + deviations * jax.random.normal(noise_key, images.shape), 0.0, 1.0)


def salt_and_pepper(key: jax.Array, images: jax.Array, *, share: float) -> jax.Array:
  """Turns pixels, all channels together, white or black, as many of each.

  Args:
    key: for the pixels, and for one share an image, drawn evenly from 0 to `share`.
    images: float32 `[batch, height, width, channels]` in [0, 1].
    share: of the pixels.

  Returns:
    float32 of the same shape.
  """
  strength_key, pixel_key = jax.random.split(key)
  shares = jax.random.uniform(strength_key, (len(images), 1, 1, 1), maxval=share)
  draws = jax.random.uniform(pixel_key, (*images.shape[:3], 1))
  images = jnp.where(draws < shares / 2, 0.0, images)
  return jnp.where(draws >= 1 - shares / 2, 1.0, images)
