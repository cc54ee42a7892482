"""Identity Mappings in Deep Residual Networks: He et al. 2016, arXiv 1603.05027.

Full pre-activation (figure 4e): batch normalisation and ReLU come before each convolution, and
nothing follows the addition. As the authors' `resnet-pre-act.lua` has it, the first unit and each
unit that changes the width activate once for both paths, the first convolution of a unit carries
the stride, and one more BN and ReLU follow the last addition.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.stochastic_depth as stochastic_depth
from cifar_jax.errors import InputError

GRAMMAR = 'preact_resnet{depth}, depth = 6n + 2 (basic) or 164, 1001 or 9n + 2 with _bottleneck'
PATTERN = r'preact_resnet(?P<depth>\d+)(?P<bottleneck>_bottleneck)?'
NAMES = ('preact_resnet110', 'preact_resnet164', 'preact_resnet1001')

# The paper's deep nets, which are bottlenecks without saying so (table 4).
BOTTLENECK_DEPTHS = (164, 1001)
SHORTCUTS = ('project', 'pad')  # a 1x1 convolution, or every second pixel and zero channels


class PreActBlock(nn.Module):
  """BN, ReLU, convolution: twice 3x3, or 1x1, 3x3, 1x1 with four times the width at the end."""

  width: int
  stride: int
  bottleneck: bool
  first: bool  # the unit after the stem
  shortcut: str
  norm: layers.Norm
  dtype: layers.Dtype
  skips: bool  # whether a branch with a closed gate is left uncomputed

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the unit's width and stride."""
    features = self.width * 4 if self.bottleneck else self.width
    changes = x.shape[-1] != features or self.stride != 1
    if self.first or changes:  # activated once, for both paths
      x = nn.relu(self.norm(name='norm1')(x))
    shortcut = self._shortcut(x, features) if changes else x

    def branch(_: nn.Module, x: jax.Array) -> jax.Array:
      y = x if self.first or changes else nn.relu(self.norm(name='norm1')(x))
      conv1 = layers.conv1x1 if self.bottleneck else layers.conv3x3
      y = conv1(self.width, self.stride, dtype=self.dtype, name='conv1')(y)
      y = nn.relu(self.norm(name='norm2')(y))
      y = layers.conv3x3(self.width, dtype=self.dtype, name='conv2')(y)
      if self.bottleneck:
        y = nn.relu(self.norm(name='norm3')(y))
        y = layers.conv1x1(features, dtype=self.dtype, name='conv3')(y)
      return y

    return stochastic_depth.residual(self, branch, x, shortcut, gates, skips=self.skips)

  def _shortcut(self, x: jax.Array, features: int) -> jax.Array:
    if self.shortcut == 'pad':
      return layers.pad_channels(layers.subsample(x, self.stride), features)
    return layers.conv1x1(features, self.stride, dtype=self.dtype, name='shortcut_conv')(x)


class PreActResNet(nn.Module):
  """The CIFAR pre-activation net of `depth` = 6n + 2 layers, or 9n + 2 with bottlenecks.

  Attributes:
    depth: number of weighted layers.
    bottleneck: whether units are bottlenecks.
    num_classes: size of the logits.
    shortcut: one of `SHORTCUTS`, where the shape changes.
    survival_probability: of the last block; below 1 the net has stochastic depth.
    dtype: of the activations.
  """

  depth: int
  bottleneck: bool = False
  num_classes: int = 10
  shortcut: str = 'project'
  survival_probability: float = 1.0
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth or an unknown shortcut.
    """
    layers_a_block = 9 if self.bottleneck else 6
    if self.depth < layers_a_block + 2 or (self.depth - 2) % layers_a_block:
      kind = 'bottleneck' if self.bottleneck else 'basic'
      raise InputError(
        f'a {kind} pre-activation ResNet has {layers_a_block}n + 2 layers, not {self.depth}'
      )
    if self.shortcut not in SHORTCUTS:
      raise InputError(f'model.shortcut is {self.shortcut!r}; it is one of {", ".join(SHORTCUTS)}')
    stochastic_depth.check(self.survival_probability)
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
      gates = stochastic_depth.draw(self, self.num_blocks, self.survival_probability, train)
    norm = layers.batch_norm(train, self.dtype)

    x = layers.conv3x3(16, dtype=self.dtype, name='stem_conv')(images)
    index = 0
    for stage, width in enumerate((16, 32, 64), start=1):
      for block in range(1, self.num_blocks // 3 + 1):
        x = PreActBlock(
          width=width,
          stride=2 if stage > 1 and block == 1 else 1,
          bottleneck=self.bottleneck,
          first=index == 0,
          shortcut=self.shortcut,
          norm=norm,
          dtype=self.dtype,
          skips=skips,
          name=f'stage{stage}_block{block}',
        )(x, gates and gates.of_block(index))
        index += 1
    x = nn.relu(norm(name='final_norm')(x))
    return layers.head(x, self.num_classes)


def from_name(depth: str, bottleneck: str | None, **fields: Any) -> PreActResNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  is_bottleneck = bottleneck is not None or int(depth) in BOTTLENECK_DEPTHS
  return PreActResNet(int(depth), is_bottleneck, **fields)
