"""Identity Mappings in Deep Residual Networks: He et al. 2016, arXiv 1603.05027.

Full pre-activation (figure 4e): batch normalisation and ReLU come before each convolution, and
nothing follows the addition. As in the authors' `resnet-pre-act.lua`, the first block and each
block that changes the width activate once for both paths, the first convolution of a block carries
the stride, and one more BN and ReLU follow the last addition. The other orders of figure 4 are the
field `order`; their block is in `preact_orders.py`.
"""

import functools
from typing import Any

import flax.linen as nn
import jax

from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.preact_orders import ORDERS, OtherOrderBlock, apply_order
from cifar_jax.models.published_errors import Published


class PreActBlock(layers.ResidualBlock, kw_only=True):
  """Figure 4e with two 3x3 convolutions: BN, ReLU, conv, BN, ReLU, conv, then the addition.

  Attributes:
    first: whether the block follows the stem.
    shortcut: one of `SHORTCUTS`.
  """

  first: bool
  shortcut: str
  expansion = 1  # what the block ends in, as a multiple of its width

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the block's width and stride."""
    for_both_paths = self.first or self.changes_shape(x)
    if for_both_paths:
      x = self.activate(x)

    def branch(x: jax.Array) -> jax.Array:
      if not for_both_paths:
        x = self.activate(x)
      x = layers.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv1')(x)
      x = layers.relu(self.norm(name='norm2')(x))
      return layers.conv3x3(self.width, dtype=self.dtype, name='conv2')(x)

    return self.add_branch(self.make_shortcut(x), branch, x, gates)

  @nn.nowrap
  def activate(self, x: jax.Array) -> jax.Array:
    """BN and ReLU of `[batch, height, width, channels]`, before the first convolution."""
    return layers.relu(self.norm(name='norm1')(x))

  @nn.nowrap
  def changes_shape(self, x: jax.Array) -> bool:
    """Whether the result has another width or size than `x`, `[batch, height, width, channels]`."""
    return x.shape[-1] != self.width * self.expansion or self.stride != 1

  @nn.nowrap
  def make_shortcut(self, x: jax.Array) -> jax.Array:
    """The shortcut of `[batch, height, width, channels]`, projected where the shape changes."""
    features = self.width * self.expansion
    if not self.changes_shape(x):
      return x
    if self.shortcut == 'pad':
      return layers.pad_channels(layers.subsample(x, self.stride), features)
    return layers.conv1x1(features, self.stride, dtype=self.dtype, name='shortcut_conv')(x)


class PreActBottleneckBlock(PreActBlock):
  """Figure 4e with 1x1, 3x3 and 1x1 convolutions; the last has four times the width."""

  expansion = 4

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to four times the block's width, and its stride."""
    for_both_paths = self.first or self.changes_shape(x)
    if for_both_paths:
      x = self.activate(x)

    def branch(x: jax.Array) -> jax.Array:
      if not for_both_paths:
        x = self.activate(x)
      x = layers.conv1x1(self.width, self.stride, dtype=self.dtype, name='conv1')(x)
      x = layers.relu(self.norm(name='norm2')(x))
      x = layers.conv3x3(self.width, dtype=self.dtype, name='conv2')(x)
      x = layers.relu(self.norm(name='norm3')(x))
      return layers.conv1x1(self.width * 4, dtype=self.dtype, name='conv3')(x)

    return self.add_branch(self.make_shortcut(x), branch, x, gates)


