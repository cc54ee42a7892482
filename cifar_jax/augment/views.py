"""Test-time augmentation: views of a batch, whose predicted probabilities are averaged.

Views are made of float32 `[batch, height, width, channels]`, normalised, by a pure and jittable
function. The first view is the images themselves or, of images that were enlarged in training,
their centre.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

import cifar_jax.augment.geometric as geometric
from cifar_jax.augment.settings import Settings
from cifar_jax.errors import InputError

NAMES = ('none', 'flip', 'flip_shift', 'five_crop', 'ten_crop')


@dataclasses.dataclass(frozen=True)
class Views:
  """Views of images, and how much each counts.

  Attributes:
    make: `[batch, height, width, channels]` to `[views, batch, height, width, channels]`.
    weights: of the views, which sum to one.
  """

  make: Callable[[jax.Array], jax.Array]
  weights: tuple[float, ...]

  def __call__(self, images: jax.Array) -> jax.Array:
    """The views of images, as `make` has them."""
    return self.make(images)


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
  return {
    'none': SINGLE,
    'flip': Views(flip, (1 / 2,) * 2),
    'flip_shift': Views(
      functools.partial(flip_shift, settings=settings), (1 / 4,) * 2 + (1 / 8,) * 4
    ),
    'five_crop': Views(functools.partial(five_crop, settings=settings), (1 / 5,) * 5),
    'ten_crop': Views(functools.partial(ten_crop, settings=settings), (1 / 10,) * 10),
  }[name]


# The images alone.
SINGLE = Views(lambda images: images[None], (1.0,))


def flip(images: jax.Array) -> jax.Array:
  """The images and their mirror images, as in cifar10-airbench (tta level 1).

  Args:
    images: `[batch, height, width, channels]`.

  Returns:
    `[2, batch, height, width, channels]`.
  """
  return jnp.stack([images, images[:, :, ::-1]])


def flip_shift(images: jax.Array, *, settings: Settings) -> jax.Array:
  """The images, and shifted by a pixel up and left or down and right; each with its mirror image.

  The six views of cifar10-airbench (tta level 2), where the unshifted two count twice.

  Args:
    images: float32 `[batch, height, width, channels]`.
    settings: by whose `padding` the pixels are found that come in at the edges.

  Returns:
    float32 `[6, batch, height, width, channels]`: the images and their mirror images, then those
    of the two shifts.
  """
  _, height, width, _ = images.shape
  larger = geometric.pad_edges(images, 1, settings.padding)
  shifts = [larger[:, i : i + height, i : i + width] for i in (2, 0)]
  return jnp.concatenate([flip(each) for each in (images, *shifts)])


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
  """`five_crop`, then its mirror images (Krizhevsky et al. 2012, section 4.1).

  Args:
    images: `[batch, height, width, channels]`.
    settings: as for `five_crop`.

  Returns:
    `[10, batch, height, width, channels]`.
  """
  crops = five_crop(images, settings=settings)
  return jnp.concatenate([crops, crops[:, :, :, ::-1]])
