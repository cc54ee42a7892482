"""Affine maps of images: rotations, and resampling of the pixels.

Images are `[batch, height, width, channels]`. A point is (row, column), in pixels from the upper
left corner: the centre of the first pixel is (0.5, 0.5), that of the image (height / 2, width / 2).
"""

import jax
import jax.numpy as jnp


def rotation(angles: jax.Array, height: int, width: int) -> jax.Array:
  """Computes affine maps from points of rotated images to points of the originals.

  Args:
    angles: float32 `[batch]`, in radians, counter-clockwise on the screen.
    height: height of the images. Their centre does not move.
    width: width of the images.

  Returns:
    float32 `[batch, 2, 3]`, to multiply with (row, column, 1).
  """
  cos, sin = jnp.cos(angles), jnp.sin(angles)
  turn = jnp.stack([jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)], axis=-2)
  centre = jnp.array([height / 2, width / 2])
  return jnp.concatenate([turn, (centre - turn @ centre)[..., None]], axis=-1)


def warp_bilinear(images: jax.Array, maps: jax.Array) -> jax.Array:
  """Moves the pixels of images by affine maps, with bilinear interpolation.

  Four gathers take an eighth of the time of three shears by matrix products on CPUs.

  Args:
    images: float32 `[batch, height, width, channels]`.
    maps: float32 `[batch, 2, 3]`, from a point of the result, as (row, column, 1), to its source.

  Returns:
    float32 of the same shape, with zeros for points outside the images.
  """
  batch, height, width, channels = images.shape
  padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
  pixels = padded.reshape(batch, -1, channels)
  rows, columns = _sources(maps, height, width) - 0.5
  result = jnp.zeros_like(images)
  for row in (jnp.floor(rows), jnp.floor(rows) + 1):
    for column in (jnp.floor(columns), jnp.floor(columns) + 1):
      weight = (1 - jnp.abs(rows - row)) * (1 - jnp.abs(columns - column))
      # Points far outside are clipped to the zeros around the image.
      index = (jnp.clip(row, -1, height) + 1) * (width + 2) + jnp.clip(column, -1, width) + 1
      result += weight[..., None] * _take(pixels, index)
  return result


def warp_nearest(images: jax.Array, maps: jax.Array, fill: jax.Array) -> jax.Array:
  """Moves the pixels of images by affine maps, without interpolation.

  Args:
    images: float32 `[batch, height, width, channels]`.
    maps: float32 `[batch, 2, 3]`, from a point of the result, as (row, column, 1), to its source.
    fill: float32 `[channels]`, the colour of points outside the images.

  Returns:
    float32 of the same shape.
  """
  batch, height, width, channels = images.shape
  rows, columns = jnp.floor(_sources(maps, height, width))
  inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
  index = jnp.clip(rows, 0, height - 1) * width + jnp.clip(columns, 0, width - 1)
  moved = _take(images.reshape(batch, -1, channels), index)
  return jnp.where(inside[..., None], moved, fill)


def _sources(maps: jax.Array, height: int, width: int) -> jax.Array:
  """The source (row, column) of each pixel's centre: `[2, batch, height, width]`."""
  rows, columns = jnp.arange(height)[:, None] + 0.5, jnp.arange(width) + 0.5
  along_rows, along_columns, offset = (maps[..., i].T[..., None, None] for i in range(3))
  return along_rows * rows + along_columns * columns + offset


def _take(pixels: jax.Array, index: jax.Array) -> jax.Array:
  """Gathers pixels of each image.

  Args:
    pixels: `[batch, n, channels]`.
    index: whole numbers `[batch, height, width]`, the pixel for each point.

  Returns:
    `[batch, height, width, channels]`.
  """
  flat_index = index.astype(jnp.int32).reshape(len(pixels), -1, 1)
  flat = jnp.take_along_axis(pixels, flat_index, axis=1, mode='promise_in_bounds')
  return flat.reshape(*index.shape, -1)
