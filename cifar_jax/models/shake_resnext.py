"""Shake-Shake regularization: Gastaldi 2017, arXiv 1705.07485, on CIFAR-100.

The net (section 2.2, the author's `shakeshake.lua`) is ResNeXt-29 with two branches a block, each
a whole aggregated transformation: three stages of three blocks. The paper gives up the
pre-activation here, unlike on CIFAR-10: the stem has its ReLU, a branch begins with its
convolution, the shortcut is the plain projection (option B) and ReLU follows the addition.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.residual_block as residual_block
import cifar_jax.models.shake_coefficients as shake_coefficients
from cifar_jax.errors import InputError
from cifar_jax.models.published import Published
from cifar_jax.models.shake_coefficients import draw_gates
from cifar_jax.models.shake_shake import ShakeBlock

GRAMMAR = 'shake_shake_resnext_{depth}_{branches}x{cardinality}x{base_width}d, depth = 9n + 2'
PATTERN = (
  r'shake_shake_resnext_(?P<depth>\d+)_(?P<branches>\d+)x(?P<cardinality>\d+)x'
  r'(?P<base_width>\d+)d'
)
PUBLISHED = {
  'shake_shake_resnext_29_2x4x64d': Published('arXiv 1705.07485, table 2, S-E-I', cifar100=15.85)
}
NAMES = tuple(PUBLISHED)

WIDTHS = (256, 512, 1024)  # of the stages: four times 64, 128 and 256, whatever the branches hold


class ResNeXtBranch(nn.Module):
  """The branch of a bottleneck, its 3x3 convolution in groups."""

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype
  inner: int  # channels of all groups together
  groups: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    conv3x3 = functools.partial(layers.conv3x3, feature_group_count=self.groups)
    return residual_block.bottleneck(
      x, self.inner, self.stride, self.width, conv3x3, self.norm, self.dtype
    )


class Projection(nn.Module):
  """The shortcut where the width changes: a strided 1x1 convolution and BN."""

  width: int
  stride: int
  norm: layers.Norm
  dtype: layers.Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    x = layers.conv1x1(self.width, self.stride, dtype=self.dtype, name='conv')(x)
    return self.norm(name='norm')(x)


class ShakeResNeXt(nn.Module):
  """Shake-Shake ResNeXt-`depth` `branches`x`cardinality`x`base_width`d.

  Attributes:
    depth: number of weighted layers, along one branch of each block.
    branches: branches a block.
    cardinality: groups of a branch.
    base_width: channels of a group in the first stage; the others have twice and four times as
      many.
    num_classes: size of the logits.
    forward: one of `shake_coefficients.FORWARD`.
    backward: one of `shake_coefficients.BACKWARD`.
    level: one of `shake_coefficients.LEVELS`.
    dtype: of the activations.
  """

  depth: int
  branches: int
  cardinality: int
  base_width: int
  num_classes: int = 10
  forward: str = 'shake'
  backward: str = 'shake'
  level: str = 'image'
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth or width, or coefficients that cannot be drawn.
    """
    _ = self.stage_size  # raises where the depth is impossible
    if self.cardinality < 1 or self.base_width < 1:
      raise InputError(
        'the cardinality and the width of a ResNeXt branch are at least 1, not '
        f'{self.cardinality} and {self.base_width}'
      )
    shake_coefficients.check(self.forward, self.backward, self.level, self.branches)
    super().__post_init__()

  @property
  def stage_size(self) -> int:
    """Blocks of each of the three stages."""
    net = 'Shake-Shake ResNeXt'
    return layers.blocks_a_stage(net, self.depth, layers_a_block=3, other_layers=2)

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    return 3 * self.stage_size

  def draw_gates(self, batch_size: int, train: bool) -> layers.Gates:
    """The gates for a batch where none are given."""
    key = self.make_rng('shake') if train else None
    mode = (self.forward, self.backward, self.level, self.branches)
    return draw_gates(key, self.num_blocks, batch_size, *mode)

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics and gates are drawn.
      gates: `[blocks, branches]` or `[blocks, branches, batch]`, in place of those that the model
        draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    if gates is None:
      gates = self.draw_gates(len(images), train)
    norm = layers.batch_norm(train, self.dtype)

    x = layers.conv3x3(64, dtype=self.dtype, name='stem_conv')(images)
    x = layers.relu(norm(name='stem_norm')(x))
    for index in range(self.num_blocks):
      stage, block = divmod(index, self.stage_size)
      fields = (WIDTHS[stage], 2 if stage > 0 and block == 0 else 1, norm, self.dtype)
      inner = self.cardinality * self.base_width * 2**stage
      x = ShakeBlock(
        branch=functools.partial(ResNeXtBranch, *fields, inner, self.cardinality),
        shortcut=functools.partial(Projection, *fields),
        branches=self.branches,
        name=f'stage{stage + 1}_block{block + 1}',
      )(x, gates.of_block(index))
      x = layers.relu(x)
    return layers.head(x, self.num_classes)


def from_name(
  depth: str, branches: str, cardinality: str, base_width: str, **fields: Any
) -> ShakeResNeXt:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible one."""
  return ShakeResNeXt(int(depth), int(branches), int(cardinality), int(base_width), **fields)
