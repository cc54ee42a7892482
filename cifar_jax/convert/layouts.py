"""Layouts of an array in Flax and in Torch.

The kernel of a convolution is `[height, width, inputs / groups, outputs]` in Flax and `[outputs,
inputs / groups, height, width]` in Torch; a dense kernel is `[inputs, outputs]` and `[outputs,
inputs]`. A dense layer after a flattened map counts its inputs by height, width, channel in Flax
and by channel, height, width in Torch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import ad_checkpoint

from cifar_jax.models import classifier

MapShape = tuple[int, int, int]  # height, width, channels
INPUT = 'input of '  # prefix of the marks that the inputs of dense layers get while they are traced


class Layout(NamedTuple):
  """The layout of one array in Flax and in Torch.

  Attributes:
    shape: of the array in Flax.
    flattened: shape of the map whose pixels are the inputs of a dense kernel; None for all other
      arrays.
    pointwise: whether a dense kernel of Flax is the kernel of a 1x1 convolution in Torch.
    inputs: the index in Torch of each input channel; empty for the same order.
    outputs: the index in Torch of each output channel; empty for the same order.
  """

  shape: tuple[int, ...]
  flattened: MapShape | None = None
  pointwise: bool = False
  inputs: tuple[int, ...] = ()
  outputs: tuple[int, ...] = ()

  @property
  def torch_shape(self) -> tuple[int, ...]:
    """Shape of the array in Torch."""
    if len(self.shape) == 4:
      height, width, inputs, outputs = self.shape
      return (outputs, inputs, height, width)
    if len(self.shape) == 2:
      return self.shape[::-1] + (1, 1) * self.pointwise
    return self.shape

  def to_torch(self, array: np.ndarray) -> np.ndarray:
    """Maps an array of `shape` to one of `torch_shape`, contiguous so that it can be written."""
    if len(self.shape) == 4:
      array = array.transpose(3, 2, 0, 1)
    elif len(self.shape) == 2:
      if self.flattened:
        array = array.reshape(*self.flattened, -1).transpose(2, 0, 1, 3)
      array = array.reshape(self.shape).T
    array = array.reshape(self.torch_shape)
    for axis, indices in self._orders():
      array = np.take(array, np.argsort(indices), axis)
    return np.ascontiguousarray(array)

  def from_torch(self, array: np.ndarray) -> np.ndarray:
    """Maps an array of `torch_shape` to a contiguous one of `shape`."""
    for axis, indices in self._orders():
      array = np.take(array, indices, axis)
    if len(self.shape) == 4:
      array = array.transpose(2, 3, 1, 0)
    elif len(self.shape) == 2:
      array = array.reshape(self.shape[::-1]).T
      if self.flattened:
        height, width, channels = self.flattened
        array = array.reshape(channels, height, width, -1).transpose(1, 2, 0, 3)
    return np.ascontiguousarray(array.reshape(self.shape))

  def _orders(self) -> list[tuple[int, tuple[int, ...]]]:
    """The axes in Torch whose channels have another order, and their indices there."""
    orders = enumerate((self.outputs, self.inputs)[: len(self.shape)])  # a bias has no inputs
    return [(axis, indices) for axis, indices in orders if indices]


def trace(model: nn.Module) -> tuple[Any, dict[str, MapShape]]:
  """Finds the shapes of a model's variables, and its dense layers that read a flattened map.

  Args:
    model: a module from `models.create`.

  Returns:
    The variables' shapes and dtypes, and the maps' shapes by the dotted names of the layers.
  """
  size = classifier.image_size(model)
  images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)

  def mark(
    call: Callable[..., Any],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    context: nn.module.InterceptorContext,
  ) -> Any:
    if isinstance(context.module, nn.Dense) and context.method_name == '__call__':
      name = INPUT + '.'.join(context.module.path)
      arguments = (ad_checkpoint.checkpoint_name(arguments[0], name), *arguments[1:])
    return call(*arguments, **keywords)

  def init(images: jax.Array) -> Any:
    with nn.intercept_methods(mark):
      return model.init(jax.random.key(0), images, train=False)

  jaxpr, variables = jax.make_jaxpr(init, return_shape=True)(images)
  return variables, _find_flattened_maps(jaxpr.jaxpr)


def _find_flattened_maps(jaxpr: Any) -> dict[str, MapShape]:
  """Returns the map of each marked array that is a map `[1, h, w, c]` reshaped to two axes."""
  maps: dict[Any, MapShape] = {}  # by the variable of the jaxpr that is a flattened map
  inputs: dict[str, MapShape] = {}
  for equation in jaxpr.eqns:
    arrays = [x for x in equation.invars if not hasattr(x, 'val')]  # no literals
    outputs = equation.outvars
    if equation.primitive.name == 'reshape' and len(arrays[0].aval.shape) == 4:
      if len(outputs[0].aval.shape) == 2:
        maps[outputs[0]] = arrays[0].aval.shape[1:]
      continue
    flat = next((x for x in arrays if x in maps), None)
    if flat is None or equation.primitive.name == 'dot_general':
      continue
    if equation.primitive.name == 'name' and equation.params['name'].startswith(INPUT):
      inputs[equation.params['name'].removeprefix(INPUT)] = maps[flat]
    # A cast, a ReLU or dropout does not move the pixels.
    maps |= {x: maps[flat] for x in outputs if x.aval.shape == flat.aval.shape}
  return inputs
