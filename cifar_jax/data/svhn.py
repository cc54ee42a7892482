"""Street View House Numbers from the .mat files of cropped digits; Netzer et al. 2011.

http://ufldl.stanford.edu/housenumbers: `train_32x32.mat` (73,257 images) and `test_32x32.mat`
(26,032). The 531,131 additional images are not read, unless their file is given.
"""

import math
import pathlib

import numpy as np

from cifar_jax import paths
from cifar_jax.data import mat_files
from cifar_jax.data.dataset import Published, Split
from cifar_jax.errors import InputError
from cifar_jax.input_files import refuse_pipe
from cifar_jax.runtime import memory

CLASS_NAMES = tuple(map(str, range(10)))
_TRAIN, _TEST = 'train_32x32.mat', 'test_32x32.mat'
_MOST_IMAGES = 531_131  # of a file, that of the additional images


def load(data_dir: str) -> Published:
  """Reads SVHN.

  Args:
    data_dir: the directory of the files, of which that of the training images may be missing; or
      the path of one file, which is then the test split.

  Returns:
    The digits as classes, and images uint8 `[n, 32, 32, 3]`.

  Raises:
    InputError: the test images are missing, or a file is damaged.
    ShortageError: the images do not fit in memory.
  """
  if not data_dir:
    raise InputError(
      f'data.name=svhn needs data.data_dir, the directory of {_TRAIN} and {_TEST} of '
      'http://ufldl.stanford.edu/housenumbers (--config.data.data_dir=DIR)'
    )
  path = paths.local(data_dir)
  if path.suffix == '.mat':
    train_path, test_path = None, path
  else:
    train_path, test_path = path / _TRAIN, path / _TEST
  test = _read(test_path)
  train = test.take(np.arange(0))
  if train_path and train_path.exists():
    train = _read(train_path)
  return Published(CLASS_NAMES, train, test)


def _read(path: pathlib.Path) -> Split:
  """Reads a file: `X`, uint8 `[32, 32, 3, n]`, and `y`, `[n, 1]`, where 10 is the digit 0."""
  refuse_pipe(path)
  if not path.is_file():
    raise InputError(f'there is no {path}: fetch it from http://ufldl.stanford.edu/housenumbers')

  def check(name: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if name == 'X' and (dtype != np.uint8 or len(shape) != 4 or shape[:3] != (32, 32, 3)):
      raise InputError(no_images)
    if max(shape) > _MOST_IMAGES or (name == 'y' and math.prod(shape) > _MOST_IMAGES):
      raise InputError(f'{path} has more than the {_MOST_IMAGES:,} images of SVHN')
    if name == 'X':
      memory.check_images_fit(shape[3], *shape[:2])

  no_images = f'{path} has no images uint8 [32, 32, 3, n] under X'
  try:
    arrays = mat_files.read(path, ('X', 'y'), check)
  except (OSError, ValueError) as error:
    raise InputError(f'{path} is damaged ({error}): fetch it again') from error
  if 'X' not in arrays:
    raise InputError(no_images)
  pixels, count = arrays['X'], arrays['X'].shape[-1]
  if 'y' not in arrays or arrays['y'].size != count:
    raise InputError(f'{path} has no labels of its {count} images under y')
  labels = arrays['y'].ravel()
  wrong = labels[~np.isin(labels, np.arange(11))]
  if wrong.size:
    raise InputError(f'{path}: label {wrong[0]} is outside 1..10')
  images = np.ascontiguousarray(pixels.transpose(3, 0, 1, 2))
  return Split(images, labels.astype(np.int32) % 10)
