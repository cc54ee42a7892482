"""Arithmetic on uint8 images: their channel statistics, exactly, and their size."""

import math

import numpy as np

Channels = tuple[float, float, float]  # red, green, blue

_IMAGES_AT_ONCE = 256  # CIFAR images as float64 are then 6 MB, which a processor's cache holds


def channel_sums(images: np.ndarray) -> np.ndarray:
  """Sums over the pixels of each image.

  They are taken in float64 because matrix products are fast there, and they are exact: every
  partial sum is an integer, below 2**53 for any image of fewer than 10**11 pixels.

  Args:
    images: uint8 `[n, height, width, 3]`.

  Returns:
    int64 `[n, 2, 3]`: of each channel, the sum of the values (0..255) and the sum of their squares.
  """
  height, width = images.shape[1:3]
  ones = np.ones(height * width)
  sums = np.empty((len(images), 2, 3), np.int64)
  for start in range(0, len(images), _IMAGES_AT_ONCE):
    part = slice(start, start + _IMAGES_AT_ONCE)
    values = images[part].reshape(-1, height * width, 3).astype(np.float64)
    sums[part, 0] = ones @ values
    sums[part, 1] = ones @ np.square(values, out=values)
  return sums


def mean_and_std(sums: np.ndarray, pixels_per_image: int) -> tuple[Channels, Channels]:
  """The mean and standard deviation of each channel over all pixels, in units of [0, 1].

  Args:
    sums: int64 `[n, 2, 3]` from `channel_sums`.
    pixels_per_image: height × width.

  Returns:
    The three means and the three standard deviations (of the population: divided by n, not n - 1).
    Without images there is nothing to measure: 0 and 1, which leave pixels as they are.
  """
  if not len(sums):
    return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
  count = len(sums) * pixels_per_image
  totals, squares = sums.sum(axis=0).tolist()

  def mean(channel: int) -> float:
    return totals[channel] / (255 * count)

  def std(channel: int) -> float:
    # Python's integers do not overflow: nothing is rounded before the root.
    return math.sqrt(count * squares[channel] - totals[channel] ** 2) / (255 * count)

  return (mean(0), mean(1), mean(2)), (std(0), std(1), std(2))


def covariance(images: np.ndarray) -> tuple[Channels, Channels, Channels]:
  """The covariance of the channels over all pixels, in units of [0, 1] squared.

  Args:
    images: uint8 `[n, height, width, 3]`.

  Returns:
    The three rows of a symmetric matrix, of the population: on its diagonal are the squares of the
    stds of `mean_and_std`. Without images there is nothing to measure: zeros.
  """
  total, products = np.zeros(3), np.zeros((3, 3))
  for start in range(0, len(images), _IMAGES_AT_ONCE):
    values = images[start : start + _IMAGES_AT_ONCE].reshape(-1, 3).astype(np.float64)
    total += values.sum(axis=0)
    products += values.T @ values
  count = max(1, images.size // 3)
  mean = total / count
  matrix = (products / count - np.outer(mean, mean)) / 255**2
  red, green, blue = (tuple(map(float, row)) for row in matrix)
  return red, green, blue  # type: ignore[return-value]


def resize(images: np.ndarray, size: int) -> np.ndarray:
  """Scales images to a square, by Pillow's bilinear filter (which averages when it shrinks).

  Args:
    images: uint8 `[n, height, width, 3]`; the aspect ratio is not kept.
    size: of the result, in pixels.

  Returns:
    uint8 `[n, size, size, 3]`; the argument itself if it has this size already.
  """
  if images.shape[1:3] == (size, size):
    return images
  import PIL.Image

  resized = np.empty((len(images), size, size, 3), np.uint8)
  for i, image in enumerate(images):
    picture = PIL.Image.fromarray(image)
    resized[i] = np.asarray(picture.resize((size, size), PIL.Image.Resampling.BILINEAR))
  return resized
