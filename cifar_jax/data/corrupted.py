"""CIFAR-10-C and CIFAR-100-C: the test images, corrupted in 19 ways at five severities.

Hendrycks and Dietterich 2019, arXiv 1903.12261; https://zenodo.org/records/2535967 and 3555552. A
file `CORRUPTION.npy` holds the 10,000 test images at severity 1, then at 2, and so on; the file
`labels.npy` holds the labels of all 50,000.
"""

import pathlib

import numpy as np

from cifar_jax import paths
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import npy_files
from cifar_jax.data.dataset import Split
from cifar_jax.errors import InputError
from cifar_jax.runtime import memory

# For each name of the sets, that of the data whose classes it has, and the name of its folder.
NAMES = {'cifar10_c': ('cifar10', 'CIFAR-10-C'), 'cifar100_c': ('cifar100', 'CIFAR-100-C')}
SEVERITIES = (1, 2, 3, 4, 5)
# The benchmark, in the order of the paper's table 1; then the four that it keeps for validation.
BENCHMARK = (
  *('gaussian_noise', 'shot_noise', 'impulse_noise'),
  *('defocus_blur', 'glass_blur', 'motion_blur', 'zoom_blur'),
  *('snow', 'frost', 'fog', 'brightness'),
  *('contrast', 'elastic_transform', 'pixelate', 'jpeg_compression'),
)
_FURTHER = ('speckle_noise', 'gaussian_blur', 'spatter', 'saturate')
_LABELS = 'labels.npy'


def find(settings: DataSettings) -> dict[str, pathlib.Path]:
  """Finds the files of the corruptions.

  Args:
    settings: the section `data`, with a name in `NAMES`. `data_dir` is the directory of the files,
      or the one above it.

  Returns:
    The file of each corruption that is there, first those of the benchmark.

  Raises:
    InputError: `data_dir` is not set or has no such files.
  """
  folder = NAMES[settings.name][1]
  if not settings.data_dir:
    raise InputError(
      f'data.name={settings.name} needs data.data_dir, the directory of its .npy files '
      f'(--config.data.data_dir=DIR)'
    )
  root = paths.local(settings.data_dir)
  directory = root / folder if (root / folder).is_dir() else root
  files = {name: directory / f'{name}.npy' for name in (*BENCHMARK, *_FURTHER)}
  found = {name: path for name, path in files.items() if path.exists()}
  if not found:
    raise InputError(f'{directory} has none of the files of {folder}, such as {BENCHMARK[0]}.npy')
  return found


def read(path: pathlib.Path, num_classes: int) -> list[Split]:
  """Reads a corruption.

  Args:
    path: its file, from `find`.
    num_classes: number of classes.

  Returns:
    The images, uint8 `[n, 32, 32, 3]`, at each of `SEVERITIES`.

  Raises:
    InputError: a file is missing or damaged, or does not have the same labels at each severity.
    ShortageError: the images do not fit in memory.
  """
  images = npy_files.read_images(path)
  memory.check_images_fit(len(images), *images.shape[1:3])
  labels = npy_files.read_labels(path.with_name(_LABELS), len(images), num_classes)
  if len(images) % len(SEVERITIES):
    raise InputError(f'{path} has {len(images)} images, not as many at each of five severities')
  parts = [np.split(array, len(SEVERITIES)) for array in (images, labels)]
  if any(not np.array_equal(of_part, parts[1][0]) for of_part in parts[1]):
    raise InputError(f'{path}: the labels differ between its five parts, so they are no severities')
  return [Split(*part) for part in zip(*parts, strict=True)]
