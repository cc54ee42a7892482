"""Test-time augmentation: views of a batch, whose predicted probabilities are averaged.

A view function is pure and jittable: float32 `[batch, height, width, channels]`, normalised, to
`[views, batch, height, width, channels]`. The first view is the images themselves or, of images
that were enlarged in training, their centre.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

import cifar_jax.augment.geometric as geometric
from cifar_jax.augment.settings import Settings
from cifar_jax.errors import InputError

Views = Callable[[jax.Array], jax.Array]

NAMES = ('none', 'flip', 'five_crop', 'ten_crop')


def make(name: str, settings: Settings) -> Views:
  """The view function of a name.

  Args:
    name: one of `NAMES`.
    settings: those of training, whose crops the views are of.

  Raises:
    InputError: an unknown name, or crops of images that were trained without them.
  """
  if name not in NAMES:
    raise InputError(f'tta is {name!r}; it is one of {", ".join(NAMES)}')
  if name.endswith('crop') and not (settings.pad or settings.resize):
    raise InputError(
      f'{name} needs a run that was trained on crops, but its augment.pad and augment.resize are 0'
    )
  functions: dict[str, Views] = {
    'none': single,
    'flip': flip,
    'five_crop': functools.partial(five_crop, settings=settings),
    'ten_crop': functools.partial(ten_crop, settings=settings),
  }
  return functions[name]


def single(images: jax.Array) -> jax.Array:
  """The images alone: one view."""
  return images[None]


def flip(images: jax.Array) -> jax.Array:
  """The images and their mirror images: two views, as in cifar10-airbench (tta level 1)."""
  return jnp.stack([images, images[:, :, ::-1]])


def five_crop(images: jax.Array, *, settings: Settings) -> jax.Array:
  """The centre and the four corners of what training draws its crops from: five views.

  Krizhevsky et al. 2012, section 4.1, crop the corners and the centre of an image larger than the
  net's input. CIFAR's nets train on crops of padded images, whose corners are the farthest shifts.

  Args:
    images: float32 `[batch, height, width, channels]`.
    settings: by how much images are padded, or enlarged.

  Returns:
    float32 `[5, batch, height, width, channels]`: the centre, the upper corners, the lower ones.
  """
  _, height, width, _ = images.shape
  larger = (
    geometric.enlarge(images, settings.resize)
    if settings.resize
    else geometric.pad_edges(images, settings.pad, settings.padding)
  )
  bottom, right = larger.shape[1] - height, larger.shape[2] - width
  offsets = ((bottom // 2, right // 2), (0, 0), (0, right), (bottom, 0), (bottom, right))
  return jnp.stack([larger[:, y : y + height, x : x + width] for y, x in offsets])


def ten_crop(images: jax.Array, *, settings: Settings) -> jax.Array:
  """`five_crop`, then its mirror images: ten views (Krizhevsky et al. 2012, section 4.1)."""
  crops = five_crop(images, settings=settings)
  return jnp.concatenate([crops, crops[:, :, :, ::-1]])
