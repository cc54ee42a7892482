"""Test-time augmentation: views of images, whose predicted probabilities are averaged.

Pure and jittable functions make the views of normalised images, float32 `[batch, height, width,
channels]`. The first view is the image itself or, where training crops enlarged images, the centre
of the enlarged image.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from cifar_jax.augment import geometric
from cifar_jax.config.augmentation import VIEWS, AugmentSettings
from cifar_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Views:
  """A function that makes views of images, and the weights of these views.

  Attributes:
    make: maps `[batch, height, width, channels]` to `[views, batch, height, width, channels]`, both
      float32.
    weights: the weight of each view; they sum to 1.
  """

  make: Callable[[jax.Array], jax.Array]
  weights: tuple[float, ...]

  def __call__(self, images: jax.Array) -> jax.Array:
    """Returns the views of images, `[views, batch, height, width, channels]`."""
    return self.make(images)


def make(name: str, settings: AugmentSettings) -> Views:
  """Returns the views of a name.

  Args:
    name: one of `config.augmentation.VIEWS`.
    settings: the section `augment` of the training run. It determines how images are padded or
      enlarged before they are cropped or shifted.

  Raises:
    InputError: an unknown name, or crops for a run that was trained without crops.
  """
  if name not in VIEWS:
    raise InputError(f'tta is {name!r}; it must be one of {", ".join(VIEWS)}')
  if name.endswith('crop') and not (settings.pad or settings.resize):
    raise InputError(
      f'{name} needs a run that was trained on crops, but its augment.pad and augment.resize are 0'
    )
  return {
    'none': Views(lambda images: whole(images, settings)[None], (1.0,)),
    'flip': Views(lambda images: flip(whole(images, settings)), (1 / 2,) * 2),
    'flip_shift': Views(
      functools.partial(flip_shift, settings=settings), (1 / 4,) * 2 + (1 / 8,) * 4
    ),
    'five_crop': Views(functools.partial(five_crop, settings=settings), (1 / 5,) * 5),
    'ten_crop': Views(functools.partial(ten_crop, settings=settings), (1 / 10,) * 10),
  }[name]


def whole(images: jax.Array, settings: AugmentSettings) -> jax.Array:
  """The images at the scale of training: where it enlarges images, the centre of the enlarged ones.

  Args:
    images: float32 `[batch, height, width, channels]`.
    settings: the section `augment`.

  Returns:
    float32 of the same shape.
  """
  return five_crop(images, settings=settings)[0] if settings.resize else images


def flip(images: jax.Array) -> jax.Array:
  """Makes two views: the images and their mirror images, as in cifar10-airbench (tta level 1).

  Args:
    images: `[batch, height, width, channels]`.

  Returns:
    `[2, batch, height, width, channels]`.
  """
  return jnp.stack([images, images[:, :, ::-1]])


def flip_shift(images: jax.Array, *, settings: AugmentSettings) -> jax.Array:
  """Makes the six views of cifar10-airbench (tta level 2).

  They are the images, the images shifted by one pixel up and left, the images shifted by one pixel
  down and right, and the mirror images of all three. The two unshifted views count twice.

  Args:
    images: float32 `[batch, height, width, channels]`.
    settings: the section `augment`. Its `padding` determines the pixels that enter at the edges.

  Returns:
    float32 `[6, batch, height, width, channels]`: the images and their mirror images, then the same
    for the two shifts.
  """
  _, height, width, _ = images.shape
  images = whole(images, settings)
  larger = geometric.pad_edges(images, 1, settings.padding)
  shifts = [larger[:, i : i + height, i : i + width] for i in (2, 0)]
  return jnp.concatenate([flip(view) for view in (images, *shifts)])


def five_crop(images: jax.Array, *, settings: AugmentSettings) -> jax.Array:
  """Makes five views: the centre and the four corners of the images that training crops.

  Krizhevsky et al. 2012, section 4.1, crop the corners and the centre of an image that is larger
  than the net's input. Nets for CIFAR train on crops of padded images, whose corners are the
  largest shifts.

  Args:
    images: float32 `[batch, height, width, channels]`.
    settings: the section `augment`, which says how images are padded or enlarged.

  Returns:
    float32 `[5, batch, height, width, channels]`: the centre, the upper corners, the lower ones.
  """
  _, height, width, _ = images.shape
  larger = (
    geometric.enlarge(images, settings.resize)
    if settings.resize
    else geometric.pad_edges(images, settings.pad, settings.padding)
  )
  _, rows, columns, _ = larger.shape
  offsets = geometric.five_offsets(rows, columns, height, width)
  return jnp.stack([larger[:, y : y + height, x : x + width] for y, x in offsets])


def ten_crop(images: jax.Array, *, settings: AugmentSettings) -> jax.Array:
  """Makes ten views: `five_crop`, then the mirror images (Krizhevsky et al. 2012, section 4.1).

  Args:
    images: float32 `[batch, height, width, channels]`.
    settings: the section `augment`, which says how images are padded or enlarged.

  Returns:
    float32 `[10, batch, height, width, channels]`.
  """
  crops = five_crop(images, settings=settings)
  return jnp.concatenate([crops, crops[:, :, :, ::-1]])
