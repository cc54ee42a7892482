"""Arithmetic on uint8 images: exact statistics of their channels, and resizing."""

import math
from collections.abc import Iterator

import numpy as np

from cifar_jax.data import pictures

Channels = tuple[float, float, float]  # red, green, blue

_PIXELS_AT_ONCE = 256 * 32 * 32  # as float64 they take 6 MB and fit into a processor's cache


def channel_sums(images: np.ndarray) -> np.ndarray:
  """Sums the values and their squares over the pixels of each image.

  The sums are computed in float64, whose matrix products are fast, and are exact: every partial sum
  is an integer, below 2**53 for any image of fewer than 10**11 pixels.

  Args:
    images: uint8 `[n, height, width, 3]`.

  Returns:
    int64 `[n, 2, 3]`: for each channel the sum of the values (0..255) and the sum of their squares.
  """
  height, width = images.shape[1:3]
  ones = np.ones(height * width)
  sums = np.empty((len(images), 2, 3), np.int64)
  for part in _parts(images):
    values = images[part].reshape(-1, height * width, 3).astype(np.float64)
    sums[part, 0] = ones @ values
    sums[part, 1] = ones @ np.square(values, out=values)
  return sums


def _parts(images: np.ndarray) -> Iterator[slice]:
  """Divides images `[n, height, width, 3]` into parts of about `_PIXELS_AT_ONCE`, however large."""
  count = max(1, _PIXELS_AT_ONCE // max(1, images.shape[1] * images.shape[2]))
  return (slice(start, start + count) for start in range(0, len(images), count))


def mean_and_std(sums: np.ndarray, pixels_per_image: int) -> tuple[Channels, Channels]:
  """Computes the mean and standard deviation of each channel over all pixels.

  Args:
    sums: int64 `[n, 2, 3]` from `channel_sums`.
    pixels_per_image: height × width.

  Returns:
    The three means and the three standard deviations, in units of [0, 1]. The deviations are those
    of the population (divided by n, not n - 1). The deviation of a channel that has one value in
    all pixels is 1, so that normalisation makes it 0. Without images the means are 0 and the
    deviations 1, so that normalisation changes nothing.
  """
  if not len(sums):
    return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
  count = len(sums) * pixels_per_image
  totals, squares = sums.sum(axis=0).tolist()

  def mean(channel: int) -> float:
    return totals[channel] / (255 * count)

  def std(channel: int) -> float:
    # Python's integers do not overflow, so nothing is rounded before the root.
    deviation = math.sqrt(count * squares[channel] - totals[channel] ** 2) / (255 * count)
    return deviation or 1.0

  return (mean(0), mean(1), mean(2)), (std(0), std(1), std(2))


def covariance(images: np.ndarray) -> tuple[Channels, Channels, Channels]:
  """Computes the covariance of the channels over all pixels, in units of [0, 1] squared.

  Args:
    images: uint8 `[n, height, width, 3]`.

  Returns:
    The three rows of a symmetric matrix. It is the covariance of the population: its diagonal holds
    the squares of the deviations of `mean_and_std`. Without images all values are 0.
  """
  total, products = np.zeros(3), np.zeros((3, 3))
  for part in _parts(images):
    values = images[part].reshape(-1, 3).astype(np.float64)
    total += values.sum(axis=0)
    products += values.T @ values
  count = max(1, images.size // 3)
  mean = total / count
  matrix = (products / count - np.outer(mean, mean)) / 255**2
  red, green, blue = (tuple(map(float, row)) for row in matrix)
  return red, green, blue  # type: ignore[return-value]


def resize(images: np.ndarray, size: int, how: str) -> np.ndarray:
  """Resizes images to a square.

  Args:
    images: uint8 `[n, height, width, 3]`.
    size: side of the square, in pixels.
    how: one of `config.dataset.RESIZINGS`, for images that are not square.

  Returns:
    uint8 `[n, size, size, 3]`; `images` itself if it has this size already.
  """
  if images.shape[1:3] == (size, size):
    return images
  import PIL.Image

  resized = np.empty((len(images), size, size, 3), np.uint8)
  for i, image in enumerate(images):
    resized[i] = pictures.resize(PIL.Image.fromarray(image), size, size, how)
  return resized
