"""The blocks of He et al. 2015, arXiv 1512.03385, figure 5: shortcut + branch, then ReLU.

ResNets, plain nets, SENets and deformable nets consist of them; with groups, ResNeXt; and the
bottleneck's branch, without its shortcut, is what Shake-Shake's ResNeXt mixes.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
import cifar_jax.models.squeeze_excitation as squeeze_excitation
import cifar_jax.models.stochastic_depth as stochastic_depth

# How the shortcut changes its shape where the branch does.
SHORTCUTS = (
  'pad',  # option A: every second pixel, zeros for the new channels
  'pool_pad',  # as the stochastic depth paper's code: 2x2 average pooling, then zeros
  'project',  # option B: a 1x1 convolution and batch normalisation
  'project_all',  # option C: so at every block
  'none',  # the plain nets
)


class Block(nn.Module):
  """What the basic block and the bottleneck share: shortcut + branch, then ReLU (figure 2).

  Attributes:
    width: channels inside the branch.
    stride: of the branch's 3x3 convolution (its first, where there are two).
    groups: of that convolution (ResNeXt).
    features: channels that the block ends in.
    shortcut: one of `SHORTCUTS`.
    reduction: of squeeze-and-excitation; 0 for none.
    norm: makes the batch normalisations.
    skips: whether a branch with a closed gate is left uncomputed.
    conv3x3: makes the branch's 3x3 convolutions.
    dtype: of the activations.
  """

  width: int
  stride: int
  features: int
  shortcut: str
  norm: layers.Norm
  groups: int = 1
  reduction: int = 0
  skips: bool = False
  conv3x3: Callable[..., nn.Module] = layers.conv3x3
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[..., height / stride, ..., self.features]`."""

    def branch(block: 'Block', x: jax.Array) -> jax.Array:
      # Of the block that is handed in: inside a conditional that is not `self`, whose statistics
      # would silently not move.
      y = block.branch(x)
      return squeeze_excitation.after_branch(y, self.reduction, self.dtype)

    shortcut = self._shortcut(x)
    x = stochastic_depth.residual(self, branch, x, shortcut, gates, skips=self.skips)
    return layers.relu(x)

  def branch(self, x: jax.Array) -> jax.Array:
    """The convolutions: `[batch, height, width, channels]` to what is added to the shortcut."""
    raise NotImplementedError

  def _shortcut(self, x: jax.Array) -> jax.Array:
    if self.shortcut == 'none':
      shape = jax.eval_shape(lambda x: layers.subsample(x, self.stride), x).shape
      return jnp.zeros((*shape[:-1], self.features), x.dtype)
    same = x.shape[-1] == self.features and self.stride == 1
    if self.shortcut == 'project_all' or (self.shortcut == 'project' and not same):
      x = layers.conv1x1(self.features, self.stride, dtype=self.dtype, name='shortcut_conv')(x)
      return self.norm(name='shortcut_norm')(x)
    smaller = layers.average_pool if self.shortcut == 'pool_pad' else layers.subsample
    return x if same else layers.pad_channels(smaller(x, self.stride), self.features)


class Basic(Block):
  """Figure 5, left: two 3x3 convolutions."""

  def branch(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the block's stride and features."""
    y = self.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv1')(x)
    y = layers.relu(self.norm(name='norm1')(y))
    y = self.conv3x3(self.features, dtype=self.dtype, name='conv2')(y)
    return self.norm(name='norm2')(y)


class Bottleneck(Block):
  """Figure 5, right: 1x1, 3x3 and 1x1."""

  def branch(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the block's stride and features."""
    conv2 = functools.partial(self.conv3x3, feature_group_count=self.groups)
    return bottleneck(x, self.width, self.stride, self.features, conv2, self.norm, self.dtype)


def bottleneck(
  x: jax.Array,
  width: int,
  stride: int,
  features: int,
  conv3x3: Callable[..., nn.Module],
  norm: layers.Norm,
  dtype: layers.Dtype,
) -> jax.Array:
  """The branch of a bottleneck. To be called in a compact method.

  The 3x3 convolution carries the stride, as in the code of the same group that the later papers
  build on (fb.resnet.torch); the paper's own has it on the first 1x1.

  Args:
    x: `[batch, height, width, channels]`.
    width: channels inside.
    stride: of the 3x3 convolution.
    features: channels of the result.
    conv3x3: makes that convolution, in groups or not.
    norm: makes the batch normalisations.
    dtype: of the activations.

  Returns:
    `[batch, height / stride, width / stride, features]`.
  """
  y = layers.conv1x1(width, dtype=dtype, name='conv1')(x)
  y = layers.relu(norm(name='norm1')(y))
  y = conv3x3(width, stride, dtype=dtype, name='conv2')(y)
  y = layers.relu(norm(name='norm2')(y))
  y = layers.conv1x1(features, dtype=dtype, name='conv3')(y)
  return norm(name='norm3')(y)
