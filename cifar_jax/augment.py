"""Augmentation on the device: pure functions `(key, images) -> images`, vectorised and jittable.

Images are float32 `[batch, height, width, channels]`, already normalised, so that the zeros of
padding and of Cutout are the mean colour, as in fb.resnet.torch and the Cutout paper. To add an
augmentation: write its function, and put it into `make` in the order it is to be applied.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError

Augment = Callable[[jax.Array, jax.Array], jax.Array]

PADDINGS = {'zero': 'constant', 'reflect': 'reflect'}


def make(*, flip: bool = True, pad: int = 4, padding: str = 'zero', cutout: int = 0) -> Augment:
  """Composes the augmentations asked for.

  Args:
    flip: mirror each image left to right with probability one half.
    pad: pixels added on each side before a crop back to the image's size; 0 for none.
    padding: what is added, `zero` (the mean colour) or `reflect`.
    cutout: side in pixels of the square set to zero; 0 for none.

  Returns:
    `(key, images) -> images`, for float32 `[batch, height, width, channels]`.

  Raises:
    InputError: an unknown padding or a negative size.
  """
  if padding not in PADDINGS:
    raise InputError(f'augment.padding is {padding!r}; it is one of {", ".join(PADDINGS)}')
  for name, size in (('pad', pad), ('cutout', cutout)):
    if size < 0:
      raise InputError(f'augment.{name} is {size}; it is a number of pixels, 0 for none')
  steps: list[Augment] = []
  if pad:
    steps.append(functools.partial(random_crop, pad=pad, padding=padding))
  if flip:
    steps.append(random_flip)
  if cutout:
    steps.append(functools.partial(random_cutout, size=cutout))

  def augment(key: jax.Array, images: jax.Array) -> jax.Array:
    for i, step in enumerate(steps):
      images = step(jax.random.fold_in(key, i), images)
    return images

  return augment


def normalize(images: jax.Array, mean: tuple[float, ...], std: tuple[float, ...]) -> jax.Array:
  """Bytes to zero mean and unit variance.

  Args:
    images: uint8 `[batch, height, width, channels]`.
    mean: of each channel, in units of the full scale (255).
    std: of each channel, likewise.

  Returns:
    float32 of the same shape.
  """
  scale = 1.0 / (255.0 * jnp.asarray(std, jnp.float32))
  return images.astype(jnp.float32) * scale - jnp.asarray(mean, jnp.float32) * 255.0 * scale


def random_flip(key: jax.Array, images: jax.Array) -> jax.Array:
  """Mirrors each of `[batch, height, width, channels]` left to right, half of the time."""
  flip = jax.random.bernoulli(key, 0.5, images.shape[:1])
  return jnp.where(flip[:, None, None, None], images[:, :, ::-1], images)


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
  batch, height, width, channels = images.shape
  edges = ((0, 0), (pad, pad), (pad, pad), (0, 0))
  padded = jnp.pad(images, edges, mode=PADDINGS[padding])
  offsets = jax.random.randint(key, (batch, 2), 0, 2 * pad + 1)

  def crop(image: jax.Array, offset: jax.Array) -> jax.Array:
    return jax.lax.dynamic_slice(image, (*offset, 0), (height, width, channels))

  return jax.vmap(crop)(padded, offsets)


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