class PreActResNet(layers.ResidualNet):
  """The CIFAR pre-activation net of `depth` = 6n + 2 layers, or 9n + 2 with bottlenecks.

  Further attributes are those of `layers.ResidualNet`.

  Attributes:
    depth: number of weighted layers.
    bottleneck: whether blocks are bottlenecks.
    order: one of `preact_orders.ORDERS`; `e` is full pre-activation.
    shortcut: one of `SHORTCUTS`, where the shape changes.
  """

  depth: int
  bottleneck: bool = False
  order: str = 'e'
  shortcut: str = 'project'

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics are the batch's, and gates are drawn.
      gates: `[blocks, 1]`, in place of those that the model draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    norm = layers.batch_norm(train, self.dtype)
    order = ORDERS[self.order]
    block: Any = PreActBottleneckBlock if self.bottleneck else PreActBlock
    if self.order != 'e':
      block = functools.partial(OtherOrderBlock, order=order, bottleneck=self.bottleneck)

    def make_block(stage: int, first: bool, **shared: Any) -> nn.Module:
      return block(
        width=16 * 2**stage,
        stride=2 if stage > 0 and first else 1,
        first=stage == 0 and first,
        shortcut=self.shortcut,
        norm=norm,
        **shared,
      )

    x = layers.conv3x3(16, dtype=self.dtype, name='stem_conv')(images)
    x = apply_order(order.after, x, norm, 'stem_norm')  # nothing in full pre-activation
    x = self.run_stages(make_block, x, images, train, gates)
    x = apply_order(order.before, x, norm, 'final_norm')  # BN and ReLU in full pre-activation
    return layers.head(x, self.num_classes)

  def __post_init__(self) -> None:
    """Raises InputError for an impossible depth, or an unknown order or shortcut."""
    layers.check_one_of('order', self.order, ORDERS)
    layers.check_one_of('shortcut', self.shortcut, SHORTCUTS)
    self.check_fields(narrowest=64 if self.bottleneck else 16)
    _ = self.stage_sizes  # raises where the depth is impossible
    super().__post_init__()

  @property
  def stage_sizes(self) -> tuple[int, ...]:
    """Blocks of each of the three stages."""
    kind = 'bottleneck' if self.bottleneck else 'basic'
    layers_per_block = 3 if self.bottleneck else 2
    net = f'{kind} pre-activation ResNet'
    return (layers.blocks_per_stage(net, self.depth, layers_per_block, other_layers=2),) * 3


SHORTCUTS = ('project', 'pad')  # a 1x1 convolution, or every second pixel and zero channels
# Table 4: the paper's deep nets, whose names do not say that they are bottlenecks.
BOTTLENECK_DEPTHS = (164, 1001)

GRAMMAR = (
  '[se_]preact_resnet{depth}, depth = 6n + 2 (basic) or 164, 1001 or 9n + 2 with _bottleneck; '
  '[_order_a ... _order_e]'
)
PATTERN = (
  r'(?P<se>se_)?preact_resnet(?P<depth>\d+)(?P<bottleneck>_bottleneck)?(?:_order_(?P<order>[a-e]))?'
)
NAMES = (
  *('preact_resnet110', 'preact_resnet164', 'preact_resnet1001'),
  *(f'preact_resnet{depth}_order_{order}' for depth in (110, 164) for order in 'abcd'),
)
_TABLE2 = {110: (6.61, 8.17, 7.84, 6.71), 164: (5.93, 6.50, 6.14, 5.91)}  # orders a to d
PUBLISHED = {
  'preact_resnet110': Published('He et al. 2016, table 2', cifar10=6.37),
  'preact_resnet164': Published('He et al. 2016, table 4', 5.46, 24.33),
  'preact_resnet1001': Published('He et al. 2016, table 4', 4.92, 22.71),
  **{
    f'preact_resnet{depth}_order_{order}': Published('He et al. 2016, table 2', cifar10=error)
    for depth, errors in _TABLE2.items()
    for order, error in zip('abcd', errors, strict=True)
  },
}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(
  se: str | None, depth: str, bottleneck: str | None, order: str | None, **fields: Any
) -> PreActResNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  fixed: dict[str, Any] = {'squeeze_excitation': 16} if se else {}
  fixed['bottleneck'] = bottleneck is not None or int(depth) in BOTTLENECK_DEPTHS
  return PreActResNet(int(depth), order=order or 'e', **(fixed | fields))
