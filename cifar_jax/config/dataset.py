"""The section `data`: which images a run is trained, validated and tested on."""

import dataclasses
from typing import ClassVar

from cifar_jax.config.section import Section, setting

SOURCES = ('archive', 'tfds')
SPLITS = ('train', 'validation', 'test')
# The names of data sets in tables and pictures; others are shown by their own name.
TITLES = {'cifar10': 'CIFAR-10', 'cifar100': 'CIFAR-100', 'imagenet': 'ImageNet'}


@dataclasses.dataclass(frozen=True)
class DataSettings(Section):
  """The section `data`.

  Attributes:
    name: `cifar10`, `cifar100`, `shapes` (drawn by the program, no download), `folder` (a folder of
      images), or an image classification set of tensorflow-datasets, with `/config` where the set
      has configurations.
    data_dir: the directory of the files, or where a download goes; empty for
      `~/.cache/cifar_jax`, or for the default of tensorflow-datasets. `folder` needs a directory;
      `shapes` ignores it.
    source: where `cifar10` and `cifar100` come from: `archive` (the official files) or `tfds`.
    validation_size: number of training images to hold out for validation; may be 0.
    images_per_class: number of training images to keep of each class after that; 0 keeps all. A
      smaller number keeps a subset of what a larger one keeps.
    image_size: side in pixels that images are resized to; 0 keeps their size. `folder` needs it.
    seed: seed of the random choice of the images to hold out and to keep. `shapes` is also drawn
      from it.
  """

  NAME: ClassVar[str] = 'data'

  name: str
  data_dir: str = ''
  source: str = setting('archive', one_of=SOURCES)
  validation_size: int = setting(5000, at_least=0)
  images_per_class: int = setting(0, at_least=0)
  image_size: int = setting(0, at_least=0, at_most=4096, meaning='pixels; all images are in memory')
  seed: int = setting(0, at_least=0, below=2**32)
