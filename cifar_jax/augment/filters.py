"""Blur and sharpening of images, float32 `[batch, height, width, channels]` in [0, 1]."""

import jax
import jax.numpy as jnp

MASK_SIGMA = 1.0  # of the unsharp mask, in pixels: smaller than the shapes in an image of 32


def random_blur(key: jax.Array, images: jax.Array, *, sigma: float) -> jax.Array:
  """Blurs each image with a standard deviation that is uniform from 0 to `sigma` pixels.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, channels]`.
    sigma: the largest standard deviation, in pixels.

  Returns:
    float32 of the same shape.
  """
  return blur(images, jax.random.uniform(key, images.shape[:1], maxval=sigma))


def blur(images: jax.Array, sigmas: jax.Array) -> jax.Array:
  """Convolves each image with a Gaussian, which is cut at the border and scaled to sum to 1.

  This takes two products with matrices over rows and columns, whose time does not depend on sigma.

  Args:
    images: float32 `[batch, height, width, channels]`.
    sigmas: standard deviation for each image, float32 `[batch]`, in pixels; 0 changes nothing.

  Returns:
    float32 of the same shape.
  """
  down = _gaussians(sigmas, images.shape[1])
  across = _gaussians(sigmas, images.shape[2])
  images = jnp.einsum('bor,brwc->bowc', down, images, precision='highest')
  return jnp.einsum('boi,bhic->bhoc', across, images, precision='highest')


def _gaussians(sigmas: jax.Array, length: int) -> jax.Array:
  """Computes the matrices of blurs along one axis, `[batch, length, length]`; rows sum to 1."""
  distance = jnp.arange(length)[:, None] - jnp.arange(length)
  variances = jnp.maximum(jnp.square(sigmas), 1e-6)[:, None, None]
  weights = jnp.exp(-0.5 * jnp.square(distance) / variances)
  return weights / jnp.sum(weights, axis=-1, keepdims=True)


def random_sharpen(key: jax.Array, images: jax.Array, *, amount: float) -> jax.Array:
  """Sharpens each image with an unsharp mask.

  The mask is the difference between the image and its blur by `MASK_SIGMA`. It is added times a
  factor that is uniform from 0 to `amount`.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, channels]` in [0, 1].
    amount: the largest factor.

  Returns:
    float32 of the same shape, clipped to [0, 1].
  """
  factor = jax.random.uniform(key, (len(images), 1, 1, 1), maxval=amount)
  edges = images - blur(images, jnp.full(images.shape[:1], MASK_SIGMA))
  return jnp.clip(images + factor * edges, 0.0, 1.0)
