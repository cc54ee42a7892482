"""What the families share: the residual seam, convolutions and norms as the papers set them.

Shapes are `[batch, height, width, channels]`. Parameters, batch statistics and gates are float32;
activations have the model's `dtype`.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import cifar_jax.models.convolution as convolution
import cifar_jax.models.initializers as initializers
from cifar_jax.errors import InputError
from cifar_jax.models.batch_norm import BatchNorm
from cifar_jax.models.convolution import Conv

Norm = Callable[..., nn.Module]
Dtype = Any

# He et al. 2015, eq. 10 with fan-out, an untruncated normal as in fb.resnet.torch and the papers'
# own code; Flax's `he_normal` is truncated and uses fan-in.
he_fan_out = initializers.variance_scaling(2.0, 'fan_out', 'normal')
he_fan_in = initializers.variance_scaling(2.0, 'fan_in', 'normal')
# Torch's linear layer: uniform within 1 / sqrt(inputs).
uniform_fan_in = initializers.variance_scaling(1.0 / 3.0, 'fan_in', 'uniform')


class Gates(NamedTuple):
  """The factors that residual branches are multiplied by, in the forward and the backward pass.

  A model takes those of all its blocks at once, and hands each block its own (`of_block`).

  Attributes:
    forward: float32 `[blocks, branches]`, or `[blocks, branches, batch]` for one per image.
    backward: as `forward`; what the gradient into the branch is multiplied by instead.
    shortcut: float32 `[blocks]`; what the gradient into the shortcut is multiplied by.
  """

  forward: jax.Array
  backward: jax.Array
  shortcut: jax.Array

  def of_block(self, block: int) -> 'Gates':
    """The gates of one block: the same without the leading axis."""
    return Gates(self.forward[block], self.backward[block], self.shortcut[block])


@jax.custom_vjp
def residual_add(
  shortcut: jax.Array,
  branch: jax.Array,
  forward_gate: jax.Array,
  backward_gate: jax.Array,
  shortcut_gate: jax.Array,
) -> jax.Array:
  """The one seam of all residual randomness: `shortcut + forward_gate * branch`.

  Its gradient is `shortcut_gate` towards `shortcut` and `backward_gate` towards `branch`, whatever
  the forward pass did; towards the gates it is zero.

  Args:
    shortcut: `[batch, height, width, channels]`.
    branch: the same shape and dtype.
    forward_gate: scalar, or `[batch]` for one factor per image.
    backward_gate: scalar or `[batch]`.
    shortcut_gate: scalar or `[batch]`.

  Returns:
    An array of the shape and dtype of `shortcut`.
  """
  del backward_gate, shortcut_gate
  return shortcut + _scaled(branch, forward_gate)


def _residual_add_forward(shortcut, branch, forward_gate, backward_gate, shortcut_gate):
  gates = (forward_gate, backward_gate, shortcut_gate)
  return residual_add(shortcut, branch, *gates), gates


def _residual_add_backward(gates, gradient):
  _, backward_gate, shortcut_gate = gates
  return (
    _scaled(gradient, shortcut_gate),
    _scaled(gradient, backward_gate),
    *map(jnp.zeros_like, gates),
  )


residual_add.defvjp(_residual_add_forward, _residual_add_backward)


def _scaled(x: jax.Array, gate: jax.Array) -> jax.Array:
  """`x` times a scalar or `[batch]`, in its own dtype; multiplied in float32, as the gates are."""
  gate = jnp.reshape(gate, jnp.shape(gate) + (1,) * (x.ndim - jnp.ndim(gate)))
  return (x.astype(jnp.float32) * gate).astype(x.dtype)


def residual_sum(
  shortcut: jax.Array, branches: tuple[jax.Array, ...], gates: Gates | None
) -> jax.Array:
  """The shortcut and its gated branches, added; plainly where `gates` is None.

  Args:
    shortcut: `[batch, height, width, channels]`.
    branches: arrays of the same shape and dtype.
    gates: the block's own, with `forward` and `backward` of shape `[branches, ...]`.

  Returns:
    An array of the shape and dtype of `shortcut`.
  """
  if gates is None:
    return convolution.kept(functools.reduce(lax.add, branches, shortcut))
  total, shortcut_gate = shortcut, gates.shortcut
  for i, branch in enumerate(branches):
    total = residual_add(total, branch, gates.forward[i], gates.backward[i], shortcut_gate)
    shortcut_gate = jnp.ones_like(gates.shortcut)
  return convolution.kept(total)


@jax.custom_vjp
def relu(x: jax.Array) -> jax.Array:
  """`flax.linen.relu` of any shape `[...]`. Deep nets have hundreds: it takes a third to trace."""
  return lax.max(x, np.zeros((), x.dtype))


def _relu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  return relu(x), lax.gt(x, lax.full_like(x, 0))


def _relu_backward(positive: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
  return (lax.select(positive, gradient, lax.full_like(gradient, 0)),)


relu.defvjp(_relu_forward, _relu_backward)


def conv3x3(features: int, stride: int = 1, **fields: Any) -> Conv:
  """A 3x3 convolution without bias, padded by one pixel on each side.

  The padding is written out because `SAME` at stride 2 pads only below and to the right, which
  shifts every tap by a pixel against the papers' nets.
  """
  return conv(features, 3, stride, **fields)


def conv1x1(features: int, stride: int = 1, **fields: Any) -> Conv:
  """A 1x1 convolution without bias."""
  return conv(features, 1, stride, **fields)


def conv(features: int, size: int, stride: int = 1, **fields: Any) -> Conv:
  """A convolution of odd size without bias, padded by half of it; `fields` are `Conv`'s."""
  padding = ((size // 2, size // 2),) * 2
  defaults: dict[str, Any] = {
    'use_bias': False,
    'kernel_init': he_fan_out,
    'padding': padding,
  }
  return Conv(features, (size, size), strides=(stride, stride), **(defaults | fields))


@functools.cache  # so that modules that are made with it are seen to be equal
def batch_norm(train: bool, dtype: Dtype, momentum: float = 0.9, epsilon: float = 1e-5) -> Norm:
  """Batch normalisation as the papers' code (Torch) sets it, ready to be named and placed.

  Momentum is the fraction kept: Flax's 0.9 is Torch's 0.1. Statistics are taken over the global
  batch, in float32 whatever `dtype`. The running variance is the biased one (Torch stores the
  unbiased; at 128 images of 8x8 or more the two differ by at most 1.3e-4 of it).
  """
  return functools.partial(
    BatchNorm, use_running_average=not train, momentum=momentum, epsilon=epsilon, dtype=dtype
  )


def head(x: jax.Array, num_classes: int, hidden_features: int = 0) -> jax.Array:
  """Global average pooling and the linear classifier, in float32 for the loss's sake.

  Args:
    x: `[batch, height, width, channels]` of any float dtype. To be called in a compact method.
    num_classes: size of the last axis of the result.
    hidden_features: of a layer with ReLU in between; 0 for none.

  Returns:
    Logits, float32 `[batch, num_classes]`.
  """
  x = jnp.mean(x, axis=(1, 2), dtype=jnp.float32)
  if hidden_features:
    x = relu(nn.Dense(hidden_features, kernel_init=he_fan_in, name='hidden')(x))
  return nn.Dense(num_classes, kernel_init=uniform_fan_in, name='head')(x)


def dropout(x: jax.Array, rate: float, train: bool) -> jax.Array:
  """`x` `[...]`, of which training drops a fraction `rate`. To be called in a compact method."""
  return nn.Dropout(rate, deterministic=False)(x) if rate and train else x


def local_response_norm(x: jax.Array) -> jax.Array:
  """Local response normalisation: Krizhevsky et al. 2012, section 3.3.

  Each value is divided by `(k + alpha * s) ** beta`, where `s` is the sum of the squares of the
  n channels around it at its pixel, fewer at the ends; k = 2, n = 5, alpha = 1e-4, beta = 0.75.
  Alpha multiplies the sum, as the paper has it; Torch and Caffe multiply the mean, so that theirs
  would have to be 5e-4 for the same net.

  Args:
    x: `[batch, height, width, channels]` of any float dtype; squared and summed in float32.

  Returns:
    An array of the shape and dtype of `x`.
  """
  wide = x.astype(jnp.float32)
  padding = ((0, 0), (0, 0), (0, 0), (2, 2))
  total = lax.reduce_window(wide * wide, 0.0, lax.add, (1, 1, 1, 5), (1, 1, 1, 1), padding)
  return (wide * (2.0 + 1e-4 * total) ** -0.75).astype(x.dtype)


def subsample(x: jax.Array, stride: int) -> jax.Array:
  """Every `stride`-th pixel of `[batch, height, width, channels]` (ResNet's option A)."""
  return x[:, ::stride, ::stride]


def average_pool(x: jax.Array, stride: int) -> jax.Array:
  """Means of `stride` x `stride` windows of `[batch, height, width, channels]`."""
  return nn.avg_pool(x, (stride, stride), strides=(stride, stride)) if stride > 1 else x


def pad_channels(x: jax.Array, width: int) -> jax.Array:
  """`[batch, height, width, channels]` with zero channels appended until there are `width`."""
  return lax.pad(x, np.zeros((), x.dtype), ((0, 0, 0),) * 3 + ((0, width - x.shape[-1], 0),))


def blocks_a_stage(net: str, depth: int, layers_a_block: int, other_layers: int) -> int:
  """How many blocks each of three stages has.

  Args:
    net: what it is, for the message.
    depth: number of weighted layers.
    layers_a_block: those of a block's branch.
    other_layers: those outside the blocks.

  Raises:
    InputError: no whole number of blocks gives this depth.
  """
  step = 3 * layers_a_block
  if depth < step + other_layers or (depth - other_layers) % step:
    below = max(step + other_layers, depth - (depth - other_layers) % step)
    raise InputError(
      f'a {net} has {step}n + {other_layers} layers, not {depth}; '
      f'the nearest are {below} and {below + step}'
    )
  return (depth - other_layers) // step


def check_one_of(field: str, value: str, known: Iterable[str]) -> None:
  """Raises InputError where a model's field has none of its known values."""
  if value not in known:
    raise InputError(f'model.{field} is {value!r}; it is one of {", ".join(known)}')
