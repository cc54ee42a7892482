"""The published error that stands beside a run's result."""

from typing import Any

from ml_collections import ConfigDict

from cifar_jax import models


def error_of(config: ConfigDict) -> dict[str, Any] | None:
  """The `error_percent` and `source` of a run's net and data; None if nothing is published.

  Published errors are of nets trained from random weights on flipped and cropped images, so there
  is none for a run without one of these, or whose net has other fields.
  """
  augment = config.augment
  has_flips = augment.flip or augment.alternating_flip
  if config.init.get('source') or not (has_flips and augment.pad):
    return None
  return models.published_error(**config.model, dataset=config.data.name)
