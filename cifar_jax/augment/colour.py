"""Colours: each image `[batch, height, width, 3]`, float32 in [0, 1], gets a light of its own.

Brightness, contrast and saturation draw the image towards black, its mean grey or its own grey, or
away from it, by a factor drawn evenly from 1 ± strength; what leaves [0, 1] is cut off.
"""

import jax
import jax.numpy as jnp

# Luma of ITU-R BT.601, as Pillow's mode L and torchvision have it.
LUMA = (0.299, 0.587, 0.114)


def grey(images: jax.Array) -> jax.Array:
  """The luma of RGB images `[..., 3]`, as `[..., 1]`."""
  # A sum of slices fuses with what follows; a reduction over three values takes five times as long.
  red, green, blue = (weight * images[..., i : i + 1] for i, weight in enumerate(LUMA))
  return red + green + blue


def random_brightness(key: jax.Array, images: jax.Array, *, strength: float) -> jax.Array:
  """Multiplies each image of `[batch, height, width, 3]` by a factor from 1 ± `strength`."""
  return _blend(key, images, jnp.zeros(()), strength)


def random_contrast(key: jax.Array, images: jax.Array, *, strength: float) -> jax.Array:
  """Multiplies the distance of each image from its mean grey by a factor from 1 ± `strength`.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1]; so is the result.
    strength: from 0 to 1.
  """
  return _blend(key, images, jnp.mean(grey(images), axis=(1, 2, 3), keepdims=True), strength)


def random_saturation(key: jax.Array, images: jax.Array, *, strength: float) -> jax.Array:
  """Multiplies the distance of each pixel from its grey by a factor from 1 ± `strength`.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1]; so is the result.
    strength: from 0 to 1.
  """
  return _blend(key, images, grey(images), strength)


def _blend(key: jax.Array, images: jax.Array, base: jax.Array, strength: float) -> jax.Array:
  factor = jax.random.uniform(key, (len(images), 1, 1, 1), minval=1 - strength, maxval=1 + strength)
  return jnp.clip(base + factor * (images - base), 0.0, 1.0)


def random_hue(key: jax.Array, images: jax.Array, *, degrees: float) -> jax.Array:
  """Turns the hue of each image of `[batch, height, width, 3]` by an angle from ±`degrees`."""
  turn = jax.random.uniform(key, (len(images), 1, 1, 1), minval=-degrees, maxval=degrees)
  return turn_hue(images, turn)


def turn_hue(images: jax.Array, degrees: jax.Array) -> jax.Array:
  """Turns hues on the hexagon of HSV, where value and saturation stay as they are.

  Args:
    images: float32 `[batch, height, width, 3]` in [0, 1].
    degrees: float32 `[batch, 1, 1, 1]`; red goes to green by 120.

  Returns:
    float32 of the same shape.
  """
  red, green, blue = (images[..., i : i + 1] for i in range(3))
  value = jnp.maximum(jnp.maximum(red, green), blue)
  chroma = value - jnp.minimum(jnp.minimum(red, green), blue)
  safe = jnp.where(chroma > 0, chroma, 1.0)
  sector = jnp.where(
    value == red,
    (green - blue) / safe,
    jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
  )
  # Each channel is `value`, but for one half of the circle, where it falls by up to the chroma.
  place = jnp.array([5.0, 3.0, 1.0]) + sector + degrees / 60
  place -= 6 * jnp.floor(place / 6)
  return value - chroma * jnp.clip(jnp.minimum(place, 4 - place), 0.0, 1.0)


def pca_noise(
  key: jax.Array, images: jax.Array, *, sigma: float, covariance: tuple[tuple[float, ...], ...]
) -> jax.Array:
  """Shifts the colour of each image along the principal components of the data's pixels.

  Krizhevsky et al. 2012 (section 4.1) add the sum over i of p_i λ_i α_i with the eigenvectors p_i
  and eigenvalues λ_i of the covariance C and α_i from N(0, σ²), σ = 0.1. The p_i being orthogonal,
  that is σ C z with z from N(0, 1), to the distribution: no eigenvector need be known.

  Args:
    key: for one normal triple an image.
    images: float32 `[batch, height, width, 3]` in [0, 1].
    sigma: the paper's σ.
    covariance: the paper's matrix, of pixels in [0, 1].

  Returns:
    float32 of the same shape, cut off at 0 and 1.
  """
  normal = jax.random.normal(key, (len(images), 3))
  shift = sigma * normal @ jnp.array(covariance, jnp.float32)
  return jnp.clip(images + shift[:, None, None], 0.0, 1.0)
