"""Deep Pyramidal Residual Networks: Han et al. 2017, arXiv 1610.02915.

The width grows a little at every block instead of doubling at each stage: from 16 over N blocks, by
an equal share of alpha (additive, eq. 2) or by an equal factor (multiplicative, eq. 3). A block is
BN, conv, BN, ReLU, conv, BN (figure 6d): no first ReLU, one more BN at the end. The shortcut is
never projected; new channels are zero (figure 5).
"""

import math
from typing import Any

import flax.linen as nn
import jax

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published


class PyramidBlock(layers.ResidualBlock, kw_only=True):
  """Figure 6d with two 3x3 convolutions.

  Attributes:
    first_relu: whether a ReLU follows the first BN: figure 6 (a) and (c).
    last_norm: whether the branch ends in BN: figure 6 (c) and (d).
    shortcut: one of `SHORTCUTS`.
  """

  first_relu: bool
  last_norm: bool
  shortcut: str

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the block's width and stride."""

    def branch(x: jax.Array) -> jax.Array:
      x = self.norm(name='norm1')(x)
      x = layers.relu(x) if self.first_relu else x
      x = layers.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv1')(x)
      x = layers.relu(self.norm(name='norm2')(x))
      x = layers.conv3x3(self.width, dtype=self.dtype, name='conv2')(x)
      return self.norm(name='norm3')(x) if self.last_norm else x

    return self.add_branch(self.make_shortcut(x, self.width), branch, x, gates)

  @nn.nowrap
  def make_shortcut(self, x: jax.Array, features: int) -> jax.Array:
    """The shortcut of `[batch, height, width, channels]`, with `features` channels."""
    changes = self.stride != 1 or (self.shortcut == 'project' and x.shape[-1] != features)
    if changes and self.shortcut != 'pad':
      return layers.conv1x1(features, self.stride, dtype=self.dtype, name='shortcut_conv')(x)
    return layers.pad_channels(layers.average_pool(x, self.stride), features)


class PyramidBottleneckBlock(PyramidBlock):
  """Figure 6d with 1x1, 3x3 and 1x1 convolutions; the last has four times the width."""

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to four times the block's width, and its stride."""

    def branch(x: jax.Array) -> jax.Array:
      x = self.norm(name='norm1')(x)
      x = layers.relu(x) if self.first_relu else x
      x = layers.conv1x1(self.width, dtype=self.dtype, name='conv1')(x)
      x = layers.relu(self.norm(name='norm2')(x))
      x = layers.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv2')(x)
      x = layers.relu(self.norm(name='norm3')(x))
      x = layers.conv1x1(self.width * 4, dtype=self.dtype, name='conv3')(x)
      return self.norm(name='norm4')(x) if self.last_norm else x

    return self.add_branch(self.make_shortcut(x, self.width * 4), branch, x, gates)


