"""Images and labels in the files of `numpy.save`, as CIFAR-10.1 and CIFAR-10-C are published."""

import pathlib

import numpy as np

from cifar_jax.data.dataset import check_labels
from cifar_jax.errors import InputError
from cifar_jax.input_files import refuse_pipe


def read_images(path: pathlib.Path) -> np.ndarray:
  """Opens images, uint8 `[n, height, width, 3]`, mapped from the file and read-only.

  Raises:
    InputError: there is no such file, it is damaged, or it holds no such array.
  """
  images = _open(path)
  if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or not images.size:
    raise InputError(f'{path} holds {images.dtype} {images.shape}, not images uint8 [n, h, w, 3]')
  return images


def read_labels(path: pathlib.Path, count: int, num_classes: int) -> np.ndarray:
  """Reads labels, int32 `[count]`.

  Args:
    path: the file.
    count: number of images.
    num_classes: number of classes.

  Raises:
    InputError: there is no such file, it is damaged, or it holds no labels of these images.
  """
  labels = _open(path)
  if labels.dtype.kind not in 'iu' or labels.shape != (count,):
    raise InputError(
      f'{path} holds {labels.dtype} {labels.shape}, not {count} integers, one for each image'
    )
  check_labels(str(path), labels, num_classes)
  return labels.astype(np.int32)


def _open(path: pathlib.Path) -> np.ndarray:
  refuse_pipe(path)
  try:
    array = np.load(path, mmap_mode='r', allow_pickle=False)  # a pickle can run code
  except FileNotFoundError:
    raise InputError(f'there is no {path}') from None
  except Exception as error:  # a damaged file can raise anything
    raise InputError(f'{path} is not an array of numpy.save: it is damaged') from error
  if not isinstance(array, np.ndarray):
    raise InputError(f'{path} is an archive of arrays, not an array of numpy.save')
  return array
