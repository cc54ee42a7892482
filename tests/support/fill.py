"""Weights and images by formula, the same for Flax and Torch, so that no weights are stored."""

import zlib

import numpy as np

# Uniform, so that no norm is an identity and no mean is zero: a misplaced ReLU or norm shows.
RANGES = {'scale': (0.5, 1.5), 'var': (0.5, 1.5), 'bias': (-0.5, 0.5), 'mean': (-0.5, 0.5)}


def array(path: str, shape: tuple[int, ...]) -> np.ndarray:
  """The float32 values of a variable.

  Args:
    path: the variable's path in Flax without the collection, such as `head/kernel`.
    shape: the variable's shape.
  """
  random = np.random.RandomState(zlib.crc32(path.encode()))
  kind = path.split('/')[-1]
  if kind == 'kernel':
    values = random.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
  else:
    values = random.uniform(*RANGES[kind], shape)
  return values.astype(np.float32)


def images(batch: int = 2, size: int = 32) -> np.ndarray:
  """Standard normal images, float32 `[batch, size, size, 3]`."""
  return np.random.RandomState(0).standard_normal((batch, size, size, 3)).astype(np.float32)
