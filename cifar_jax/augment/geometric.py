"""Where pixels come from: flips, crops, turns and affine maps.

Images are `[batch, height, width, channels]`. A point is (row, column) in pixels from the upper
left, so that the centre of the first pixel is (0.5, 0.5) and the image's is (height / 2,
width / 2). Outside the image are zeros.
"""

import jax
import jax.numpy as jnp

from cifar_jax.augment.settings import PADDINGS
from cifar_jax.errors import InputError


def random_flip(key: jax.Array, images: jax.Array) -> jax.Array:
  """Mirrors each of `[batch, height, width, channels]` left to right, half of the time."""
  flip = jax.random.bernoulli(key, 0.5, images.shape[:1])
  return jnp.where(flip[:, None, None, None], images[:, :, ::-1], images)


def alternating_flip(
  key: jax.Array, images: jax.Array, indices: jax.Array, epochs: jax.Array
) -> jax.Array:
  """Mirrors each image left to right in every other epoch: Jordan 2024, arXiv 2404.00498.

  Whether it begins mirrored or not is drawn once for each image of the data set. In two epochs
  that follow each other a net so sees both sides of all images, where independent flips show it
  the same side of half of them twice.

  Args:
    key: of the whole run.
    images: `[batch, height, width, channels]`.
    indices: int32 `[batch]`, their places in the data set.
    epochs: int32 `[batch]`, in which they are shown.

  Returns:
    An array of the shape and dtype of `images`.
  """
  draw = lambda index: jax.random.bernoulli(jax.random.fold_in(key, index))  # noqa: E731
  mirrored = jax.vmap(draw)(indices) ^ (epochs % 2 == 1)
  return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def random_crop(key: jax.Array, images: jax.Array, *, pad: int, padding: str) -> jax.Array:
  """Shifts each image by up to `pad` pixels along each axis, all shifts equally likely.

  Args:
    key: for one pair of offsets an image.
    images: `[batch, height, width, channels]`.
    pad: pixels added on each side before the crop.
    padding: a key of `PADDINGS`.

  Returns:
    The crops, of the shape and dtype of `images`.
  """
  height, width = images.shape[1:3]
  return _random_windows(key, pad_edges(images, pad, padding), height, width)


def pad_edges(images: jax.Array, pad: int, padding: str) -> jax.Array:
  """`[batch, height, width, channels]` with `pad` pixels of a kind of `PADDINGS` on each side."""
  edges = ((0, 0), (pad, pad), (pad, pad), (0, 0))
  return jnp.pad(images, edges, mode=PADDINGS[padding])


def random_resized_crop(key: jax.Array, images: jax.Array, *, size: int) -> jax.Array:
  """Enlarges images, and crops each to its old size at a place drawn evenly: AlexNet, section 4.1.

  Args:
    key: for one pair of offsets an image.
    images: float32 `[batch, height, width, channels]`.
    size: of both sides after the enlargement, which is bilinear.

  Returns:
    The crops, of the shape of `images`.

  Raises:
    InputError: `size` is below the height or the width.
  """
  height, width = images.shape[1:3]
  return _random_windows(key, enlarge(images, size), height, width)


def enlarge(images: jax.Array, size: int) -> jax.Array:
  """float32 `[batch, height, width, channels]` as `[batch, size, size, channels]`, bilinearly.

  Raises:
    InputError: `size` is below the height or the width.
  """
  batch, height, width, channels = images.shape
  if size < max(height, width):
    raise InputError(
      f'augment.resize is {size}, but the images are {height}x{width}: it is at least their size'
    )
  return jax.image.resize(images, (batch, size, size, channels), 'bilinear')


def _random_windows(key: jax.Array, images: jax.Array, height: int, width: int) -> jax.Array:
  """Of each of `[batch, rows, columns, channels]` a part of this size, all places as likely."""
  batch, rows, columns, channels = images.shape
  places = jnp.array([rows - height + 1, columns - width + 1])
  offsets = jax.random.randint(key, (batch, 2), 0, places)

  def crop(image: jax.Array, offset: jax.Array) -> jax.Array:
    return jax.lax.dynamic_slice(image, (*offset, 0), (height, width, channels))

  return jax.vmap(crop)(images, offsets)


