"""CIFAR-10.1: test images that were collected anew; Recht et al. 2018, arXiv 1806.00451.

https://github.com/modestyachts/CIFAR-10.1: `cifar10.1_v6_data.npy` (2,000 images) and
`cifar10.1_v6_labels.npy`, and the same of v4 (2,021 images).
"""

import pathlib

from cifar_jax import paths
from cifar_jax.data import npy_files
from cifar_jax.data.dataset import Published, Split
from cifar_jax.data.official import OFFICIAL

_VERSIONS = ('v6', 'v4')


def find(data_dir: str) -> pathlib.Path | None:
  """Finds the file of the images.

  Args:
    data_dir: the file itself, its directory, or the directory of a clone of the repository.

  Returns:
    The file, of v6 if there are both versions; None if there is none.
  """
  if not data_dir:
    return None
  path, names = paths.local(data_dir), [f'cifar10.1_{version}_data.npy' for version in _VERSIONS]
  if path.is_file() and path.name in names:
    return path
  candidates = [directory / name for name in names for directory in (path, path / 'datasets')]
  return next((candidate for candidate in candidates if candidate.is_file()), None)


def load(path: pathlib.Path) -> Published:
  """Reads CIFAR-10.1.

  Args:
    path: the file of the images, from `find`.

  Returns:
    The classes of CIFAR-10, an empty training split and the test images, uint8 `[n, 32, 32, 3]`.

  Raises:
    InputError: a file is missing or damaged.
  """
  class_names = OFFICIAL['cifar10'].class_names
  images = npy_files.read_images(path)
  labels_path = path.with_name(path.name.replace('_data', '_labels'))
  test = Split(images, npy_files.read_labels(labels_path, len(images), len(class_names)))
  return Published(class_names, train=Split(images[:0], test.labels[:0]), test=test)
