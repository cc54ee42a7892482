"""Holes in images `[batch, height, width, channels]`: Cutout and Random Erasing."""

import math

import jax
import jax.numpy as jnp

# Zhong et al. 2017, arXiv 1708.04896, section 4.1: s_l, s_h and r_1.
ERASED_AREA = (0.02, 0.4)  # share of the image
LEAST_ASPECT = 0.3  # height by width; the greatest is its inverse
_ATTEMPTS = 8  # at a rectangle that fits: all fail for one image in a million


def random_cutout(key: jax.Array, images: jax.Array, *, size: int) -> jax.Array:
  """Sets a square to zero in each image: DeVries and Taylor 2017, arXiv 1708.04552.

  The centre is uniform over the image, so that part of the square may fall outside, which the
  paper found to matter (section 3.2).

  Args:
    key: for one centre an image.
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

  Its area and aspect are uniform over `ERASED_AREA` and from `LEAST_ASPECT` to its inverse, drawn
  anew until the rectangle fits into the image, and its place is uniform among those where it does.

  Args:
    key: for all of the draws.
    images: float32 `[batch, height, width, channels]`.
    probability: of an image to be erased; 0.5 in the paper.
    black: least value of each channel of the noise, which is uniform (the paper's best, table 3),
      in 256 steps.
    white: greatest value of each.

  Returns:
    float32 of the same shape.
  """
  batch, height, width, _ = images.shape
  some_key, shape_key, place_key, noise_key = jax.random.split(key, 4)
  erased = jax.random.bernoulli(some_key, probability, (batch,))
  sides = _fitting_sides(shape_key, batch, height, width)
  room = jnp.array([height, width]) - sides + 1
  starts = jnp.floor(jax.random.uniform(place_key, (batch, 2)) * room)
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
  """Uniform uint8, four from each word: `jax.random.bits` makes a word for each byte."""
  words = jax.random.bits(key, (-(-math.prod(shape) // 4),))
  numbers = jax.lax.bitcast_convert_type(words, jnp.uint8).ravel()
  return numbers[: math.prod(shape)].reshape(shape)


def _fitting_sides(key: jax.Array, batch: int, height: int, width: int) -> jax.Array:
  """Heights and widths in whole pixels, float32 `[batch, 2]`, each at least 1 and in the image."""
  area_key, aspect_key = jax.random.split(key)
  shape, (least, greatest) = (batch, _ATTEMPTS), ERASED_AREA
  areas = height * width * jax.random.uniform(area_key, shape, minval=least, maxval=greatest)
  aspects = jax.random.uniform(aspect_key, shape, minval=LEAST_ASPECT, maxval=1 / LEAST_ASPECT)
  sides = jnp.round(jnp.sqrt(jnp.stack([areas * aspects, areas / aspects], axis=-1)))
  limits = jnp.array([height, width])
  first = jnp.argmax(jnp.all(sides <= limits, axis=-1), axis=1)
  chosen = jnp.take_along_axis(sides, first[:, None, None], axis=1)[:, 0]
  return jnp.clip(chosen, 1, limits)
