"""The section `data`: which images a run is trained, validated and tested on."""

import dataclasses
from typing import Any, ClassVar

from cifar_jax.config.section import Section, setting
from cifar_jax.errors import InputError

SOURCES = ('archive', 'tfds')
SPLITS = ('train', 'validation', 'test')
RESIZINGS = ('squeeze', 'crop', 'pad')
# The names of data sets in tables and pictures; others are shown by their own name.
TITLES = {'cifar10': 'CIFAR-10', 'cifar100': 'CIFAR-100', 'imagenet': 'ImageNet'}
_COUNTS_OR_SHARES = ('validation_size', 'test_size')
_SQUARE = ('cifar10', 'cifar100', 'shapes')
_SIDE_32 = (*_SQUARE, 'svhn')  # as they are published
LARGEST_SIDE = 4096  # of an image, in pixels
# By default 5,000 images are held out for validation. `shapes` has 12,000 training images, and a
# folder any number, so that a share is held out.
_VALIDATION_SIZE = 5000.0
_VALIDATION_SIZES = {'shapes': 2000.0, 'folder': 0.1}


@dataclasses.dataclass(frozen=True)
class DataSettings(Section):
  """The section `data`.

  Attributes:
    name: `cifar10`, `cifar100`, `shapes` (drawn by the program, no download), `folder` (a folder of
      images), `svhn` (its .mat files), or an image classification set of tensorflow-datasets, with
      `/config` where the set has configurations. A run can be evaluated on `cifar10_1`, `cifar10_c`
      and `cifar100_c` too.
    data_dir: the directory of the files, or where a download goes; empty for
      `~/.cache/cifar_jax`, or for the default of tensorflow-datasets. `folder`, `svhn` and the sets
      for evaluation need a directory; `shapes` ignores it.
    source: where `cifar10` and `cifar100` come from: `archive` (the official files) or `tfds`.
    validation_size: training images to hold out for validation: a number of images, or a share of
      them if it is below 1; may be 0. A `folder` with validation images of its own uses those,
      except where this is 0.
    test_size: images to hold out for the test from a `folder` that has no test images of its own:
      a number of images, or a share of them if it is below 1.
    images_per_class: number of training images to keep of each class, once the others are held out;
      0 keeps all. A smaller number keeps a subset of what a larger one keeps. The images for
      validation and test stay as many.
    image_size: side in pixels that images are resized to; 0 keeps their size. `folder` needs it.
    resize: how an image that is not square becomes so: `squeeze` (both sides are scaled), `crop`
      (the largest centred square is kept) or `pad` (the whole image between black bars).
    skip_bad: whether a `folder` passes over files that cannot be read as images, and directories
      that cannot be read, and names them, instead of stopping at the first.
    seed: seed of the random choice of the images to hold out and to keep. `shapes` is also drawn
      from it.
  """

  NAME: ClassVar[str] = 'data'

  name: str
  data_dir: str = ''
  source: str = setting('archive', one_of=SOURCES)
  validation_size: float = setting(_VALIDATION_SIZE, at_least=0)
  test_size: float = setting(0.2, above=0)
  images_per_class: int = setting(0, at_least=0)
  image_size: int = setting(
    0, at_least=0, at_most=LARGEST_SIDE, meaning='pixels; all images are in memory'
  )
  resize: str = setting('squeeze', one_of=RESIZINGS)
  skip_bad: bool = False
  seed: int = setting(0, at_least=0, below=2**32)

  @property
  def picture_resizing(self) -> str:
    """How a picture of any size is made as large as the images: one of `RESIZINGS`.

    As `resize` says where images were resized. Where all images were square, or had the same size
    already, nothing was squeezed in training, and a picture's centre is cropped.
    """
    return self.resize if self.image_size and self.name not in _SQUARE else 'crop'

  @property
  def side(self) -> int:
    """Side of the images in pixels; 0 where their files decide."""
    return self.image_size or (32 if self.name in _SIDE_32 else 0)

  def __post_init__(self) -> None:
    """Raises InputError for a value outside its limits, or for a part of an image."""
    super().__post_init__()
    for key in _COUNTS_OR_SHARES:
      value = getattr(self, key)
      if value > 1 and value != int(value):
        raise InputError(
          f'data.{key} is {value:.12g}; it must be a whole number of images, or a share below 1'
        )


def count_or_share(key: str, value: Any) -> Any:
  """Returns a value as it is shown and stored: a whole number of images without decimal places.

  Args:
    key: the key, with or without its section.
    value: its value; that of a key that is no number of images is returned as it is.
  """
  is_number = key.removeprefix(f'{DataSettings.NAME}.') in _COUNTS_OR_SHARES
  is_whole = is_number and isinstance(value, float) and value.is_integer()
  return int(value) if is_whole else value


def default_validation_size(name: str) -> float:
  """Returns the default of `validation_size` for the data set of this name."""
  return _VALIDATION_SIZES.get(name, _VALIDATION_SIZE)
