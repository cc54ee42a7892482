"""Densely Connected Convolutional Networks: Huang et al. 2017, arXiv 1608.06993.

In a dense block each layer takes what the stem or transition and all layers before it gave, side by
side, and adds k channels of its own (the growth rate): BN, ReLU, 3x3 convolution. In DenseNet-BC a
1x1 convolution to 4k channels comes before it (B) and the transitions halve the channels (C, theta
= 0.5). Orders, dropout and initialisers are those of the authors' `densenet.lua` and
`DenseConnectLayer.lua`. The stem is as wide as section 3 says, 16 or for BC 2k channels; the
released code has 2k for both.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

import cifar_jax.models.convolution as convolution
import cifar_jax.models.layers as layers
from cifar_jax.errors import InputError
from cifar_jax.models.batch_norm import Statistics, batch_statistics
from cifar_jax.models.published import Published

GRAMMAR = (
  'densenet_{depth}_{growth_rate}, depth = 3n + 4; densenet_bc_{depth}_{growth_rate}, 6n + 4'
)
PATTERN = r'densenet_(?P<bc>bc_)?(?P<depth>\d+)_(?P<growth_rate>\d+)'
NAMES = (
  *('densenet_40_12', 'densenet_100_12', 'densenet_100_24'),
  *('densenet_bc_100_12', 'densenet_bc_250_24', 'densenet_bc_190_40'),
  *('densenet_bc_40_36', 'densenet_bc_40_48', 'densenet_bc_40_60'),
)
_PAPER = functools.partial(Published, 'Huang et al. 2017, arXiv 1608.06993, table 2')
_WIDE = functools.partial(Published, "the authors' README, Wide-DenseNet")
PUBLISHED = {
  'densenet_40_12': _PAPER(5.24, 24.42),
  'densenet_100_12': _PAPER(4.10, 20.20),
  'densenet_100_24': _PAPER(3.74, 19.25),
  'densenet_bc_100_12': _PAPER(4.51, 22.27),
  'densenet_bc_250_24': _PAPER(3.62, 17.60),
  'densenet_bc_190_40': _PAPER(3.46, 17.18),
  'densenet_bc_40_36': _WIDE(4.58, 22.30),
  'densenet_bc_40_48': _WIDE(3.99, 20.29),
  'densenet_bc_40_60': _WIDE(4.01, 19.99),
}

NUM_BLOCKS = 3  # section 3: on maps of 32, 16 and 8 pixels
# What `remat` keeps of a layer: the one thing in it that is dear to compute and small to store.
_KEPT = 'convolution'


class Features(NamedTuple):
  """What the layers of a block have given so far.

  Attributes:
    maps: `[batch, height, width, channels of one]` each, side by side.
    statistics: of all channels, float32 `[channels]`; none in evaluation. Each layer normalises
      anew what all before it gave, but by the same statistics: they are taken once.
  """

  maps: tuple[jax.Array, ...]
  statistics: Statistics | None


class DenseLayer(nn.Module):
  """BN, ReLU, 3x3 convolution; in BC after BN, ReLU, 1x1 convolution. Dropout ends each."""

  growth_rate: int
  bc: bool
  dropout: float
  norm: layers.Norm
  dtype: layers.Dtype
  train: bool

  @nn.compact
  def __call__(self, features: Features) -> jax.Array:
    """The layer's own channels, `[batch, height, width, growth_rate]`."""
    # Joined in here, so that under `remat` what is kept are the parts, which the layers share.
    y, statistics = jnp.concatenate(features.maps, axis=-1), features.statistics
    if self.bc:
      y = layers.relu(self.norm(name='bottleneck_norm')(y, statistics))
      y = layers.conv1x1(4 * self.growth_rate, dtype=self.dtype, name='bottleneck_conv')(y)
      y = checkpoint_name(y, _KEPT)
      y, statistics = layers.dropout(y, self.dropout, self.train), None
    y = layers.relu(self.norm(name='norm')(y, statistics))
    y = layers.conv3x3(self.growth_rate, dtype=self.dtype, name='conv')(y)
    y = checkpoint_name(y, _KEPT)
    return layers.dropout(y, self.dropout, self.train)


class Transition(nn.Module):
  """BN, ReLU, 1x1 convolution, dropout, 2x2 average pooling."""

  bc: bool
  dropout: float
  norm: layers.Norm
  dtype: layers.Dtype
  train: bool

  @nn.compact
  def __call__(self, features: Features) -> jax.Array:
    """Gives `[batch, height / 2, width / 2, channels]`, or half the channels in BC."""
    y = jnp.concatenate(features.maps, axis=-1)
    width = y.shape[-1] // 2 if self.bc else y.shape[-1]
    y = layers.relu(self.norm(name='norm')(y, features.statistics))
    y = checkpoint_name(layers.conv1x1(width, dtype=self.dtype, name='conv')(y), _KEPT)
    y = layers.dropout(y, self.dropout, self.train)
    return layers.average_pool(y, 2)


