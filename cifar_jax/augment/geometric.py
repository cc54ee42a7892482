"""Geometric augmentations of images `[batch, height, width, channels]`: flips, crops, rotations.

Pixels from outside the image are zero, unless `augment.padding` says otherwise.
"""

import jax
import jax.numpy as jnp

from cifar_jax.augment.affine import rotation, warp_bilinear
from cifar_jax.errors import InputError

# The mode of `jnp.pad` for each `augment.padding`. Zero is the mean colour of normalised images.
_PAD_MODES = {'zero': 'constant', 'reflect': 'reflect'}


def random_flip(key: jax.Array, images: jax.Array) -> jax.Array:
  """Mirrors each image, `[batch, height, width, channels]`, left to right with probability 0.5."""
  flip = jax.random.bernoulli(key, 0.5, images.shape[:1])
  return jnp.where(flip[:, None, None, None], images[:, :, ::-1], images)


def random_vertical_flip(key: jax.Array, images: jax.Array) -> jax.Array:
  """Mirrors each image, `[batch, height, width, channels]`, upside down with probability 0.5."""
  flip = jax.random.bernoulli(key, 0.5, images.shape[:1])
  return jnp.where(flip[:, None, None, None], images[:, ::-1], images)


def alternating_flip(
  key: jax.Array, images: jax.Array, indices: jax.Array, epochs: jax.Array
) -> jax.Array:
  """Mirrors each image left to right in every other epoch: Jordan 2024, arXiv 2404.00498.

  Whether an image begins mirrored is drawn once for each image of the data set. In two successive
  epochs a net therefore sees both sides of all images; with independent flips it would see the same
  side of half of them twice.

  Args:
    key: the same scalar in all steps of a run.
    images: `[batch, height, width, channels]`.
    indices: index of each image in the data set, int32 `[batch]`.
    epochs: the epoch in which each image is used, int32 `[batch]`.

  Returns:
    An array of the shape and dtype of `images`.
  """
  draw = lambda index: jax.random.bernoulli(jax.random.fold_in(key, index))  # noqa: E731
  mirrored = jax.vmap(draw)(indices) ^ (epochs % 2 == 1)
  return jnp.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


def random_crop(
  key: jax.Array, images: jax.Array, *, pad: int, padding: str, crops: str = 'any'
) -> jax.Array:
  """Shifts each image by up to `pad` pixels along each axis.

  Args:
    key: scalar, for one pair of offsets per image.
    images: `[batch, height, width, channels]`.
    pad: pixels added on each side before the crop.
    padding: one of `config.augmentation.PADDINGS`.
    crops: one of `config.augmentation.CROPS`.

  Returns:
    The crops, of the shape and dtype of `images`.
  """
  height, width = images.shape[1:3]
  return _random_windows(key, pad_edges(images, pad, padding), height, width, crops)


def pad_edges(images: jax.Array, pad: int, padding: str) -> jax.Array:
  """Adds pixels on each side of images.

  Args:
    images: `[batch, height, width, channels]`.
    pad: number of pixels.
    padding: one of `config.augmentation.PADDINGS`.

  Returns:
    `[batch, height + 2 * pad, width + 2 * pad, channels]`.
  """
  edges = ((0, 0), (pad, pad), (pad, pad), (0, 0))
  return jnp.pad(images, edges, mode=_PAD_MODES[padding])


def random_resized_crop(
  key: jax.Array, images: jax.Array, *, size: int, crops: str = 'any'
) -> jax.Array:
  """Enlarges images, and crops each to its old size: Krizhevsky et al. 2012, section 4.1.

  Args:
    key: scalar, for one pair of offsets per image.
    images: float32 `[batch, height, width, channels]`.
    size: side in pixels after the enlargement, which is bilinear.
    crops: one of `config.augmentation.CROPS`.

  Returns:
    The crops, of the shape of `images`.

  Raises:
    InputError: `size` is below the height or the width.
  """
  height, width = images.shape[1:3]
  return _random_windows(key, enlarge(images, size), height, width, crops)


def enlarge(images: jax.Array, size: int) -> jax.Array:
  """Enlarges images to squares, bilinearly.

  Args:
    images: float32 `[batch, height, width, channels]`.
    size: side of the squares, in pixels.

  Returns:
    float32 `[batch, size, size, channels]`.

  Raises:
    InputError: `size` is below the height or the width.
  """
  batch, height, width, channels = images.shape
  if size < max(height, width):
    raise InputError(
      f'augment.resize is {size}, but the images are {height}x{width}: it must be at least their '
      'size'
    )
  return jax.image.resize(images, (batch, size, size, channels), 'bilinear')


def five_offsets(rows: int, columns: int, height: int, width: int) -> tuple[tuple[int, int], ...]:
  """The upper left pixels of the five crops: the centre, the upper corners, the lower ones.

  Args:
    rows: height of the image.
    columns: width of the image.
    height: height of a crop.
    width: width of a crop.
  """
  bottom, right = rows - height, columns - width
  return ((bottom // 2, right // 2), (0, 0), (0, right), (bottom, 0), (bottom, right))


def _random_windows(
  key: jax.Array, images: jax.Array, height: int, width: int, crops: str
) -> jax.Array:
  """Cuts a window out of each image, all places that `crops` allows being equally likely.

  Args:
    key: scalar.
    images: `[batch, rows, columns, channels]`.
    height: height of the windows.
    width: width of the windows.
    crops: one of `config.augmentation.CROPS`.

  Returns:
    `[batch, height, width, channels]`.
  """
  batch, rows, columns, channels = images.shape
  if crops == 'five':
    places = jnp.array(five_offsets(rows, columns, height, width))
    offsets = places[jax.random.randint(key, (batch,), 0, len(places))]
  else:
    num_offsets = jnp.array([[rows - height + 1, columns - width + 1]])
    offsets = jax.random.randint(key, (batch, 2), 0, num_offsets)

  def crop(image: jax.Array, offset: jax.Array) -> jax.Array:
    return jax.lax.dynamic_slice(image, (*offset, 0), (height, width, channels))

  return jax.vmap(crop)(images, offsets)


def random_quarter_turn(key: jax.Array, images: jax.Array) -> jax.Array:
  """Turns each image by 0, 90, 180 or 270 degrees with equal probability.

  Args:
    key: scalar.
    images: `[batch, side, side, channels]`.

  Returns:
    An array of the shape and dtype of `images`.

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
  """Rotates each image about its centre by a uniform angle from ±`degrees`, bilinearly.

  Args:
    key: scalar, for one angle per image.
    images: float32 `[batch, height, width, channels]`.
    degrees: the largest angle.

  Returns:
    float32 of the same shape, with zeros in the corners that come from outside.
  """
  batch, height, width, _ = images.shape
  angles = jnp.deg2rad(jax.random.uniform(key, (batch,), minval=-degrees, maxval=degrees))
  return warp_bilinear(images, rotation(angles, height, width))
