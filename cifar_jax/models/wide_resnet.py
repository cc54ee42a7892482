"""Wide Residual Networks: Zagoruyko and Komodakis 2016, arXiv 1605.07146, table 1.

Pre-activation blocks, k times as wide. B(3, 3) is the paper's choice, 6n + 4 layers. `_b131` and
the like are the other blocks of its study (table 2), named after their convolutions; the paper
calls n blocks per stage 6n + 4 layers whatever is in them. As in the authors' `wide-resnet.lua`, a
block that changes the width activates once for both paths, dropout stands between the convolutions,
after BN and ReLU, and weights start from He's normal with fan-in.
"""

import functools
from typing import Any

import flax.linen as nn
import jax

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published

conv = functools.partial(layers.conv, kernel_init=layers.he_fan_in)


class WideBlock(layers.ResidualBlock, kw_only=True):
  """Figure 1: BN, ReLU and convolution, once per kernel, with dropout in between.

  Attributes:
    kernels: sizes of the convolutions; (3, 3) is the paper's choice.
    dropout: fraction of the activations dropped before every convolution but the first.
    train: whether dropout is drawn.
  """

  kernels: tuple[int, ...]
  dropout: float
  train: bool

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""
    shortcut, changes_width = x, x.shape[-1] != self.width
    if changes_width:  # activated once, for both paths
      x = layers.relu(self.norm(name='norm1')(x))
      shortcut = conv(self.width, 1, self.stride, dtype=self.dtype, name='shortcut_conv')(x)

    def branch(x: jax.Array) -> jax.Array:
      for i, size in enumerate(self.kernels, start=1):
        if i > 1 or not changes_width:
          x = layers.relu(self.norm(name=f'norm{i}')(x))
        if i > 1:
          x = layers.dropout(x, self.dropout, self.train)
        stride = self.stride if i == 1 else 1
        x = conv(self.width, size, stride, dtype=self.dtype, name=f'conv{i}')(x)
      return x

    return self.add_branch(shortcut, branch, x, gates)


class WideResNet(layers.ResidualNet):
  """WRN-`depth`-`widen_factor`; further attributes are those of `layers.ResidualNet`.

  Attributes:
    depth: 6n + 4, with n blocks per stage.
    widen_factor: k; the stages have 16k, 32k and 64k channels.
    kernels: sizes of a block's convolutions.
    dropout: fraction of the activations dropped inside each block, in [0, 1).
  """

  depth: int
  widen_factor: int
  kernels: tuple[int, ...] = (3, 3)
  dropout: float = 0.0

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics are the batch's, and dropout and gates are drawn.
      gates: `[blocks, 1]`, in place of those that the model draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    norm = layers.batch_norm(train, self.dtype)

    def make_block(stage: int, first: bool, **shared: Any) -> nn.Module:
      return WideBlock(
        width=16 * 2**stage * self.widen_factor,
        stride=2 if stage > 0 and first else 1,
        kernels=self.kernels,
        dropout=self.dropout,
        norm=norm,
        train=train,
        **shared,
      )

    x = conv(16, 3, dtype=self.dtype, name='stem_conv')(images)
    x = self.run_stages(make_block, x, images, train, gates)
    x = layers.relu(norm(name='final_norm')(x))
    return layers.head(x, self.num_classes)

  def __post_init__(self) -> None:
    """Raises InputError for an impossible depth, widen factor or dropout."""
    _ = self.stage_sizes  # raises where the depth is impossible
    if self.widen_factor < 1:
      raise InputError(f'the widen factor of a WRN is at least 1, not {self.widen_factor}')
    layers.check_fraction('dropout', self.dropout)
    self.check_fields(narrowest=16 * self.widen_factor)
    super().__post_init__()

  @property
  def stage_sizes(self) -> tuple[int, ...]:
    """Blocks of each of the three stages: the paper counts three projections as layers."""
    return (layers.blocks_per_stage('WRN', self.depth, layers_per_block=2, other_layers=4),) * 3


GRAMMAR = '[se_]wrn_{depth}_{widen_factor}[_b{kernels}], depth = 6n + 4 for n blocks a stage'
PATTERN = r'(?P<se>se_)?wrn_(?P<depth>\d+)_(?P<widen_factor>\d+)(?:_b(?P<kernels>[13]+))?'
NAMES = (
  *('wrn_16_1', 'wrn_16_2', 'wrn_16_4', 'wrn_16_8', 'wrn_16_10', 'wrn_16_12'),
  *('wrn_22_1', 'wrn_22_2', 'wrn_22_4', 'wrn_22_8', 'wrn_22_10', 'wrn_22_12'),
  *('wrn_28_1', 'wrn_28_2', 'wrn_28_4', 'wrn_28_8', 'wrn_28_10', 'wrn_28_12'),
  *('wrn_40_1', 'wrn_40_2', 'wrn_40_4', 'wrn_40_8', 'wrn_40_10', 'wrn_40_12'),
  *('wrn_40_2_b131', 'wrn_40_2_b31', 'wrn_40_2_b13', 'wrn_40_2_b311', 'wrn_22_2_b313'),
  *('se_wrn_16_8', 'se_wrn_28_10'),
)
# Table 4 (ZCA, no dropout) where the median of five with mean and standard deviation (table 5 and
# the authors' README) is not printed; table 2 for the blocks.
PUBLISHED = {
  'wrn_16_4': Published('Zagoruyko and Komodakis 2016, table 6', 5.02, 24.03),
  'wrn_16_8': Published('Zagoruyko and Komodakis 2016, table 5', 4.27, 20.43),
  'wrn_16_10': Published('Zagoruyko and Komodakis 2016, table 4', 4.56, 21.59),
  'wrn_22_8': Published('Zagoruyko and Komodakis 2016, table 4', 4.38, 21.22),
  'wrn_22_10': Published('Zagoruyko and Komodakis 2016, table 4', 4.44, 20.75),
  'wrn_28_10': Published('Zagoruyko and Komodakis 2016, table 5', 4.00, 19.25),
  'wrn_28_12': Published('Zagoruyko and Komodakis 2016, table 4', 4.33, 20.43),
  'wrn_40_1': Published('Zagoruyko and Komodakis 2016, table 4', 6.85, 30.89),
  'wrn_40_2': Published('Zagoruyko and Komodakis 2016, table 4', 5.33, 26.04),
  'wrn_40_4': Published('Zagoruyko and Komodakis 2016, table 5', 4.53, 21.18),
  'wrn_40_8': Published('Zagoruyko and Komodakis 2016, table 4', 4.66),
  'wrn_28_2': Published('Zagoruyko and Komodakis 2016, table 2', 5.73),
  'wrn_40_2_b131': Published('Zagoruyko and Komodakis 2016, table 2', 6.06),
  'wrn_40_2_b31': Published('Zagoruyko and Komodakis 2016, table 2', 5.78),
  'wrn_40_2_b13': Published('Zagoruyko and Komodakis 2016, table 2', 6.42),
  'wrn_40_2_b311': Published('Zagoruyko and Komodakis 2016, table 2', 5.86),
  'wrn_22_2_b313': Published('Zagoruyko and Komodakis 2016, table 2', 5.78),
}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(
  se: str | None, depth: str, widen_factor: str, kernels: str | None, **fields: Any
) -> WideResNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  fixed: dict[str, Any] = {'squeeze_excitation': 16} if se else {}
  fixed['kernels'] = tuple(map(int, kernels or '33'))
  return WideResNet(int(depth), int(widen_factor), **(fixed | fields))