class PyramidNet(layers.ResidualNet):
  """The PyramidNet of `depth` = 6n + 2 layers, or 9n + 2 with bottlenecks.

  Further attributes are those of `layers.ResidualNet`.

  Attributes:
    depth: number of weighted layers.
    alpha: channels added from the first block to the last, or the factor between them.
    bottleneck: whether blocks are bottlenecks.
    growth: one of `GROWTHS`.
    first_relu: whether a block's first BN is followed by a ReLU: figure 6 (a) and (c).
    last_norm: whether a block ends in BN: figure 6 (c) and (d).
    shortcut: one of `SHORTCUTS`.
    short_stages: whether each stage lacks its last block, though alpha is shared over the blocks of
      `depth`: the net that dnddnjs/pytorch-cifar10 trained. Its last width is below 16 + alpha.
    shake_drop: a level of `shake_drop.LEVELS`, or empty for none. `survival_probability` is then
      that of ShakeDrop, whose decay is linear.
    remat: whether only the input of each block is kept, and the backward pass computes the rest
      again: for 272 layers, alpha 200 and a batch of 128 this takes 5.8 GB instead of 23.9, for one
      more forward pass. Logits and gradients are the same up to rounding.
  """

  depth: int
  alpha: float
  bottleneck: bool = False
  growth: str = 'add'
  first_relu: bool = False
  last_norm: bool = True
  shortcut: str = 'pad'
  short_stages: bool = False
  shake_drop: str = ''
  remat: bool = False

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics are the batch's, and gates are drawn.
      gates: `[blocks, 1]` or `[blocks, 1, batch]`, in place of those that the model draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    norm = layers.batch_norm(train, self.dtype)
    block: Any = PyramidBottleneckBlock if self.bottleneck else PyramidBlock
    block = nn.remat(block) if self.remat else block
    gates, skip_closed = self.gates_of(images, train, gates)

    x = layers.conv3x3(16, dtype=self.dtype, name='stem_conv')(images)
    x = norm(name='stem_norm')(x)
    for index, width in enumerate(self.block_widths):
      stage, position = divmod(index, self.stage_sizes[0])
      x = block(
        width=width,
        stride=2 if stage > 0 and position == 0 else 1,
        first_relu=self.first_relu,
        last_norm=self.last_norm,
        shortcut=self.shortcut,
        reduction=self.squeeze_excitation,
        # A branch that ShakeDrop shakes counts in the backward pass.
        skip_closed=skip_closed and not self.shake_drop,
        norm=norm,
        dtype=self.dtype,
        name=f'stage{stage + 1}_block{position + 1}',
      )(x, gates and gates.of_block(index))
    x = layers.relu(norm(name='final_norm')(x))
    return layers.head(x, self.num_classes)

  def __post_init__(self) -> None:
    """Raises InputError for an impossible depth, alpha or mode."""
    _ = self.stage_sizes  # raises where the depth is impossible
    if not 1 <= self.alpha < math.inf:
      raise InputError(f'the alpha of a PyramidNet is at least 1, not {self.alpha:g}')
    layers.check_one_of('growth', self.growth, GROWTHS)
    layers.check_one_of('shortcut', self.shortcut, SHORTCUTS)
    self.check_fields(narrowest=64 if self.bottleneck else 16)
    layers.check_shake_drop(self.shake_drop, self.survival_probability)
    super().__post_init__()

  @property
  def stage_sizes(self) -> tuple[int, ...]:
    """Blocks of each of the three stages."""
    kind = 'bottleneck' if self.bottleneck else 'basic'
    layers_per_block = 3 if self.bottleneck else 2
    net = f'{kind} PyramidNet'
    full = layers.blocks_per_stage(net, self.depth, layers_per_block, other_layers=2)
    if self.short_stages and full == 1:
      raise InputError(f'a PyramidNet of {self.depth} layers has no block to spare in each stage')
    return (full - self.short_stages,) * 3

  @property
  def block_widths(self) -> list[int]:
    """The width of each block."""
    missing = len(self.stage_sizes) * self.short_stages
    return widths(self.num_blocks + missing, self.alpha, self.growth)[: self.num_blocks]

  def draw_gates(self, batch_size: int, train: bool) -> layers.Gates | None:
    """The gates of a batch where none are given; None where all are 1."""
    if self.shake_drop:
      return layers.draw_shake_drop_gates(self, batch_size, self.shake_drop, train)
    return super().draw_gates(batch_size, train)


def widths(num_blocks: int, alpha: float, growth: str = 'add') -> list[int]:
  """The width of each block, rounded where it is used.

  Sum and product are kept exact and rounded to the nearest integer, as in the authors' code. The
  paper's equations print a floor, with which the released nets would not have their parameter
  counts.

  Args:
    num_blocks: number of residual blocks, N.
    alpha: what is added to the first width, 16, or what it is multiplied by, over all blocks.
    growth: one of `GROWTHS`.
  """
  shares = [(k + 1) / num_blocks for k in range(num_blocks)]
  exact = [16 + alpha * share if growth == 'add' else 16 * alpha**share for share in shares]
  return [math.floor(width + 0.5) for width in exact]


GROWTHS = ('add', 'mul')
# How the shortcut changes its shape where the branch does.
SHORTCUTS = (
  'pad',  # 2x2 average pooling, then zeros: no parameters, and an identity from end to end
  'project',  # a 1x1 convolution as in the pre-activation nets, so in nearly every block
  'mixed',  # a projection where the resolution changes, zeros elsewhere
)

GRAMMAR = (
  'pyramidnet{depth}_{a or mul_}{alpha}[_bottleneck][_short], depth = 6n + 2 or, with bottlenecks, '
  '9n + 2'
)
PATTERN = (
  r'pyramidnet(?P<depth>\d+)_(?:a|(?P<growth>mul)_)(?P<alpha>\d+(?:\.\d+)?)'
  r'(?P<bottleneck>_bottleneck)?(?P<short>_short)?'
)
PUBLISHED = {
  name: Published("Han et al. 2017, table 4 and the authors' README", cifar10, cifar100)
  for name, cifar10, cifar100 in (
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
# The lowest error of any epoch on the test images, as the text that goes with the code states it.
PUBLISHED['pyramidnet110_a48_short'] = Published('dnddnjs/pytorch-cifar10, best epoch', 4.81)
NAMES = tuple(PUBLISHED)


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(
  depth: str,
  growth: str | None,
  alpha: str,
  bottleneck: str | None,
  short: str | None,
  **fields: Any,
) -> PyramidNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  fields = ({'short_stages': True} if short else {}) | fields
  return PyramidNet(int(depth), float(alpha), bottleneck is not None, growth or 'add', **fields)
