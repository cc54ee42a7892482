"""Deep Pyramidal Residual Networks: Han et al. 2017, arXiv 1610.02915.

The width grows a little at every block instead of doubling at each stage: from 16 over N blocks,
by an equal share of alpha (additive, eq. 2) or by an equal factor (multiplicative, eq. 3). A unit
is BN, conv, BN, ReLU, conv, BN (figure 6d): no first ReLU, one more BN at the end; the shortcut is
never projected, new channels are zero (figure 5).
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.shake_drop as shake_drop
import cifar_jax.models.squeeze_excitation as squeeze_excitation
import cifar_jax.models.stochastic_depth as stochastic_depth
from cifar_jax.errors import InputError
from cifar_jax.models.published import Published

GRAMMAR = 'pyramidnet{depth}_{a or mul_}{alpha}, depth = 6n + 2; with _bottleneck, 9n + 2'
PATTERN = (
  r'pyramidnet(?P<depth>\d+)_(?:a|(?P<growth>mul)_)(?P<alpha>\d+(?:\.\d+)?)'
  r'(?P<bottleneck>_bottleneck)?'
)
PUBLISHED = {
  name: Published("Han et al. 2017, table 4 and the authors' README", *errors)
  for name, *errors in (
    ('pyramidnet110_mul_4.75', 4.62, 23.16),
    ('pyramidnet110_a48', 4.62, 23.31),
    ('pyramidnet110_mul_8', 4.50, 20.94),
    ('pyramidnet110_a84', 4.27, 20.21),
    ('pyramidnet110_mul_27', 4.06, 18.79),
    ('pyramidnet110_a270', 3.73, 18.25),
    ('pyramidnet164_a48_bottleneck', 4.21, 19.52),
    ('pyramidnet164_a84_bottleneck', 3.96, 18.32),
    ('pyramidnet164_a270_bottleneck', 3.48, 17.01),
    ('pyramidnet200_a240_bottleneck', 3.44, 16.51),
    ('pyramidnet236_a220_bottleneck', 3.40, 16.37),
    ('pyramidnet272_a200_bottleneck', 3.31, 16.35),
  )
}
NAMES = tuple(PUBLISHED)

GROWTHS = ('add', 'mul')
# How the shortcut changes its shape where the branch does.
SHORTCUTS = (
  'pad',  # 2x2 average pooling, then zeros: no parameters, and an identity from end to end
  'project',  # a 1x1 convolution as in the pre-activation nets, so in nearly every unit
  'mixed',  # a projection where the resolution changes, zeros elsewhere
)


def widths(num_blocks: int, alpha: float, growth: str = 'add') -> list[int]:
  """The width of each block, rounded when it is used.

  Sum and product are kept exact and rounded to the nearest, as in the authors' code; the paper's
  equations print a floor, with which the released nets do not have their parameter counts.

  Args:
    num_blocks: number of residual blocks, N.
    alpha: what is added to the first width, 16, or what it is multiplied by, over all blocks.
    growth: one of `GROWTHS`.
  """
  shares = [(k + 1) / num_blocks for k in range(num_blocks)]
  exact = [16 + alpha * share if growth == 'add' else 16 * alpha**share for share in shares]
  return [math.floor(width + 0.5) for width in exact]


class PyramidBlock(nn.Module):
  """One unit, figure 6: basic, or a bottleneck that ends in four times its width."""

  width: int
  stride: int
  bottleneck: bool
  first_relu: bool
  last_norm: bool
  shortcut: str
  reduction: int  # of squeeze-and-excitation; 0 for none
  norm: layers.Norm
  dtype: layers.Dtype
  skips: bool  # whether a branch with a closed gate is left uncomputed

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the unit's width and stride."""
    features = self.width * 4 if self.bottleneck else self.width
    shortcut = self._shortcut(x, features)

    def branch(block: 'PyramidBlock', x: jax.Array) -> jax.Array:
      # Of the block that is handed in: inside a conditional that is not `self`, whose statistics
      # would silently not move.
      y = block._bottleneck(x) if self.bottleneck else block._basic(x)
      return squeeze_excitation.after_branch(y, self.reduction, self.dtype)

    return stochastic_depth.residual(self, branch, x, shortcut, gates, skips=self.skips)

  def _shortcut(self, x: jax.Array, features: int) -> jax.Array:
    changes = self.stride != 1 or (self.shortcut == 'project' and x.shape[-1] != features)
    if changes and self.shortcut != 'pad':
      return layers.conv1x1(features, self.stride, dtype=self.dtype, name='shortcut_conv')(x)
    return layers.pad_channels(layers.average_pool(x, self.stride), features)

  def _basic(self, x: jax.Array) -> jax.Array:
    y = self.norm(name='norm1')(x)
    y = layers.relu(y) if self.first_relu else y
    y = layers.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv1')(y)
    y = layers.relu(self.norm(name='norm2')(y))
    y = layers.conv3x3(self.width, dtype=self.dtype, name='conv2')(y)
    return self.norm(name='norm3')(y) if self.last_norm else y

  def _bottleneck(self, x: jax.Array) -> jax.Array:
    y = self.norm(name='norm1')(x)
    y = layers.relu(y) if self.first_relu else y
    y = layers.conv1x1(self.width, dtype=self.dtype, name='conv1')(y)
    y = layers.relu(self.norm(name='norm2')(y))
    y = layers.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv2')(y)
    y = layers.relu(self.norm(name='norm3')(y))
    y = layers.conv1x1(self.width * 4, dtype=self.dtype, name='conv3')(y)
    return self.norm(name='norm4')(y) if self.last_norm else y


