"""The shortcut of a ResNet block, and the fields that its basic and bottleneck forms share.

ResNets, plain nets, SENets, deformable nets and ResNeXt consist of these blocks.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.models import layers

# How the shortcut changes its shape where the branch does.
SHORTCUTS = (
  'pad',  # option A: every second pixel, zeros for the new channels
  'pool_pad',  # as the stochastic depth paper's code: 2x2 average pooling, then zeros
  'project',  # option B: a 1x1 convolution and batch normalisation
  'project_all',  # option C: a projection at every block
  'none',  # the plain nets
)


class ResNetBlock(layers.ResidualBlock, kw_only=True):
  """The fields of a block of He et al. 2015, and its shortcut.

  Attributes:
    features: channels that the block ends in.
    shortcut: one of `SHORTCUTS`.
    groups: groups of the 3x3 convolution (ResNeXt).
    conv3x3: makes the 3x3 convolutions.
    conv1x1: makes the 1x1 convolutions.
  """

  features: int
  shortcut: str
  groups: int = 1
  conv3x3: Callable[..., nn.Module] = layers.conv3x3
  conv1x1: Callable[..., nn.Module] = layers.conv1x1

  @nn.nowrap
  def make_shortcut(self, x: jax.Array) -> jax.Array:
    """The shortcut of `[batch, height, width, channels]`. To be called in a compact method."""
    same = x.shape[-1] == self.features and self.stride == 1
    if self.shortcut == 'none':
      shape = layers.subsample(x, self.stride).shape
      return jnp.zeros((*shape[:-1], self.features), x.dtype)
    if self.shortcut == 'project_all' or (self.shortcut == 'project' and not same):
      x = self.conv1x1(self.features, self.stride, dtype=self.dtype, name='shortcut_conv')(x)
      return self.norm(name='shortcut_norm')(x)
    shrink = layers.average_pool if self.shortcut == 'pool_pad' else layers.subsample
    return x if same else layers.pad_channels(shrink(x, self.stride), self.features)
