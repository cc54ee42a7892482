"""Identity Mappings in Deep Residual Networks: He et al. 2016, arXiv 1603.05027.

Full pre-activation (figure 4e): batch normalisation and ReLU come before each convolution, and
nothing follows the addition; the other orders of figure 4 are a field. As the authors'
`resnet-pre-act.lua` has it, the first unit and each unit that changes the width activate once for
both paths, the first convolution of a unit carries the stride, and one more BN and ReLU follow the
last addition.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.squeeze_excitation as squeeze_excitation
import cifar_jax.models.stages as stages
import cifar_jax.models.stochastic_depth as stochastic_depth
from cifar_jax.models.published import Published

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


class Order(NamedTuple):
  """Where normalisation and activation stand around the convolutions of a unit."""

  before: str  # each convolution; also what follows the last addition of the net
  after: str  # each convolution but a branch's last; also what follows the stem's
  after_last: str  # a branch's last; a projection is normalised where this normalises
  addition: str  # what follows the addition


# Figure 4.
ORDERS = {
  'a': Order('', 'norm relu', 'norm', 'relu'),  # original
  'b': Order('', 'norm relu', '', 'norm relu'),  # BN after addition
  'c': Order('', 'norm relu', 'norm relu', ''),  # ReLU before addition
  'd': Order('relu', 'norm', 'norm', ''),  # ReLU-only pre-activation
  'e': Order('norm relu', '', '', ''),  # full pre-activation
}
# The paper's deep nets, which are bottlenecks without saying so (table 4).
BOTTLENECK_DEPTHS = (164, 1001)
SHORTCUTS = ('project', 'pad')  # a 1x1 convolution, or every second pixel and zero channels


def activate(what: str, x: jax.Array, norm: layers.Norm, name: str) -> jax.Array:
  """Applies a field of `Order` to `[batch, height, width, channels]`; the norm gets `name`."""
  for layer in what.split():
    x = norm(name=name)(x) if layer == 'norm' else layers.relu(x)
  return x


class PreActBlock(nn.Module):
  """Twice 3x3, or 1x1, 3x3, 1x1 with four times the width at the end.

  Attributes:
    width: channels inside the branch.
    stride: of its first convolution.
    bottleneck: whether it is one.
    order: one of `ORDERS`.
    first: whether it follows the stem.
    shortcut: one of `SHORTCUTS`.
    reduction: of squeeze-and-excitation; 0 for none.
    norm: makes the batch normalisations.
    skips: whether a branch with a closed gate is left uncomputed.
    dtype: of the activations.
  """

  width: int
  stride: int
  bottleneck: bool
  order: Order
  first: bool
  shortcut: str
  reduction: int
  norm: layers.Norm
  skips: bool
  dtype: layers.Dtype

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the unit's width and stride."""
    order = self.order
    kernels = (1, 3, 1) if self.bottleneck else (3, 3)
    features = self.width * 4 if self.bottleneck else self.width
    changes = x.shape[-1] != features or self.stride != 1
    for_both_paths = self.first or changes
    if for_both_paths:
      x = activate(order.before, x, self.norm, 'norm1')
    shortcut = self._shortcut(x, features) if changes else x

    def branch(_: nn.Module, y: jax.Array) -> jax.Array:
      for i, kernel in enumerate(kernels, start=1):
        last = i == len(kernels)
        if i > 1 or not for_both_paths:
          y = activate(order.before, y, self.norm, f'norm{i}')
        stride = self.stride if i == 1 else 1
        conv = layers.conv(
          features if last else self.width, kernel, stride, name=f'conv{i}', dtype=self.dtype
        )
        y = activate(order.after_last if last else order.after, conv(y), self.norm, f'norm{i}')
      return squeeze_excitation.after_branch(y, self.reduction, self.dtype)

    total = stochastic_depth.residual(self, branch, x, shortcut, gates, skips=self.skips)
    return activate(order.addition, total, self.norm, 'norm_sum')

  def _shortcut(self, x: jax.Array, features: int) -> jax.Array:
    if self.shortcut == 'pad':
      return layers.pad_channels(layers.subsample(x, self.stride), features)
    x = layers.conv1x1(features, self.stride, dtype=self.dtype, name='shortcut_conv')(x)
    return self.norm(name='shortcut_norm')(x) if 'norm' in self.order.after_last else x


class PreActResNet(nn.Module):
  """The CIFAR pre-activation net of `depth` = 6n + 2 layers, or 9n + 2 with bottlenecks.

  Attributes:
    depth: number of weighted layers.
    bottleneck: whether units are bottlenecks.
    order: one of `ORDERS`.
    num_classes: size of the logits.
    shortcut: one of `SHORTCUTS`, where the shape changes.
    squeeze_excitation: the reduction of its inner layer; 0 for none.
    survival_probability: of the last block; below 1 the net has stochastic depth.
    survival_decay: one of `stochastic_depth.DECAYS`.
    dtype: of the activations.
  """

  depth: int
  bottleneck: bool = False
  order: str = 'e'
  num_classes: int = 10
  shortcut: str = 'project'
  squeeze_excitation: int = 0
  survival_probability: float = 1.0
  survival_decay: str = 'linear'
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth, an unknown order or shortcut.
    """
    layers.check_one_of('order', self.order, ORDERS)
    layers.check_one_of('shortcut', self.shortcut, SHORTCUTS)
    squeeze_excitation.check(self.squeeze_excitation, 16)
    stochastic_depth.check(self.survival_probability, self.survival_decay)
    _ = self.stage_size  # raises where the depth is impossible
    super().__post_init__()

  @property
  def stage_size(self) -> int:
    """Blocks of each of the three stages."""
    kind = 'bottleneck' if self.bottleneck else 'basic'
    layers_a_block = 3 if self.bottleneck else 2
    return layers.blocks_a_stage(f'{kind} pre-activation ResNet', self.depth, layers_a_block, 2)

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    return 3 * self.stage_size

  def draw_gates(self, batch_size: int, train: bool) -> layers.Gates | None:
    """The gates for a batch where none are given; None where all are 1."""
    del batch_size  # they share a gate
    return stochastic_depth.draw(self, train)

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
      gates = self.draw_gates(len(images), train)
    norm = layers.batch_norm(train, self.dtype)
    order = ORDERS[self.order]

    def make_block(stage: int, first: bool, name: str) -> PreActBlock:
      return PreActBlock(
        width=16 * 2**stage,
        stride=2 if stage > 0 and first else 1,
        bottleneck=self.bottleneck,
        order=order,
        first=stage == 0 and first,
        shortcut=self.shortcut,
        reduction=self.squeeze_excitation,
        norm=norm,
        skips=skips,
        dtype=self.dtype,
        name=name,
      )

    x = layers.conv3x3(16, dtype=self.dtype, name='stem_conv')(images)
    x = activate(order.after, x, norm, 'stem_norm')
    x = stages.run(make_block, x, gates, (self.stage_size,) * 3)
    x = activate(order.before, x, norm, 'final_norm')
    return layers.head(x, self.num_classes)


def from_name(
  se: str | None, depth: str, bottleneck: str | None, order: str | None, **fields: Any
) -> PreActResNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  layout: dict[str, Any] = {'squeeze_excitation': 16} if se else {}
  layout['bottleneck'] = bottleneck is not None or int(depth) in BOTTLENECK_DEPTHS
  return PreActResNet(int(depth), order=order or 'e', **(layout | fields))
