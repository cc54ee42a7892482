"""Street View House Numbers from the .mat files of cropped digits; Netzer et al. 2011.

http://ufldl.stanford.edu/housenumbers: `train_32x32.mat` (73,257 images) and `test_32x32.mat`
(26,032). The 531,131 additional images are not read.
"""

import pathlib
from typing import Any

import numpy as np

from cifar_jax import paths
from cifar_jax.data.dataset import Published, Split
from cifar_jax.errors import InputError
from cifar_jax.input_files import refuse_pipe

CLASS_NAMES = tuple(map(str, range(10)))
_TRAIN, _TEST = 'train_32x32.mat', 'test_32x32.mat'


def load(data_dir: str) -> Published:
  """Reads SVHN.

  Args:
    data_dir: the directory of the files, of which that of the training images may be missing; or
      the path of one file, which is then the test split.

  Returns:
    The digits as classes, and images uint8 `[n, 32, 32, 3]`.

  Raises:
    InputError: the test images are missing, or a file is damaged.
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
  import scipy.io  # takes time to import

  refuse_pipe(path)
  if not path.is_file():
    raise InputError(f'there is no {path}: fetch it from http://ufldl.stanford.edu/housenumbers')
  try:
    arrays: dict[str, Any] = scipy.io.loadmat(path, variable_names=('X', 'y'))
  except Exception as error:  # a damaged file can raise anything
    raise InputError(f'{path} is damaged ({type(error).__name__}): fetch it again') from error
  pixels, labels = arrays.get('X'), arrays.get('y')
  if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 4):
    raise InputError(f'{path} has no images uint8 [height, width, 3, n] under X')
  count = pixels.shape[-1]
  if not (isinstance(labels, np.ndarray) and labels.dtype.kind in 'iuf' and labels.size == count):
    raise InputError(f'{path} has no labels of its {count} images under y')
  wrong = labels[~np.isin(labels, np.arange(11))]
  if wrong.size:
    raise InputError(f'{path}: label {wrong[0]} is outside 1..10')
  images = np.ascontiguousarray(pixels.transpose(3, 0, 1, 2))
  return Split(images, labels.ravel().astype(np.int32) % 10)
