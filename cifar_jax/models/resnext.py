"""Aggregated Residual Transformations: Xie et al. 2017, arXiv 1611.05431, section 5.4.

ResNet's bottleneck with its 3x3 convolution in groups (figure 3c). On CIFAR a net has 29 layers:
three stages of three blocks that end in 256, 512 and 1024 channels; `8x64d` is 8 groups of 64
channels each in the first stage, twice as wide in each of the next.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.residual_block as residual_block
import cifar_jax.models.squeeze_excitation as squeeze_excitation
import cifar_jax.models.stages as stages
import cifar_jax.models.stochastic_depth as stochastic_depth
from cifar_jax.errors import InputError
from cifar_jax.models.published import Published

GRAMMAR = '[se_]resnext_{depth}_{cardinality}x{base_width}d, depth = 9n + 2'
PATTERN = r'(?P<se>se_)?resnext_(?P<depth>\d+)_(?P<cardinality>\d+)x(?P<base_width>\d+)d'
NAMES = (
  *('resnext_29_4x64d', 'resnext_29_8x64d', 'resnext_29_16x64d', 'resnext_29_32x4d'),
  *('se_resnext_29_8x64d', 'se_resnext_29_32x4d'),
)
PUBLISHED = {
  'resnext_29_8x64d': Published('Xie et al. 2017, table 7', 3.65, 17.77),
  'resnext_29_16x64d': Published('Xie et al. 2017, table 7', 3.58, 17.31),
}

FEATURES = 256  # channels that the blocks of the first stage end in, whatever the cardinality


class ResNeXt(nn.Module):
  """ResNeXt-`depth`, `cardinality` x `base_width`d.

  Attributes:
    depth: number of layers, 9n + 2.
    cardinality: groups of each 3x3 convolution, C.
    base_width: channels of a group in the first stage, d.
    num_classes: size of the logits.
    squeeze_excitation: the reduction of its inner layer; 0 for none.
    survival_probability: of the last block; below 1 the net has stochastic depth.
    survival_decay: one of `stochastic_depth.DECAYS`.
    dtype: of the activations.
  """

  depth: int
  cardinality: int
  base_width: int
  num_classes: int = 10
  squeeze_excitation: int = 0
  survival_probability: float = 1.0
  survival_decay: str = 'linear'
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth, cardinality or width.
    """
    _ = self.stage_size  # raises where the depth is impossible
    if self.cardinality < 1 or self.base_width < 1:
      raise InputError(
        'a ResNeXt has at least one group of one channel, '
        f'not {self.cardinality}x{self.base_width}d'
      )
    squeeze_excitation.check(self.squeeze_excitation, FEATURES)
    stochastic_depth.check(self.survival_probability, self.survival_decay)
    super().__post_init__()

  @property
  def stage_size(self) -> int:
    """Blocks of each of the three stages."""
    return layers.blocks_a_stage('ResNeXt', self.depth, layers_a_block=3, other_layers=2)

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

    def make_block(stage: int, first: bool, name: str) -> residual_block.Bottleneck:
      return residual_block.Bottleneck(
        width=self.cardinality * self.base_width * 2**stage,
        stride=2 if stage > 0 and first else 1,
        features=FEATURES * 2**stage,
        shortcut='project',
        norm=norm,
        groups=self.cardinality,
        reduction=self.squeeze_excitation,
        skips=skips,
        dtype=self.dtype,
        name=name,
      )

    x = layers.conv3x3(64, dtype=self.dtype, name='stem_conv')(images)
    x = layers.relu(norm(name='stem_norm')(x))
    x = stages.run(make_block, x, gates, (self.stage_size,) * 3)
    return layers.head(x, self.num_classes)


def from_name(
  se: str | None, depth: str, cardinality: str, base_width: str, **fields: Any
) -> ResNeXt:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  layout = {'squeeze_excitation': 16} if se else {}
  return ResNeXt(int(depth), int(cardinality), int(base_width), **(layout | fields))
