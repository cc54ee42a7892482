"""Errors that papers print."""

from typing import NamedTuple


class Published(NamedTuple):
  """Top-1 error in percent, where its source prints one.

  Attributes:
    source: paper and table.
    cifar10: on CIFAR-10 with the usual flips and crops.
    cifar100: on CIFAR-100, likewise.
    imagenet: on the ILSVRC 2012 validation images, one crop.
  """

  source: str
  cifar10: float | None = None
  cifar100: float | None = None
  imagenet: float | None = None
