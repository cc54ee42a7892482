"""Deep Residual Learning for Image Recognition: He et al. 2015, arXiv 1512.03385, section 4.2.

The CIFAR nets: a 3x3 convolution, three stages of n basic blocks with 16, 32 and 64 channels on
maps of 32, 16 and 8 pixels, global average pooling, a linear classifier: 6n + 2 layers. Shortcuts
are option A, the paper's choice on CIFAR, unless told otherwise.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.stochastic_depth as stochastic_depth
from cifar_jax.errors import InputError

GRAMMAR = 'resnet{depth}, depth = 6n + 2'
PATTERN = r'resnet(?P<depth>\d+)'
NAMES = ('resnet20', 'resnet32', 'resnet44', 'resnet56', 'resnet110', 'resnet1202')

# How the shortcut changes its shape where the branch does.
SHORTCUTS = (
  'pad',  # option A: every second pixel, zeros for the new channels
  'pool_pad',  # as the stochastic depth paper's code: 2x2 average pooling, then zeros
  'project',  # option B: a 1x1 convolution and batch normalisation
)


class BasicBlock(nn.Module):
  """Figure 2: two 3x3 convolutions and the shortcut, added, then ReLU."""

  width: int
  stride: int
  shortcut: str
  norm: layers.Norm
  dtype: layers.Dtype
  skips: bool  # whether a branch with a closed gate is left uncomputed
  conv3x3: Callable[..., nn.Module] = layers.conv3x3

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., self.width]`."""

    def branch(_: nn.Module, x: jax.Array) -> jax.Array:
      y = self.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv1')(x)
      y = nn.relu(self.norm(name='norm1')(y))
      y = self.conv3x3(self.width, dtype=self.dtype, name='conv2')(y)
      return self.norm(name='norm2')(y)

    total = stochastic_depth.residual(self, branch, x, self._shortcut(x), gates, skips=self.skips)
    return nn.relu(total)

  def _shortcut(self, x: jax.Array) -> jax.Array:
    if x.shape[-1] == self.width and self.stride == 1:
      return x
    if self.shortcut == 'project':
      x = layers.conv1x1(self.width, self.stride, dtype=self.dtype, name='shortcut_conv')(x)
      return self.norm(name='shortcut_norm')(x)
    smaller = layers.average_pool if self.shortcut == 'pool_pad' else layers.subsample
    return layers.pad_channels(smaller(x, self.stride), self.width)


class ResNet(nn.Module):
  """The CIFAR residual net of `depth` = 6n + 2 layers.

  Attributes:
    depth: number of weighted layers.
    num_classes: size of the logits.
    shortcut: one of `SHORTCUTS`.
    survival_probability: of the last block; below 1 the net has stochastic depth.
    dtype: of the activations.
  """

  depth: int
  num_classes: int = 10
  shortcut: str = 'pad'
  survival_probability: float = 1.0
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth or an unknown shortcut.
    """
    if self.depth < 8 or (self.depth - 2) % 6:
      raise InputError(f'a CIFAR ResNet has 6n + 2 layers (8, 14, 20, ...), not {self.depth}')
    if self.shortcut not in SHORTCUTS:
      raise InputError(f'model.shortcut is {self.shortcut!r}; it is one of {", ".join(SHORTCUTS)}')
    stochastic_depth.check(self.survival_probability)
    super().__post_init__()

  @property
  def num_blocks(self) -> int:
    """Number of residual blocks, the leading axis of `gates`."""
    return (self.depth - 2) // 2

  def conv3x3_of(self, stage: int) -> Callable[..., nn.Module]:
    """What makes the branches' convolutions in `stage`, 1 to 3; for subclasses to replace."""
    del stage
    return layers.conv3x3

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
    x = nn.relu(norm(name='stem_norm')(x))
    index = 0
    for stage, width in enumerate((16, 32, 64), start=1):
      for block in range(1, self.num_blocks // 3 + 1):
        stride = 2 if stage > 1 and block == 1 else 1
        x = BasicBlock(
          width,
          stride,
          self.shortcut,
          norm,
          self.dtype,
          skips,
          self.conv3x3_of(stage),
          name=f'stage{stage}_block{block}',
        )(x, gates and gates.of_block(index))
        index += 1
    return layers.head(x, self.num_classes)


def from_name(depth: str, **fields: Any) -> ResNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  return ResNet(int(depth), **fields)
