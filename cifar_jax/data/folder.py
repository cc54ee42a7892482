"""A data set in a folder of image files; `folder_layout.py` says in which directories they are."""

import logging
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from cifar_jax import output_files, paths
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import folder_layout, held_out, pictures
from cifar_jax.data.dataset import Published, Split
from cifar_jax.data.folder_files import PassedOver, as_text, listed
from cifar_jax.data.folder_layout import Files
from cifar_jax.errors import InputError
from cifar_jax.runtime import memory

if TYPE_CHECKING:  # imported by the functions that need it, because that takes time
  from PIL.Image import Image

logger = logging.getLogger(__name__)


def load(settings: DataSettings) -> Published:
  r"""Reads the images of a folder, sorted by class and by name.

  The log says what is passed over.

  Args:
    settings: the section `data`. `data_dir` is the folder, and `image_size` the side in pixels of
      the square that every image is resized to.

  Returns:
    Images, uint8 `[n, image_size, image_size, 3]`. The classes are the directories' names, sorted;
    bytes that are no text are shown as in `\xff`. Where the folder has no test images, they are
    chosen at random from the training images.

  Raises:
    InputError: a setting, a directory or its images are missing, the splits have different classes,
      or a file is not an image that Pillow reads, or a directory below that of a class cannot be
      read, unless `skip_bad` is set.
  """
  _check_settings(settings)
  root = paths.local(settings.data_dir)
  passed = PassedOver(settings.skip_bad)
  class_names, files = folder_layout.find(root, passed)
  num_images = sum(len(of_split.paths) for of_split in files.values())
  memory.check_images_fit(num_images, settings.image_size, settings.image_size)
  splits = {
    split: _read_split(of_split, settings, len(class_names), passed)
    for split, of_split in files.items()
  }
  logger.info('%s: %d classes: %s', as_text(root), len(class_names), listed(class_names))
  passed.report(root)
  train = splits['train']
  if 'test' not in splits:
    kept, held = held_out.choose(
      'test_size', settings.test_size, len(train), settings.seed, f'images of {root}'
    )
    train, splits['test'] = train.take(np.sort(kept)), train.take(np.sort(held))
  names = tuple(map(as_text, class_names))
  return Published(names, train, splits['test'], validation=splits.get('validation'))


def load_test(settings: DataSettings) -> tuple[tuple[str, ...], Split]:
  """Reads the test images of a folder alone, as `load` does.

  Args:
    settings: the section `data`. `data_dir` is a folder of `folder_layout.find_test`.

  Returns:
    The names of the classes, and the images with their labels.

  Raises:
    InputError: as `load`.
  """
  _check_settings(settings)
  root, passed = paths.local(settings.data_dir), PassedOver(settings.skip_bad)
  class_names, files = folder_layout.find_test(root, passed)
  memory.check_images_fit(len(files.paths), settings.image_size, settings.image_size)
  split = _read_split(files, settings, len(class_names), passed)
  passed.report(root)
  return tuple(map(as_text, class_names)), split


def _check_settings(settings: DataSettings) -> None:
  """Raises InputError for all keys at once that this reader needs and that are not set."""
  missing = []
  if not settings.data_dir:
    missing.append(
      'data.data_dir, the folder with train/CLASS/ and test/CLASS/, or with CLASS/ alone '
      '(--config.data.data_dir=DIR)'
    )
  if not settings.image_size:
    missing.append(
      'data.image_size, in pixels, for the files may have any size (--config.data.image_size=SIDE)'
    )
  if missing:
    raise InputError(f'data.name=folder needs {" and ".join(missing)}')


def _read_split(
  files: Files, settings: DataSettings, num_classes: int, passed: PassedOver
) -> Split:
  """Reads the images of a split; a bad one is an InputError, or passed over with `skip_bad`."""
  size = settings.image_size
  images = np.empty((len(files.paths), size, size, 3), np.uint8)
  labels: list[int] = []
  for path, label in zip(files.paths, files.labels, strict=True):
    try:
      image = pictures.read(path)
      _check_not_drawn(path, image)
    except InputError as error:
      if not settings.skip_bad:
        raise InputError(f'{error}; --config.data.skip_bad=true passes over such files') from error
      passed.others.append(path)
      continue
    images[len(labels)] = pictures.resize(image, size, size, settings.resize)
    labels.append(label)
  if missing := set(range(num_classes)) - set(labels):
    directory = files.paths[files.labels.index(min(missing))].parent
    raise InputError(f'{directory} holds no image that can be read')
  return Split(images[: len(labels)], np.array(labels, np.int32))


def _check_not_drawn(path: pathlib.Path, image: 'Image') -> None:
  """Raises InputError for a picture of this program, as in a workdir inside the folder."""
  if output_files.OWN_PICTURE.items() <= image.info.items():
    raise InputError(
      f'{path} was drawn by this program, and is no image of a class: move its folder elsewhere'
    )
