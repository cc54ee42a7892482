"""Errors that the papers print."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cifar_jax.config.dataset import TITLES

# The data sets whose errors are listed, and their names in a table.
DATASETS = {name: TITLES[name] for name in ('cifar10', 'cifar100', 'imagenet')}


class Published(NamedTuple):
  """Top-1 errors in percent; None where the source has none.

  Attributes:
    source: paper and table.
    cifar10: on CIFAR-10 with the usual flips and crops.
    cifar100: on CIFAR-100 with the usual flips and crops.
    imagenet: on the ILSVRC 2012 validation images, one crop.
    fields: those of the net's fields that its name does not say.
  """

  source: str
  cifar10: float | None = None
  cifar100: float | None = None
  imagenet: float | None = None
  fields: Mapping[str, Any] = {}

  def error(self, dataset: str) -> float | None:
    """The error in percent on a data set; None where it is unknown, or is not in `DATASETS`."""
    return self._asdict()[dataset] if dataset in DATASETS else None
