"""Lenses: blur and edge emphasis of images float32 `[batch, height, width, channels]` in [0, 1]."""

import jax
import jax.numpy as jnp

MASK_SIGMA = 1.0  # of the unsharp mask, in pixels: finer than the shapes in an image of 32


def random_blur(key: jax.Array, images: jax.Array, *, sigma: float) -> jax.Array:
  """Blurs each image with a standard deviation drawn evenly from 0 to `sigma` pixels.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, channels]`; so is the result.
    sigma: in pixels.
  """
  return blur(images, jax.random.uniform(key, images.shape[:1], maxval=sigma))


def blur(images: jax.Array, sigmas: jax.Array) -> jax.Array:
  """Convolves each image with a Gaussian, which is cut off at the border and scaled to sum to 1.

  Two products with band matrices, in time proportional to the image's side, whatever the sigma.

  Args:
    images: float32 `[batch, height, width, channels]`.
    sigmas: float32 `[batch]`, in pixels; 0 leaves an image as it is.

  Returns:
    float32 of the same shape.
  """
  down = _gaussians(sigmas, images.shape[1])
  across = _gaussians(sigmas, images.shape[2])
  images = jnp.einsum('bor,brwc->bowc', down, images, precision='highest')
  return jnp.einsum('boi,bhic->bhoc', across, images, precision='highest')


def _gaussians(sigmas: jax.Array, length: int) -> jax.Array:
  """Weights `[batch, length, length]`, whose rows sum to 1."""
  distance = jnp.arange(length)[:, None] - jnp.arange(length)
  variances = jnp.maximum(jnp.square(sigmas), 1e-6)[:, None, None]
  weights = jnp.exp(-0.5 * jnp.square(distance) / variances)
  return weights / jnp.sum(weights, axis=-1, keepdims=True)


def random_sharpen(key: jax.Array, images: jax.Array, *, amount: float) -> jax.Array:
  """Emphasises the edges of each image by an unsharp mask.

  Args:
    key: for one multiple an image, drawn evenly from 0 to `amount`.
    images: float32 `[batch, height, width, channels]` in [0, 1].
    amount: the largest multiple of what a blur by `MASK_SIGMA` takes away that is added.

  Returns:
    float32 of the same shape, cut off at 0 and 1.
  """
  factor = jax.random.uniform(key, (len(images), 1, 1, 1), maxval=amount)
  edges = images - blur(images, jnp.full(images.shape[:1], MASK_SIGMA))
  return jnp.clip(images + factor * edges, 0.0, 1.0)
