"""Aggregated Residual Transformations: Xie et al. 2017, arXiv 1611.05431, section 5.4.

ResNet's bottleneck with its 3x3 convolution in groups (figure 3c). On CIFAR a net has 29 layers:
three stages of three blocks that end in 256, 512 and 1024 channels. `8x64d` means 8 groups of 64
channels each in the first stage, twice as wide in each of the next.
"""

from typing import Any

import flax.linen as nn
import jax

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published
from cifar_jax.models.resnet import BottleneckBlock


class ResNeXt(layers.ResidualNet):
  """ResNeXt-`depth`, `cardinality` x `base_width`d.

  Further attributes are those of `layers.ResidualNet`.

  Attributes:
    depth: number of layers, 9n + 2.
    cardinality: groups of each 3x3 convolution, C.
    base_width: channels of a group in the first stage, d.
  """

  depth: int
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
      gates: `[blocks, 1]`, in place of those that the model draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    norm = layers.batch_norm(train, self.dtype)

    def make_block(stage: int, first: bool, **shared: Any) -> nn.Module:
      return BottleneckBlock(
        width=self.cardinality * self.base_width * 2**stage,
        stride=2 if stage > 0 and first else 1,
        features=FEATURES * 2**stage,
        shortcut='project',
        groups=self.cardinality,
        norm=norm,
        **shared,
      )

    x = layers.conv3x3(64, dtype=self.dtype, name='stem_conv')(images)
    x = layers.relu(norm(name='stem_norm')(x))
    x = self.run_stages(make_block, x, images, train, gates)
    return layers.head(x, self.num_classes)

  def __post_init__(self) -> None:
    """Raises InputError for an impossible depth, cardinality or width."""
    _ = self.stage_sizes  # raises where the depth is impossible
    if self.cardinality < 1 or self.base_width < 1:
      raise InputError(
        'a ResNeXt has at least one group of one channel, '
        f'not {self.cardinality}x{self.base_width}d'
      )
    self.check_fields(narrowest=FEATURES)
    super().__post_init__()

  @property
  def stage_sizes(self) -> tuple[int, ...]:
    """Blocks of each of the three stages."""
    return (layers.blocks_per_stage('ResNeXt', self.depth, layers_per_block=3, other_layers=2),) * 3


FEATURES = 256  # channels that the blocks of the first stage end in, whatever the cardinality

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


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(
  se: str | None, depth: str, cardinality: str, base_width: str, **fields: Any
) -> ResNeXt:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  fixed = {'squeeze_excitation': 16} if se else {}
  return ResNeXt(int(depth), int(cardinality), int(base_width), **(fixed | fields))
