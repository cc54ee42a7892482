"""The statistics of a data set that augmentation and normalisation use."""

from typing import NamedTuple


class Statistics(NamedTuple):
  """The statistics of a training split. By default they leave pixels as they are.

  Attributes:
    num_classes: number of classes.
    mean: mean of each channel, in units of the full scale.
    std: standard deviation of each channel, in units of the full scale.
    covariance: covariance of the channels over all pixels, 3 rows of 3, in units of the full scale
      squared.
  """

  num_classes: int
  mean: tuple[float, ...] = (0.0, 0.0, 0.0)
  std: tuple[float, ...] = (1.0, 1.0, 1.0)
  covariance: tuple[tuple[float, ...], ...] = ((0.0, 0.0, 0.0),) * 3
