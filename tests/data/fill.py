"""Weights and images by formula, for Flax and for Torch alike: nothing of a net is stored."""

import zlib

import numpy as np

# Uniform, so that no norm is an identity and no mean is nought: a misplaced ReLU or norm shows.
RANGES = {'scale': (0.5, 1.5), 'var': (0.5, 1.5), 'bias': (-0.5, 0.5), 'mean': (-0.5, 0.5)}


def array(path: str, shape: tuple[int, ...]) -> np.ndarray:
  """The float32 array of a variable, from its Flax path without the collection, and its shape."""
  random = np.random.RandomState(zlib.crc32(path.encode()))
  kind = path.split('/')[-1]
  if kind == 'kernel':
    values = random.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
  else:
    values = random.uniform(*RANGES[kind], shape)
  return values.astype(np.float32)


def images() -> np.ndarray:
  """Two images, [2, 32, 32, 3]."""
  return np.random.RandomState(0).standard_normal((2, 32, 32, 3)).astype(np.float32)
