"""Changes of colour that differ between the images of a batch, float32 in [0, 1].

Brightness, contrast and saturation multiply the distance of each pixel from a base by a factor that
is uniform in 1 ± strength. The base is black, the mean grey of the image or the grey of the pixel.
Results are clipped to [0, 1].
"""

import jax
import jax.numpy as jnp

# Luma of ITU-R BT.601, as Pillow's mode L and torchvision have it.
LUMA = (0.299, 0.587, 0.114)


def grey(images: jax.Array) -> jax.Array:
  """Computes the luma, `[..., 1]`, of RGB images, `[..., 3]`."""
  # A sum of slices fuses with the next operations; a reduction over the channels takes five times
  # as long.
  red, green, blue = (weight * images[..., i : i + 1] for i, weight in enumerate(LUMA))
  return red + green + blue


def random_brightness(key: jax.Array, images: jax.Array, *, strength: float) -> jax.Array:
  """Multiplies each image by a factor from 1 ± `strength`.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1].
    strength: the largest relative change, from 0 to 1.

  Returns:
    float32 of the same shape, in [0, 1].
  """
  return _blend(key, images, jnp.zeros(()), strength)


def random_contrast(key: jax.Array, images: jax.Array, *, strength: float) -> jax.Array:
  """Multiplies the distance of each image from its mean grey by a factor from 1 ± `strength`.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1].
    strength: the largest relative change, from 0 to 1.

  Returns:
    float32 of the same shape, in [0, 1].
  """
  return _blend(key, images, jnp.mean(grey(images), axis=(1, 2, 3), keepdims=True), strength)


def random_saturation(key: jax.Array, images: jax.Array, *, strength: float) -> jax.Array:
  """Multiplies the distance of each pixel from its grey by a factor from 1 ± `strength`.

  The factor is the same for all pixels of an image.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1].
    strength: the largest relative change, from 0 to 1.

  Returns:
    float32 of the same shape, in [0, 1].
  """
  return _blend(key, images, grey(images), strength)


def _blend(key: jax.Array, images: jax.Array, base: jax.Array, strength: float) -> jax.Array:
  """Multiplies the distance of images from a base by a random factor per image."""
  factor = jax.random.uniform(key, (len(images), 1, 1, 1), minval=1 - strength, maxval=1 + strength)
  return jnp.clip(base + factor * (images - base), 0.0, 1.0)


def random_hue(key: jax.Array, images: jax.Array, *, degrees: float) -> jax.Array:
  """Turns the hue of each image by a uniform angle from ±`degrees`.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, 3]` in [0, 1].
    degrees: the largest angle.

  Returns:
    float32 of the same shape.
  """
  turn = jax.random.uniform(key, (len(images), 1, 1, 1), minval=-degrees, maxval=degrees)
  return turn_hue(images, turn)


def turn_hue(images: jax.Array, degrees: jax.Array) -> jax.Array:
  """Turns hues on the hexagon of HSV; value and saturation stay as they are.

  Args:
    images: float32 `[batch, height, width, 3]` in [0, 1].
    degrees: float32 `[batch, 1, 1, 1]`; 120 degrees turn red into green.

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
  # Each channel equals `value` on one half of the circle and is lower by up to the chroma on the
  # other.
  position = jnp.array([5.0, 3.0, 1.0]) + sector + degrees / 60
  position -= 6 * jnp.floor(position / 6)
  return value - chroma * jnp.clip(jnp.minimum(position, 4 - position), 0.0, 1.0)


def pca_noise(
  key: jax.Array, images: jax.Array, *, sigma: float, covariance: tuple[tuple[float, ...], ...]
) -> jax.Array:
  """Shifts the colour of each image along the principal components of the data's pixels.

  Krizhevsky et al. 2012 (section 4.1) add the sum over i of p_i λ_i α_i, with the eigenvectors p_i
  and eigenvalues λ_i of the covariance C and α_i from N(0, σ²), σ = 0.1. Because the p_i are
  orthogonal, σ C z with z from N(0, 1) has the same distribution, and no eigenvector is needed.

  Args:
    key: scalar, for three normal numbers per image.
    images: float32 `[batch, height, width, 3]` in [0, 1].
    sigma: the paper's σ.
    covariance: the paper's C, for pixels in [0, 1]; 3 rows of 3.

  Returns:
    float32 of the same shape, clipped to [0, 1].
  """
  normal = jax.random.normal(key, (len(images), 3))
  shift = sigma * normal @ jnp.array(covariance, jnp.float32)
  return jnp.clip(images + shift[:, None, None], 0.0, 1.0)
