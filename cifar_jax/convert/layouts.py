"""How Torch lays out the arrays that Flax holds.

Convolutions are `[height, width, in / groups, out]` here and `[out, in / groups, height, width]`
there; dense kernels `[in, out]` and `[out, in]`. A dense layer after a flattened map counts its
inputs by height, width, channel here and by channel, height, width there.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import ad_checkpoint

Map = tuple[int, int, int]  # height, width, channels
INPUT = 'input of '  # what the inputs of dense layers are marked with while they are traced


class Layout(NamedTuple):
  """How one array lies on both sides.

  Attributes:
    shape: of ours.
    flattened: the map whose pixels are the inputs of a dense kernel; None for any other.
    pointwise: whether what is a dense kernel here is a 1x1 convolution's there.
  """

  shape: tuple[int, ...]
  flattened: Map | None = None
  pointwise: bool = False

  @property
  def torch_shape(self) -> tuple[int, ...]:
    """Shape of the array on Torch's side."""
    if len(self.shape) == 4:
      height, width, inputs, outputs = self.shape
      return (outputs, inputs, height, width)
    if len(self.shape) == 2:
      return self.shape[::-1] + (1, 1) * self.pointwise
    return self.shape

  def to_torch(self, array: np.ndarray) -> np.ndarray:
    """From `shape` to `torch_shape`; the result is contiguous, as writing it requires."""
    if len(self.shape) == 4:
      array = array.transpose(3, 2, 0, 1)
    elif len(self.shape) == 2:
      if self.flattened:
        array = array.reshape(*self.flattened, -1).transpose(2, 0, 1, 3)
      array = array.reshape(self.shape).T
    return np.ascontiguousarray(array.reshape(self.torch_shape))

  def from_torch(self, array: np.ndarray) -> np.ndarray:
    """From `torch_shape` to `shape`; contiguous."""
    if len(self.shape) == 4:
      array = array.transpose(2, 3, 1, 0)
    elif len(self.shape) == 2:
      array = array.reshape(self.shape[::-1]).T
      if self.flattened:
        height, width, channels = self.flattened
        array = array.reshape(channels, height, width, -1).transpose(1, 2, 0, 3)
    return np.ascontiguousarray(array.reshape(self.shape))


def trace(model: nn.Module) -> tuple[Any, dict[str, Map]]:
  """A model's variables as shapes, and which of its dense layers read a flattened map.

  Args:
    model: a module that `models.create` gave; one not made for images of 32 pixels says its
      `image_size`.

  Returns:
    The shapes and dtypes, and the maps by the dotted names of the layers.
  """
  size = getattr(model, 'image_size', 32)
  images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)

  def mark(call, arguments, keywords, context):
    if isinstance(context.module, nn.Dense) and context.method_name == '__call__':
      name = INPUT + '.'.join(context.module.path)
      arguments = (ad_checkpoint.checkpoint_name(arguments[0], name), *arguments[1:])
    return call(*arguments, **keywords)

  def init(images: jax.Array) -> Any:
    with nn.intercept_methods(mark):
      return model.init(jax.random.key(0), images, train=False)

  jaxpr, variables = jax.make_jaxpr(init, return_shape=True)(images)
  return variables, _flattened(jaxpr.jaxpr)


def _flattened(jaxpr: Any) -> dict[str, Map]:
  """The marked arrays that are a `[1, height, width, channels]` reshaped to two axes."""
  maps: dict[Any, Map] = {}  # of variables that are a flattened map
  found: dict[str, Map] = {}
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
      found[equation.params['name'].removeprefix(INPUT)] = maps[flat]
    # A cast, a ReLU or dropout leaves the pixels where they are.
    maps |= {x: maps[flat] for x in outputs if x.aval.shape == flat.aval.shape}
  return found
