"""The base of layers that have parameters and no submodules, quick to trace."""

from collections.abc import Sequence
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.models.layers.initializers import is_shapes_only


class Layer(nn.Module):
  """A module with parameters of its own, none of whose fields is a module.

  Deep nets have hundreds of layers, and Flax takes milliseconds to trace each. Two of its steps are
  left out here. Without this class the table of models takes a third more processor time.
  """

  @nn.nowrap
  def _register_submodules(self, name: str, value: Any) -> None:
    """Overrides Flax's search for modules in a field; there are none."""

  @nn.nowrap
  def parameter(
    self, name: str, initializer: nn.initializers.Initializer, shape: Sequence[int]
  ) -> jax.Array:
    """A float32 parameter, like `self.param`, which traces the initialiser at every call.

    Args:
      name: name of the parameter.
      initializer: `(key, shape, dtype) -> array`.
      shape: shape of the parameter.

    Raises:
      ScopeParamShapeError: the variables hold the parameter in another shape, as for images whose
        channels do not come last.
    """

    def init() -> Any:
      if is_shapes_only():
        return np.broadcast_to(np.float32(0.0), shape)  # not traced, and no key is made
      return initializer(self.make_rng('params'), shape, jnp.float32)

    value = self.variable('params', name, init).value
    if value.shape != tuple(shape):
      path = '/'.join(self.path)
      raise flax.errors.ScopeParamShapeError(name, path, value.shape, tuple(shape))
    return value
