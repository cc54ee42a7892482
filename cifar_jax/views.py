"""Test-time augmentation: views of a batch, whose predicted probabilities are averaged.

A view function is pure and jittable: float32 `[batch, height, width, channels]`, normalised, to
`[views, batch, height, width, channels]`. The first view is always the images themselves, or
their centre, which is the same.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from cifar_jax import augment
from cifar_jax.errors import InputError

Views = Callable[[jax.Array], jax.Array]

NAMES = ('none', 'flip', 'five_crop', 'ten_crop')


def make(name: str, *, pad: int, padding: str) -> Views:
  """The view function of a name.

  Args:
    name: one of `NAMES`.
    pad: pixels by which the crops are off the centre, as in training (`augment.pad`).
    padding: what lies outside of an image, as in training (`augment.padding`).

  Raises:
    InputError: an unknown name, or crops of images that were trained without them.
  """
  if name not in NAMES:
    raise InputError(f'tta is {name!r}; it is one of {", ".join(NAMES)}')
  if name.endswith('crop') and pad < 1:
    raise InputError(f'{name} needs a run that was trained on crops, but its augment.pad is {pad}')
  functions: dict[str, Views] = {
    'none': single,
    'flip': flip,
    'five_crop': functools.partial(five_crop, pad=pad, padding=padding),
    'ten_crop': functools.partial(ten_crop, pad=pad, padding=padding),
  }
  return functions[name]


def single(images: jax.Array) -> jax.Array:
  """The images alone: one view."""
  return images[None]


def flip(images: jax.Array) -> jax.Array:
  """The images and their mirror images: two views, as in cifar10-airbench (tta level 1)."""
  return jnp.stack([images, images[:, :, ::-1]])


def five_crop(images: jax.Array, *, pad: int, padding: str) -> jax.Array:
  """The centre and the four corners of the padded images: five views.

  Krizhevsky et al. 2012, section 4.1, crop the corners and the centre of an image larger than the
  net's input, where training draws its crops. CIFAR's nets train on crops of padded images, so the
  corners are those of the padded image: the farthest shifts that training draws.

  Args:
    images: float32 `[batch, height, width, channels]`.
    pad: pixels on each side.
    padding: a key of `augment.PADDINGS`.

  Returns:
    float32 `[5, batch, height, width, channels]`: the centre, the upper corners, the lower ones.
  """
  _, height, width, _ = images.shape
  edges = ((0, 0), (pad, pad), (pad, pad), (0, 0))
  padded = jnp.pad(images, edges, mode=augment.PADDINGS[padding])
  offsets = ((pad, pad), (0, 0), (0, 2 * pad), (2 * pad, 0), (2 * pad, 2 * pad))
  return jnp.stack([padded[:, y : y + height, x : x + width] for y, x in offsets])


def ten_crop(images: jax.Array, *, pad: int, padding: str) -> jax.Array:
  """`five_crop`, then its mirror images: ten views (Krizhevsky et al. 2012, section 4.1)."""
  crops = five_crop(images, pad=pad, padding=padding)
  return jnp.concatenate([crops, crops[:, :, :, ::-1]])