class PyramidNet(nn.Module):
  """The PyramidNet of `depth` = 6n + 2 layers, or 9n + 2 with bottlenecks.

  Attributes:
    depth: number of weighted layers.
    alpha: channels added from the first block to the last, or the factor between them.
    bottleneck: whether units are bottlenecks.
    growth: one of `GROWTHS`.
    num_classes: size of the logits.
    first_relu: whether a unit's first BN is followed by a ReLU: figure 6 (a) and (c).
    last_norm: whether a unit ends in BN: figure 6 (c) and (d).
    shortcut: one of `SHORTCUTS`.
    squeeze_excitation: the reduction of its inner layer; 0 for none.
    survival_probability: of the last block; below 1 the net has stochastic depth, or ShakeDrop.
    survival_decay: one of `stochastic_depth.DECAYS`; ShakeDrop's is linear.
    shake_drop: a level of `shake_drop.LEVELS`, or empty for none.
    remat: whether the backward pass is handed what enters each unit, and computes the rest of it
      again: for 272 layers, alpha 200 and a batch of 128 5.8 GB instead of 23.9, for one more
      forward pass. Logits and gradients are the same to rounding.
    dtype: of the activations.
  """

  depth: int
  alpha: float
  bottleneck: bool = False
  growth: str = 'add'
  num_classes: int = 10
  first_relu: bool = False
  last_norm: bool = True
  shortcut: str = 'pad'
  squeeze_excitation: int = 0
  survival_probability: float = 1.0
  survival_decay: str = 'linear'
  shake_drop: str = ''
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields; raises InputError for an impossible depth, alpha or mode."""
    _ = self.stage_size  # raises where the depth is impossible
    if not 1 <= self.alpha < math.inf:
      raise InputError(f'the alpha of a PyramidNet is at least 1, not {self.alpha:g}')
    layers.check_one_of('growth', self.growth, GROWTHS)
    layers.check_one_of('shortcut', self.shortcut, SHORTCUTS)
    squeeze_excitation.check(self.squeeze_excitation, 16)
    stochastic_depth.check(self.survival_probability, self.survival_decay)
    shake_drop.check(self.shake_drop, self.survival_probability)
    super().__post_init__()

  @property
  def stage_size(self) -> int:
    """Blocks of each of the three stages."""
    kind = 'bottleneck' if self.bottleneck else 'basic'
    layers_a_block = 3 if self.bottleneck else 2
    return layers.blocks_a_stage(f'{kind} PyramidNet', self.depth, layers_a_block, other_layers=2)

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    return 3 * self.stage_size

  def draw_gates(self, batch_size: int, train: bool) -> layers.Gates | None:
    """The gates for a batch where none are given; None where all are 1."""
    last = self.survival_probability
    if self.shake_drop:
      return shake_drop.draw(self, self.num_blocks, batch_size, last, self.shake_drop, train)
    return stochastic_depth.draw(self, train)

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics and gates are drawn from the batch.
      gates: `[blocks, 1]` or `[blocks, 1, batch]`, in place of those that the model draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    skips = train and gates is None and not self.shake_drop
    if gates is None:
      gates = self.draw_gates(len(images), train)
    norm = layers.batch_norm(train, self.dtype)
    unit = nn.remat(PyramidBlock) if self.remat else PyramidBlock

    x = layers.conv3x3(16, dtype=self.dtype, name='stem_conv')(images)
    x = norm(name='stem_norm')(x)
    for index, width in enumerate(widths(self.num_blocks, self.alpha, self.growth)):
      stage, block = divmod(index, self.stage_size)
      x = unit(
        width=width,
        stride=2 if stage > 0 and block == 0 else 1,
        bottleneck=self.bottleneck,
        first_relu=self.first_relu,
        last_norm=self.last_norm,
        shortcut=self.shortcut,
        reduction=self.squeeze_excitation,
        norm=norm,
        dtype=self.dtype,
        skips=skips,
        name=f'stage{stage + 1}_block{block + 1}',
      )(x, gates and gates.of_block(index))
    x = layers.relu(norm(name='final_norm')(x))
    return layers.head(x, self.num_classes)


def from_name(
  depth: str, growth: str | None, alpha: str, bottleneck: str | None, **fields: Any
) -> PyramidNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  return PyramidNet(int(depth), float(alpha), bottleneck is not None, growth or 'add', **fields)
