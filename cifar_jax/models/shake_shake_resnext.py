"""Shake-Shake regularization: Gastaldi 2017, arXiv 1705.07485, on CIFAR-100.

The net (section 2.2, the author's `shakeshake.lua`) is ResNeXt-29 with two branches per block:
three stages of three blocks, each branch a whole aggregated transformation. Unlike on CIFAR-10, the
paper does not use pre-activation here: the stem has its ReLU, a branch begins with its convolution,
the shortcut is the plain projection (option B), and ReLU follows the addition.
"""

import functools
from typing import Any

import flax.linen as nn
import jax

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published
from cifar_jax.models.shake_shake_net import ShakeBlock, ShakeNet


class ResNeXtBranch(nn.Module):
  """The branch of a bottleneck, with its 3x3 convolution in groups."""

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype
  kernel_init: nn.initializers.Initializer
  inner: int  # channels of all groups together
  groups: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    fields: dict[str, Any] = {'kernel_init': self.kernel_init, 'dtype': self.dtype}
    x = layers.conv1x1(self.inner, name='conv1', **fields)(x)
    x = layers.relu(self.norm(name='norm1')(x))
    x = layers.conv3x3(
      self.inner, self.stride, feature_group_count=self.groups, name='conv2', **fields
    )(x)
    x = layers.relu(self.norm(name='norm2')(x))
    x = layers.conv1x1(self.width, name='conv3', **fields)(x)
    return self.norm(name='norm3')(x)


class Projection(nn.Module):
  """The shortcut where the width changes: a strided 1x1 convolution and BN."""

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype
  kernel_init: nn.initializers.Initializer

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    x = layers.conv1x1(
      self.width, self.stride, kernel_init=self.kernel_init, dtype=self.dtype, name='conv'
    )(x)
    return self.norm(name='norm')(x)


class ShakeResNeXt(ShakeNet):
  """Shake-Shake ResNeXt-`depth` `branches`x`cardinality`x`base_width`d.

  Further attributes are those of `ShakeNet`.

  Attributes:
    depth: number of weighted layers, along one branch of each block.
    branches: branches per block.
    cardinality: groups per branch.
    base_width: channels of a group in the first stage; the others have twice and four times as
      many.
  """

  depth: int
  branches: int
  cardinality: int
  base_width: int

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics are the batch's, and gates are drawn.
      gates: `[blocks, branches]` or `[blocks, branches, batch]`, in place of those that the model
        draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    if gates is None:
      gates = self.draw_gates(images.shape[0], train)
    norm = layers.batch_norm(train, self.dtype)

    conv_init = self.conv_init
    x = layers.conv3x3(64, kernel_init=conv_init, dtype=self.dtype, name='stem_conv')(images)
    x = layers.relu(norm(name='stem_norm')(x))
    for index in range(self.num_blocks):
      stage, position = divmod(index, self.stage_size)
      stride = 2 if stage > 0 and position == 0 else 1
      fields = (WIDTHS[stage], stride, norm, self.dtype, conv_init)
      inner = self.cardinality * self.base_width * 2**stage
      x = ShakeBlock(
        branch=functools.partial(ResNeXtBranch, *fields, inner, self.cardinality),
        shortcut=functools.partial(Projection, *fields),
        branches=self.branches,
        name=f'stage{stage + 1}_block{position + 1}',
      )(x, gates.of_block(index))
      x = layers.relu(x)
    return self.head(x)

  def __post_init__(self) -> None:
    """Raises InputError for an impossible depth, width or field."""
    _ = self.stage_size  # raises where the depth is impossible
    if self.cardinality < 1 or self.base_width < 1:
      raise InputError(
        'the cardinality and the width of a ResNeXt branch are at least 1, not '
        f'{self.cardinality} and {self.base_width}'
      )
    self.check_fields()
    super().__post_init__()

  @property
  def stage_size(self) -> int:
    """Blocks of each of the three stages."""
    net = 'Shake-Shake ResNeXt'
    return layers.blocks_per_stage(net, self.depth, layers_per_block=3, other_layers=2)


# Channels at the end of each stage's blocks: four times 64, 128 and 256, whatever the branches'
# widths.
WIDTHS = (256, 512, 1024)

GRAMMAR = 'shake_shake_resnext_{depth}_{branches}x{cardinality}x{base_width}d, depth = 9n + 2'
PATTERN = (
  r'shake_shake_resnext_(?P<depth>\d+)_(?P<branches>\d+)x(?P<cardinality>\d+)x'
  r'(?P<base_width>\d+)d'
)
PUBLISHED = {
  'shake_shake_resnext_29_2x4x64d': Published('arXiv 1705.07485, table 2, S-E-I', cifar100=15.85)
}
NAMES = tuple(PUBLISHED)


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(
  depth: str, branches: str, cardinality: str, base_width: str, **fields: Any
) -> ShakeResNeXt:
  """The net of a name that matches `PATTERN`, in the mode S-E-I of table 2.

  Raises InputError for an impossible one.
  """
  numbers = (int(depth), int(branches), int(cardinality), int(base_width))
  return ShakeResNeXt(*numbers, **({'backward': 'even'} | fields))