class DenseNet(nn.Module):
  """DenseNet of `depth` = 3n + 4 layers, or DenseNet-BC of 6n + 4.

  Attributes:
    depth: number of weighted layers.
    growth_rate: channels that each layer adds, k.
    bc: whether layers have bottlenecks and transitions compress.
    num_classes: size of the logits.
    dropout: fraction dropped after each convolution but the stem's, in [0, 1); 0.2 in the paper,
      and only where the images are not augmented.
    remat: whether concatenations, norms and ReLUs are computed again in the backward pass instead
      of kept, so that memory grows linearly with depth, not with its square: Pleiss et al. 2017,
      arXiv 1707.06990. Logits and gradients are the same to rounding.
    dtype: of the activations.
  """

  depth: int
  growth_rate: int
  bc: bool = False
  num_classes: int = 10
  dropout: float = 0.0
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an impossible depth, growth rate or dropout.
    """
    step = 6 if self.bc else 3
    if self.depth < step + 4 or (self.depth - 4) % step:
      kind = 'DenseNet-BC' if self.bc else 'plain DenseNet'
      below = max(step + 4, self.depth - (self.depth - 4) % step)
      raise InputError(
        f'a {kind} has {step}n + 4 layers, not {self.depth}; the nearest are {below} and '
        f'{below + step}'
      )
    if self.growth_rate < 1:
      raise InputError(f'the growth rate of a DenseNet is at least 1, not {self.growth_rate}')
    if not 0.0 <= self.dropout < 1.0:
      raise InputError(f'model.dropout is {self.dropout}; it must be at least 0 and below 1')
    super().__post_init__()

  @property
  def num_blocks(self) -> int:
    """Number of dense blocks."""
    return NUM_BLOCKS

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics are the batch's and dropout is drawn.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    norm = layers.batch_norm(train, self.dtype)
    rest = {'dropout': self.dropout, 'norm': norm, 'dtype': self.dtype, 'train': train}
    policy = jax.checkpoint_policies.save_only_these_names(_KEPT)
    remat = functools.partial(nn.remat, policy=policy) if self.remat else lambda m: m
    dense_layer, transition = remat(DenseLayer), remat(Transition)

    width = 2 * self.growth_rate if self.bc else 16
    x = layers.conv3x3(width, dtype=self.dtype, name='stem_conv')(images)
    for stage in range(1, NUM_BLOCKS + 1):
      features = self._features(x, train)
      for layer in range(1, (self.depth - 4) // (6 if self.bc else 3) + 1):
        if self.remat:
          features = features._replace(maps=_sum_gradients_here(features.maps))
        name = f'stage{stage}_layer{layer}'
        x = dense_layer(self.growth_rate, self.bc, **rest, name=name)(features)
        features = self._side_by_side(features, self._features(x, train))
      if stage < NUM_BLOCKS:
        x = transition(self.bc, **rest, name=f'transition{stage}')(features)
    x = norm(name='final_norm')(jnp.concatenate(features.maps, axis=-1), features.statistics)
    return layers.head(layers.relu(x), self.num_classes)

  @nn.nowrap
  def _features(self, x: jax.Array, train: bool) -> Features:
    return Features((x,), batch_statistics(x) if train else None)

  @nn.nowrap
  def _side_by_side(self, features: Features, added: Features) -> Features:
    maps = features.maps + added.maps
    if not self.remat:  # Kept as one anyway, for the norm's gradient; sooner copied from two parts.
      maps = (convolution.kept(jnp.concatenate(maps, axis=-1)),)
    join = lambda *parts: jnp.concatenate(parts)  # noqa: E731
    return Features(maps, jax.tree.map(join, features.statistics, added.statistics))


@jax.custom_vjp
def _sum_gradients_here(maps: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
  """Gives back what it is given; their gradients are complete before the backward pass goes on.

  Each layer has a gradient for each of the maps. Left to itself XLA fuses their sums and takes
  them at the end, until when it holds those of all layers: the square of the depth again.
  """
  return maps


_sum_gradients_here.defvjp(
  lambda maps: (maps, None), lambda _, gradient: (jax.lax.optimization_barrier(gradient),)
)


def from_name(bc: str | None, depth: str, growth_rate: str, **fields: Any) -> DenseNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  return DenseNet(int(depth), int(growth_rate), bc is not None, **fields)
