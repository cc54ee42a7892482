"""Wide Residual Networks: Zagoruyko and Komodakis 2016, arXiv 1605.07146, table 1, B(3, 3).

Pre-activation basic blocks, k times as wide: 6n + 4 layers. As the authors' `wide-resnet.lua` has
it, a block that changes the width activates once for both paths, dropout stands between the second
BN-ReLU and the second convolution, and weights start from He's normal with fan-in.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.stochastic_depth as stochastic_depth
from cifar_jax.errors import InputError

GRAMMAR = 'wrn_{depth}_{widen_factor}, depth = 6n + 4'
PATTERN = r'wrn_(?P<depth>\d+)_(?P<widen_factor>\d+)'
NAMES = (
  *('wrn_16_4', 'wrn_16_8', 'wrn_16_10', 'wrn_22_8', 'wrn_28_10', 'wrn_28_12'),
  *('wrn_40_1', 'wrn_40_2', 'wrn_40_4', 'wrn_40_8', 'wrn_40_10'),
)

conv3x3 = functools.partial(layers.conv3x3, kernel_init=layers.he_fan_in)
conv1x1 = functools.partial(layers.conv1x1, kernel_init=layers.he_fan_in)


class WideBlock(nn.Module):
  """BN, ReLU, 3x3 convolution, twice, with dropout before the second convolution."""

  width: int
  stride: int
  dropout: float
  norm: layers.Norm
  dtype: layers.Dtype
  train: bool
  skips: bool  # whether a branch with a closed gate is left uncomputed

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    changes = x.shape[-1] != self.width
    if changes:  # activated once, for both paths
      x = nn.relu(self.norm(name='norm1')(x))
      shortcut = conv1x1(self.width, self.stride, dtype=self.dtype, name='shortcut_conv')(x)
    else:
      shortcut = x

    def branch(_: nn.Module, x: jax.Array) -> jax.Array:
      y = x if changes else nn.relu(self.norm(name='norm1')(x))
      y = conv3x3(self.width, self.stride, dtype=self.dtype, name='conv1')(y)
      y = nn.relu(self.norm(name='norm2')(y))
      y = nn.Dropout(self.dropout, deterministic=not self.train)(y)
      return conv3x3(self.width, dtype=self.dtype, name='conv2')(y)

    return stochastic_depth.residual(self, branch, x, shortcut, gates, skips=self.skips)


class WideResNet(nn.Module):
  """WRN-`depth`-`widen_factor`.

  Attributes:
    depth: number of layers, 6n + 4.
    widen_factor: k; the stages have 16k, 32k and 64k channels.
    num_classes: size of the logits.
    dropout: fraction of the activations dropped inside each block, in [0, 1).
    survival_probability: of the last block; below 1 the net has stochastic depth.
    dtype: of the activations.
  """

  depth: int
  widen_factor: int
  num_classes: int = 10
  dropout: float = 0.0
  survival_probability: float = 1.0
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth, widen factor or dropout.
    """
    if self.depth < 10 or (self.depth - 4) % 6:
      raise InputError(f'a WRN has 6n + 4 layers (10, 16, 22, 28, 40, ...), not {self.depth}')
    if self.widen_factor < 1:
      raise InputError(f'the widen factor of a WRN is at least 1, not {self.widen_factor}')
    if not 0.0 <= self.dropout < 1.0:
      raise InputError(f'model.dropout is {self.dropout}; it must be at least 0 and below 1')
    stochastic_depth.check(self.survival_probability)
    super().__post_init__()

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    return (self.depth - 4) // 2

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics, dropout and gates are drawn.
      gates: `[blocks, 1]`, in place of those that the model draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    skips = train and gates is None
    if gates is None:
      gates = stochastic_depth.draw(self, self.num_blocks, self.survival_probability, train)
    norm = layers.batch_norm(train, self.dtype)

    x = conv3x3(16, dtype=self.dtype, name='stem_conv')(images)
    index = 0
    for stage, base_width in enumerate((16, 32, 64), start=1):
      for block in range(1, self.num_blocks // 3 + 1):
        x = WideBlock(
          width=base_width * self.widen_factor,
          stride=2 if stage > 1 and block == 1 else 1,
          dropout=self.dropout,
          norm=norm,
          dtype=self.dtype,
          train=train,
          skips=skips,
          name=f'stage{stage}_block{block}',
        )(x, gates and gates.of_block(index))
        index += 1
    x = nn.relu(norm(name='final_norm')(x))
    return layers.head(x, self.num_classes)


def from_name(depth: str, widen_factor: str, **fields: Any) -> WideResNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  return WideResNet(int(depth), int(widen_factor), **fields)
