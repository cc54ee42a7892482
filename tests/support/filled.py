"""A net's variables by formula: faster than initialising, which must be compiled."""

from typing import Any

import flax.linen as nn
import jax

from cifar_jax import models
from tests.support import fill


def filled_variables(model: nn.Module, image_size: int | None = None) -> Any:
  """The variables of a model, norms and statistics included, filled by `fill.array`.

  Args:
    model: a module from `models.create`.
    image_size: height and width of the images, in pixels; by default those that the model is made
      for.
  """

  def fill_one(path: tuple[Any, ...], leaf: Any) -> Any:
    return fill.array('/'.join(key.key for key in path[1:]), leaf.shape)  # path[0]: the collection

  return jax.tree_util.tree_map_with_path(fill_one, models.abstract_variables(model, image_size))
