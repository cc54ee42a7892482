"""A net's variables by formula: sooner made than initialised, which has to be compiled."""

from typing import Any

import flax.linen as nn
import jax
from data import fill

from cifar_jax import models


def variables(model: nn.Module, image_size: int | None = None) -> Any:
  """The variables of a model, each filled by its name and shape, norms and statistics included."""

  def fill_one(path, leaf):
    return fill.array('/'.join(key.key for key in path[1:]), leaf.shape)  # path[0]: the collection

  return jax.tree_util.tree_map_with_path(fill_one, models.abstract_variables(model, image_size))
