"""Erasing parts of images `[batch, height, width, channels]`: Cutout and Random Erasing."""

import math

import jax
import jax.numpy as jnp

# Zhong et al. 2017, arXiv 1708.04896, section 4.1: s_l, s_h and r_1.
ERASED_AREA = (0.02, 0.4)  # smallest and largest share of the image
LEAST_ASPECT = 0.3  # height divided by width; the largest is its inverse
_ATTEMPTS = 8  # to find a rectangle that fits; all fail for one image in 10**11


def random_cutout(key: jax.Array, images: jax.Array, *, size: int) -> jax.Array:
  """Sets a square to zero in each image: DeVries and Taylor 2017, arXiv 1708.04552.

  The centre is uniform over the image, so part of the square may lie outside. The paper says that
  this matters (section 3.2).

  Args:
    key: scalar, for one centre per image.
    images: `[batch, height, width, channels]`.
    size: side of the square, in pixels.

  Returns:
    An array of the shape and dtype of `images`.
  """
  batch, height, width, _ = images.shape
  row_key, column_key = jax.random.split(key)

  def inside(key: jax.Array, length: int) -> jax.Array:
    start = jax.random.randint(key, (batch, 1), 0, length) - size // 2
    position = jnp.arange(length)[None]
    return (position >= start) & (position < start + size)

  rows, columns = inside(row_key, height), inside(column_key, width)
  hole = rows[:, :, None, None] & columns[:, None, :, None]
  return jnp.where(hole, jnp.zeros((), images.dtype), images)


def random_erasing(
  key: jax.Array,
  images: jax.Array,
  *,
  probability: float,
  black: tuple[float, ...],
  white: tuple[float, ...],
) -> jax.Array:
  """Fills a rectangle of some images with noise: Zhong et al. 2017, algorithm 1.

  The area is uniform over `ERASED_AREA`, and the aspect ratio from `LEAST_ASPECT` to its inverse.
  Both are drawn again until the rectangle fits into the image. Its place is then uniform among all
  that fit.

  Args:
    key: scalar.
    images: float32 `[batch, height, width, channels]`.
    probability: share of the images that are erased; 0.5 in the paper.
    black: smallest value of each channel of the noise. The noise is uniform in 256 steps, the best
      choice in the paper's table 3.
    white: largest value of each channel of the noise.

  Returns:
    float32 of the same shape.
  """
  batch, height, width, _ = images.shape
  which_key, shape_key, place_key, noise_key = jax.random.split(key, 4)
  erased = jax.random.bernoulli(which_key, probability, (batch,))
  sides = _fitting_sides(shape_key, batch, height, width)
  num_places = jnp.array([[height, width]]) - sides + 1
  starts = jnp.floor(jax.random.uniform(place_key, (batch, 2)) * num_places)
  inside = (
    (jnp.arange(length) >= starts[:, i, None])
    & (jnp.arange(length) < starts[:, i, None] + sides[:, i, None])
    for i, length in enumerate((height, width))
  )
  rows, columns = inside
  hole = (rows & erased[:, None])[:, :, None, None] & columns[:, None, :, None]
  low, high = jnp.array(black, images.dtype), jnp.array(white, images.dtype)
  noise = _random_bytes(noise_key, images.shape).astype(images.dtype) / 255.0
  return jnp.where(hole, low + (high - low) * noise, images)


def _random_bytes(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
  """Draws uniform uint8, four per 32-bit word; `jax.random.bits` spends a word on each byte."""
  words = jax.random.bits(key, (-(-math.prod(shape) // 4),))
  numbers = jax.lax.bitcast_convert_type(words, jnp.uint8).ravel()
  return numbers[: math.prod(shape)].reshape(shape)


def _fitting_sides(key: jax.Array, batch: int, height: int, width: int) -> jax.Array:
  """Draws heights and widths of rectangles that fit into the image.

  Returns:
    Whole numbers of pixels, float32 `[batch, 2]`, each at least 1.
  """
  area_key, aspect_key = jax.random.split(key)
  shape, (least, greatest) = (batch, _ATTEMPTS), ERASED_AREA
  areas = height * width * jax.random.uniform(area_key, shape, minval=least, maxval=greatest)
  aspects = jax.random.uniform(aspect_key, shape, minval=LEAST_ASPECT, maxval=1 / LEAST_ASPECT)
  sides = jnp.round(jnp.sqrt(jnp.stack([areas * aspects, areas / aspects], axis=-1)))
  limits = jnp.array([height, width])
  first = jnp.argmax(jnp.all(sides <= limits, axis=-1), axis=1)
  chosen = jnp.take_along_axis(sides, first[:, None, None], axis=1)[:, 0]
  return jnp.clip(chosen, 1, limits)
