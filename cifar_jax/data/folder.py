"""A data set in a folder: image files in train/CLASS/ and test/CLASS/."""

import os
import pathlib

import numpy as np

from cifar_jax import paths
from cifar_jax.data import pictures
from cifar_jax.data.dataset import Published, Split
from cifar_jax.errors import InputError
from cifar_jax.runtime import memory


def load(data_dir: str, image_size: int) -> Published:
  r"""Reads the images of `data_dir`/train/CLASS/ and `data_dir`/test/CLASS/, sorted by name.

  Args:
    data_dir: the directory. Files whose names begin with '.' are ignored.
    image_size: side in pixels of the square that every image is resized to; its aspect ratio is not
      kept.

  Returns:
    Images, uint8 `[n, image_size, image_size, 3]`. The classes are the directories' names, sorted;
    bytes that are no text are shown as in `\xff`.

  Raises:
    InputError: a directory or its images are missing, the splits have different classes, or a
      file is not an image that Pillow reads.
  """
  if not data_dir:
    raise InputError(
      'data.name=folder needs data.data_dir, the directory that holds train/ and test/'
    )
  if not image_size:
    raise InputError(
      'data.name=folder needs data.image_size, in pixels, for the files may have any size: give '
      '--config.data.image_size=SIDE'
    )
  root = paths.local(data_dir)
  class_names = _class_names(root / 'train')
  if difference := set(class_names) ^ set(_class_names(root / 'test')):
    raise InputError(f'{root}: only one of train/ and test/ has {", ".join(sorted(difference))}')
  return Published(
    tuple(_as_text(name) for name in class_names),
    train=_read_split(root / 'train', class_names, image_size),
    test=_read_split(root / 'test', class_names, image_size),
  )


def _as_text(name: str) -> str:
  """A directory's name, whose undecodable bytes could be neither drawn nor written as UTF-8."""
  return os.fsencode(name).decode('utf-8', 'backslashreplace')


def _class_names(directory: pathlib.Path) -> tuple[str, ...]:
  if not directory.is_dir():
    raise InputError(f'{directory} is missing: it should hold one directory of images per class')
  names = sorted(path.name for path in _visible(directory) if path.is_dir())
  if not names:
    raise InputError(f'{directory} is empty: it should hold one directory of images per class')
  return tuple(names)


def _read_split(directory: pathlib.Path, class_names: tuple[str, ...], image_size: int) -> Split:
  files = []
  labels = []
  for label, class_name in enumerate(class_names):
    class_files = sorted(path for path in _visible(directory / class_name) if path.is_file())
    if not class_files:
      raise InputError(f'{directory / class_name} holds no images')
    files += class_files
    labels += [label] * len(class_files)
  memory.check_images_fit(len(files), image_size, image_size)
  images = np.empty((len(files), image_size, image_size, 3), np.uint8)
  for i, path in enumerate(files):
    images[i] = _read_image(path, image_size)
  return Split(images, np.array(labels, np.int32))


def _read_image(path: pathlib.Path, image_size: int) -> np.ndarray:
  """Reads one image and resizes it: uint8 `[image_size, image_size, 3]`."""
  import PIL.Image

  size = (image_size, image_size)
  return np.asarray(pictures.read(path).resize(size, PIL.Image.Resampling.BILINEAR))


def _visible(directory: pathlib.Path) -> list[pathlib.Path]:
  return [path for path in directory.iterdir() if not path.name.startswith('.')]
