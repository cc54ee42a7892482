"""Deep Pyramidal Residual Networks: Han et al. 2017, arXiv 1610.02915 (additive).

The width grows a little at every block instead of doubling at each stage: from 16 to 16 + alpha
over N blocks (eq. 2). A unit is BN, conv, BN, ReLU, conv, BN (figure 6d): no first ReLU, one more
BN at the end; the shortcut is never projected, new channels are zero (figure 5b).
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.stochastic_depth as stochastic_depth
from cifar_jax.errors import InputError

GRAMMAR = (
  'pyramidnet{depth}_a{alpha}, depth = 6n + 2; pyramidnet{depth}_a{alpha}_bottleneck, 9n + 2'
)
PATTERN = r'pyramidnet(?P<depth>\d+)_a(?P<alpha>\d+)(?P<bottleneck>_bottleneck)?'
NAMES = (
  *('pyramidnet110_a48', 'pyramidnet110_a84', 'pyramidnet110_a270'),
  *(f'pyramidnet164_a{alpha}_bottleneck' for alpha in (48, 84, 270)),
  *(f'pyramidnet{d}_a{a}_bottleneck' for d, a in ((200, 240), (236, 220), (272, 200))),
)


def widths(num_blocks: int, alpha: int) -> list[int]:
  """The width of each block: 16 plus an equal share of alpha a block, rounded when it is used.

  The sum is kept exact and rounded to the nearest, as the authors' code does; the paper's eq. 2
  prints a floor, with which the released nets do not have their parameter counts.
  """
  return [math.floor(16 + alpha * (k + 1) / num_blocks + 0.5) for k in range(num_blocks)]


class PyramidBlock(nn.Module):
  """One unit: basic, or a bottleneck that ends in four times its width."""

  width: int
  stride: int
  bottleneck: bool
  norm: layers.Norm
  dtype: layers.Dtype
  skips: bool  # whether a branch with a closed gate is left uncomputed

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the unit's width and stride."""
    features = self.width * 4 if self.bottleneck else self.width
    shortcut = layers.pad_channels(layers.average_pool(x, self.stride), features)

    def branch(block: 'PyramidBlock', x: jax.Array) -> jax.Array:
      # Of the block that is handed in: inside a conditional that is not `self`, whose statistics
      # would silently not move.
      return block._bottleneck(x) if self.bottleneck else block._basic(x)

    return stochastic_depth.residual(self, branch, x, shortcut, gates, skips=self.skips)

  def _basic(self, x: jax.Array) -> jax.Array:
    y = self.norm(name='norm1')(x)
    y = layers.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv1')(y)
    y = nn.relu(self.norm(name='norm2')(y))
    y = layers.conv3x3(self.width, dtype=self.dtype, name='conv2')(y)
    return self.norm(name='norm3')(y)

  def _bottleneck(self, x: jax.Array) -> jax.Array:
    y = self.norm(name='norm1')(x)
    y = layers.conv1x1(self.width, dtype=self.dtype, name='conv1')(y)
    y = nn.relu(self.norm(name='norm2')(y))
    y = layers.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv2')(y)
    y = nn.relu(self.norm(name='norm3')(y))
    y = layers.conv1x1(self.width * 4, dtype=self.dtype, name='conv3')(y)
    return self.norm(name='norm4')(y)


class PyramidNet(nn.Module):
  """The additive PyramidNet of `depth` = 6n + 2 layers, or 9n + 2 with bottlenecks.

  Attributes:
    depth: number of weighted layers.
    alpha: channels added from the first block to the last.
    bottleneck: whether units are bottlenecks.
    num_classes: size of the logits.
    survival_probability: of the last block; below 1 the net has stochastic depth.
    survival_decay: one of `stochastic_depth.DECAYS`.
    dtype: of the activations.
  """

  depth: int
  alpha: int
  bottleneck: bool = False
  num_classes: int = 10
  survival_probability: float = 1.0
  survival_decay: str = 'linear'
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth or alpha.
    """
    step = 9 if self.bottleneck else 6
    if self.depth < step + 2 or (self.depth - 2) % step:
      kind = 'bottleneck' if self.bottleneck else 'basic'
      below = max(step + 2, self.depth - (self.depth - 2) % step)
      raise InputError(
        f'a {kind} PyramidNet has {step}n + 2 layers, not {self.depth}; '
        f'the nearest are {below} and {below + step}'
      )
    if self.alpha < 1:
      raise InputError(f'the alpha of a PyramidNet is at least 1, not {self.alpha}')
    stochastic_depth.check(self.survival_probability, self.survival_decay)
    super().__post_init__()

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    return (self.depth - 2) // (3 if self.bottleneck else 2)

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics and gates are drawn from the batch.
      gates: `[blocks, 1]`, in place of those that the model draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    skips = train and gates is None
    if gates is None:
      gates = stochastic_depth.draw(self, train)
    norm = layers.batch_norm(train, self.dtype)

    x = layers.conv3x3(16, dtype=self.dtype, name='stem_conv')(images)
    x = norm(name='stem_norm')(x)
    blocks_a_stage = self.num_blocks // 3
    for index, width in enumerate(widths(self.num_blocks, self.alpha)):
      stage, block = divmod(index, blocks_a_stage)
      x = PyramidBlock(
        width=width,
        stride=2 if stage > 0 and block == 0 else 1,
        bottleneck=self.bottleneck,
        norm=norm,
        dtype=self.dtype,
        skips=skips,
        name=f'stage{stage + 1}_block{block + 1}',
      )(x, gates and gates.of_block(index))
    x = nn.relu(norm(name='final_norm')(x))
    return layers.head(x, self.num_classes)


def from_name(depth: str, alpha: str, bottleneck: str | None, **fields: Any) -> PyramidNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  return PyramidNet(int(depth), int(alpha), bottleneck is not None, **fields)