def random_quarter_turn(key: jax.Array, images: jax.Array) -> jax.Array:
  """Turns each of `[batch, side, side, channels]` by 0, 90, 180 or 270 degrees, as likely.

  Raises:
    InputError: the images are not square.
  """
  batch, height, width, _ = images.shape
  if height != width:
    raise InputError(
      f'augment.quarter_turns needs square images, not {height}x{width}: set data.image_size'
    )
  quarters = jax.random.randint(key, (batch, 1, 1, 1), 0, 4)
  images = jnp.where(quarters % 2 == 1, jnp.rot90(images, axes=(1, 2)), images)
  return jnp.where(quarters >= 2, images[:, ::-1, ::-1], images)


def random_rotation(key: jax.Array, images: jax.Array, *, degrees: float) -> jax.Array:
  """Rotates each image about its centre by an angle drawn evenly from ±`degrees`, bilinearly.

  Args:
    key: for one angle an image.
    images: float32 `[batch, height, width, channels]`.
    degrees: the largest angle.

  Returns:
    float32 of the same shape, with zeros where the corners turned in.
  """
  batch, height, width, _ = images.shape
  angles = jnp.deg2rad(jax.random.uniform(key, (batch,), minval=-degrees, maxval=degrees))
  return warp_bilinear(images, rotation(angles, height, width))


def rotation(angles: jax.Array, height: int, width: int) -> jax.Array:
  """Affine maps from points of rotated images to those of the originals.

  Args:
    angles: float32 `[batch]`, in radians, counter-clockwise as the image is seen.
    height: of the images, whose centre stays where it is.
    width: likewise.

  Returns:
    float32 `[batch, 2, 3]`, to be applied to (row, column, 1).
  """
  cos, sin = jnp.cos(angles), jnp.sin(angles)
  turn = jnp.stack([jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)], axis=-2)
  centre = jnp.array([height / 2, width / 2])
  return jnp.concatenate([turn, (centre - turn @ centre)[..., None]], axis=-1)


def warp_bilinear(images: jax.Array, maps: jax.Array) -> jax.Array:
  """Images whose pixels are those of `images` at other points, interpolated.

  Four gathers: on CPUs an eighth of the time of three shears by matrix products.

  Args:
    images: float32 `[batch, height, width, channels]`.
    maps: float32 `[batch, 2, 3]`, from a point of the result, as (row, column, 1), to its source.

  Returns:
    float32 of the same shape.
  """
  batch, height, width, channels = images.shape
  padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
  pixels = padded.reshape(batch, -1, channels)
  rows, columns = _sources(maps, height, width) - 0.5
  result = jnp.zeros_like(images)
  for row in (jnp.floor(rows), jnp.floor(rows) + 1):
    for column in (jnp.floor(columns), jnp.floor(columns) + 1):
      weight = (1 - jnp.abs(rows - row)) * (1 - jnp.abs(columns - column))
      # Those far outside meet the zeros around the image too.
      index = (jnp.clip(row, -1, height) + 1) * (width + 2) + jnp.clip(column, -1, width) + 1
      result += weight[..., None] * _take(pixels, index)
  return result


def warp_nearest(images: jax.Array, maps: jax.Array, fill: jax.Array) -> jax.Array:
  """Like `warp_bilinear`, with the pixel at each point, and `fill` `[channels]` outside."""
  batch, height, width, channels = images.shape
  rows, columns = jnp.floor(_sources(maps, height, width))
  inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
  index = jnp.clip(rows, 0, height - 1) * width + jnp.clip(columns, 0, width - 1)
  moved = _take(images.reshape(batch, -1, channels), index)
  return jnp.where(inside[..., None], moved, fill)


def _sources(maps: jax.Array, height: int, width: int) -> jax.Array:
  """Where each pixel's centre comes from: `[2, batch, height, width]`."""
  rows, columns = jnp.arange(height)[:, None] + 0.5, jnp.arange(width) + 0.5
  along_rows, along_columns, offset = (maps[..., i].T[..., None, None] for i in range(3))
  return along_rows * rows + along_columns * columns + offset


def _take(pixels: jax.Array, index: jax.Array) -> jax.Array:
  """Of each image's pixels `[batch, n, channels]` those at `index` `[batch, height, width]`."""
  flat = index.astype(jnp.int32).reshape(len(pixels), -1, 1)
  taken = jnp.take_along_axis(pixels, flat, axis=1, mode='promise_in_bounds')
  return taken.reshape(*index.shape, -1)
