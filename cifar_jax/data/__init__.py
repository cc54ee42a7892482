"""Data sets: `load` reads one into memory and divides it into train, validation and test.

Start with `dataset.py`, which says what a data set is. The readers are `archives.py` (the official
CIFAR files), `tfds.py` (tensorflow-datasets), `folder.py` (a folder of images), `svhn.py`,
`cifar10_1.py` and `corrupted.py` (CIFAR-10-C), and `shapes.py` (no files at all).
"""

from collections.abc import Callable

import numpy as np

from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import (
  archives,
  cifar10_1,
  corrupted,
  folder,
  held_out,
  official,
  pixels,
  shapes,
  svhn,
  tfds,
)
from cifar_jax.data.dataset import Dataset, Published, Split
from cifar_jax.errors import InputError
from cifar_jax.runtime import memory

__all__ = ['Dataset', 'Split', 'load']

# The readers of data sets that are neither CIFAR nor of tensorflow-datasets, by `data.name`.
READERS: dict[str, Callable[[DataSettings], Published]] = {
  'folder': folder.load,
  'svhn': lambda settings: svhn.load(settings.data_dir),
  'shapes': lambda settings: shapes.load(settings.seed),
}


def load(settings: DataSettings) -> Dataset:
  """Loads a data set and divides it.

  Args:
    settings: the section `data`.

  Returns:
    The data set. The images of each split are in their official order.

  Raises:
    InputError: the data set does not have what a setting asks for, or its files are missing or
      wrong.
    ShortageError: the images do not fit in memory.
  """
  published = _read(settings)
  published.check(settings.name)
  train_indices, held_out_indices = _divide(settings, published)
  validation = published.train.take(held_out_indices)
  if settings.validation_size and published.validation:
    validation = published.validation
  if size := settings.image_size:
    num_images = len(train_indices) + len(validation) + len(published.test)
    memory.check_images_fit(num_images, size, size)
  train = _resize(published.train.take(train_indices), settings)
  height, width = train.images.shape[1:3]
  if published.train_sums is None or (height, width) != published.train.images.shape[1:3]:
    sums = pixels.channel_sums(train.images)
  else:
    sums = published.train_sums[train_indices]
  mean, std = pixels.mean_and_std(sums, height * width)
  return Dataset(
    name=settings.name,
    class_names=published.class_names,
    train=train,
    validation=_resize(validation, settings),
    test=_resize(published.test, settings),
    mean=mean,
    std=std,
  )


def _read(settings: DataSettings) -> Published:
  """Reads the official splits of a data set with the reader of its name and source."""
  name = settings.name
  if settings.source == 'tfds' and name in READERS:
    raise InputError(
      f'data.name is {name!r}, which does not come from tensorflow-datasets: set data.source to '
      "'archive'"
    )
  if name in official.OFFICIAL and settings.source == 'archive':
    return archives.load(name, settings.data_dir)
  if name in READERS:
    return READERS[name](settings)
  if name in corrupted.NAMES:
    raise InputError(
      f'{name} has test images alone: give the --workdir of a run to python -m '
      f'cifar_jax.evaluate, with --config.data.name={name}'
    )
  if name == 'cifar10_1' and settings.source == 'archive':
    file = cifar10_1.find(settings.data_dir)
    if file:
      return cifar10_1.load(file)
  return tfds.load(settings)


def _divide(settings: DataSettings, published: Published) -> tuple[np.ndarray, np.ndarray]:
  """Chooses the images of the training and of the validation split.

  Returns:
    Two sorted arrays int64 `[n]` of indices into the official training split.

  Raises:
    InputError: there are fewer images than the settings ask for.
  """
  labels = published.train.labels
  size = 0 if published.validation else settings.validation_size
  train, validation = held_out.choose(
    'validation_size', size, len(labels), settings.seed, f'training images of {settings.name}'
  )
  if per_class := settings.images_per_class:
    by_class = [train[labels[train] == label] for label in range(len(published.class_names))]
    for class_name, members in zip(published.class_names, by_class, strict=True):
      if len(members) < per_class:
        raise InputError(
          f'data.images_per_class is {per_class}, but {settings.name} has {len(members)} training '
          f'images of {class_name!r} after validation'
        )
    train = np.concatenate([members[:per_class] for members in by_class])
  return np.sort(train), np.sort(validation)


def _resize(split: Split, settings: DataSettings) -> Split:
  """Returns a split whose images have `image_size` pixels on each side; 0 changes nothing."""
  if not settings.image_size:
    return split
  return Split(pixels.resize(split.images, settings.image_size, settings.resize), split.labels)
