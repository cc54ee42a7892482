"""Densely Connected Convolutional Networks: Huang et al. 2017, arXiv 1608.06993.

In a dense block each layer sees the results of all layers before it, side by side, and adds k
channels (the growth rate): BN, ReLU, 3x3 convolution. In DenseNet-BC a 1x1 convolution to 4k
channels comes first (B), and the transitions halve the channels (C, theta = 0.5). Orders, dropout
and initialisers are those of the authors' `densenet.lua` and `DenseConnectLayer.lua`. The stem is
as wide as section 3 says: 16 channels, or 2k for BC; the released code has 2k for both.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published


class DenseLayer(nn.Module):
  """BN, ReLU, 3x3 convolution; in BC after BN, ReLU, 1x1 convolution. Dropout ends each."""

  growth_rate: int
  bc: bool
  dropout: float
  norm: layers.Norm
  dtype: layers.Dtype
  train: bool

  @nn.compact
  def __call__(self, features: 'Features') -> jax.Array:
    """The layer's own channels, `[batch, height, width, growth_rate]`."""
    x, statistics = features.concatenated(), features.statistics
    if self.bc:
      x = layers.relu(self.norm(name='bottleneck_norm')(x, statistics))
      x = layers.conv1x1(4 * self.growth_rate, dtype=self.dtype, name='bottleneck_conv')(x)
      x, statistics = layers.dropout(keep_for_backward(x), self.dropout, self.train), None
    x = layers.relu(self.norm(name='norm')(x, statistics))
    x = layers.conv3x3(self.growth_rate, dtype=self.dtype, name='conv')(x)
    return layers.dropout(keep_for_backward(x), self.dropout, self.train)


class Transition(nn.Module):
  """BN, ReLU, 1x1 convolution, dropout, 2x2 average pooling."""

  bc: bool
  dropout: float
  norm: layers.Norm
  dtype: layers.Dtype
  train: bool

  @nn.compact
  def __call__(self, features: 'Features') -> jax.Array:
    """Gives `[batch, height / 2, width / 2, channels]`, or half the channels in BC."""
    x = features.concatenated()
    width = x.shape[-1] // 2 if self.bc else x.shape[-1]
    x = layers.relu(self.norm(name='norm')(x, features.statistics))
    x = keep_for_backward(layers.conv1x1(width, dtype=self.dtype, name='conv')(x))
    return layers.average_pool(layers.dropout(x, self.dropout, self.train), 2)


class DenseNet(nn.Module):
  """DenseNet of `depth` = 3n + 4 layers, or DenseNet-BC of 6n + 4.

  Attributes:
    depth: number of weighted layers.
    growth_rate: channels that each layer adds, k.
    bc: whether layers have bottlenecks and transitions compress.
    num_classes: number of classes.
    dropout: fraction dropped after each convolution but the stem's, in [0, 1). The paper uses 0.2,
      and only where the images are not augmented.
    remat: whether concatenations, norms and ReLUs are computed again in the backward pass instead
      of kept. Memory then grows linearly with depth, not with its square: Pleiss et al. 2017, arXiv
      1707.06990. Logits and gradients are the same up to rounding.
    dtype: dtype of the activations.
  """

  depth: int
  growth_rate: int
  bc: bool = False
  num_classes: int = 10
  dropout: float = 0.0
  remat: bool = False
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics are the batch's, and dropout is drawn.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    norm = layers.batch_norm(train, self.dtype)
    shared = {'dropout': self.dropout, 'norm': norm, 'dtype': self.dtype, 'train': train}
    dense_layer, transition = self._rematerialized(DenseLayer), self._rematerialized(Transition)

    stem_width = 2 * self.growth_rate if self.bc else 16
    x = layers.conv3x3(stem_width, dtype=self.dtype, name='stem_conv')(images)
    for stage in range(1, NUM_BLOCKS + 1):
      features = Features.of(x, train)
      for layer in range(1, self.layers_per_block + 1):
        name = f'stage{stage}_layer{layer}'
        x = dense_layer(self.growth_rate, self.bc, **shared, name=name)(features)
        features = features.append(Features.of(x, train), keep_apart=self.remat)
      if stage < NUM_BLOCKS:
        x = transition(self.bc, **shared, name=f'transition{stage}')(features)
    x = layers.relu(norm(name='final_norm')(features.concatenated(), features.statistics))
    return layers.head(x, self.num_classes)

  @nn.nowrap
  def _rematerialized(self, module: Any) -> Any:
    """`module` under `nn.remat`: its convolutions are kept, the rest is computed again backward."""
    policy = jax.checkpoint_policies.save_only_these_names(_KEPT)
    return nn.remat(module, policy=policy) if self.remat else module

  def __post_init__(self) -> None:
    """Raises InputError for an impossible depth, growth rate or dropout."""
    _ = self.layers_per_block  # raises where the depth is impossible
    if self.growth_rate < 1:
      raise InputError(f'the growth rate of a DenseNet is at least 1, not {self.growth_rate}')
    layers.check_fraction('dropout', self.dropout)
    super().__post_init__()

  @property
  def layers_per_block(self) -> int:
    """Number of dense layers of each dense block."""
    net, convs = ('DenseNet-BC', 2) if self.bc else ('plain DenseNet', 1)
    return layers.blocks_per_stage(net, self.depth, convs, other_layers=4, num_stages=NUM_BLOCKS)


class Features(NamedTuple):
  """The results of the layers of a dense block so far.

  Attributes:
    maps: arrays `[batch, height, width, channels]`, to be put side by side.
    statistics: of all channels, float32 `[channels]` each; None in evaluation. Each layer
      normalises all maps before it anew, but by the same statistics, which are therefore computed
      once.
  """

  maps: tuple[jax.Array, ...]
  statistics: layers.Moments | None

  @classmethod
  def of(cls, x: jax.Array, train: bool) -> 'Features':
    """The features of one map, `[batch, height, width, channels]`."""
    return cls((x,), layers.batch_statistics(x) if train else None)

  def concatenated(self) -> jax.Array:
    """All maps side by side, `[batch, height, width, all channels]`."""
    return jnp.concatenate(self.maps, axis=-1)

  def append(self, new: 'Features', *, keep_apart: bool) -> 'Features':
    """These maps and new ones.

    Args:
      new: the features of one more layer.
      keep_apart: whether the maps stay separate arrays. Under `remat` the maps are what is kept for
        the backward pass, and layers share them. Without it the concatenation is kept anyway, for
        the norm's gradient, and joining two arrays is faster than joining many.
    """
    if keep_apart:
      maps = _sum_gradients_here(self.maps + new.maps)
    else:
      maps = (layers.compute_once(jnp.concatenate(self.maps + new.maps, axis=-1)),)
    join = lambda *arrays: jnp.concatenate(arrays)  # noqa: E731
    return Features(maps, jax.tree.map(join, self.statistics, new.statistics))


# The name of what `remat` keeps of a layer: its convolutions are costly to compute and small.
_KEPT = 'convolution'


def keep_for_backward(x: jax.Array) -> jax.Array:
  """Marks an array of any shape as one that `remat` keeps."""
  return checkpoint_name(x, _KEPT)


@jax.custom_vjp
def _sum_gradients_here(maps: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
  """The identity; the backward pass completes the gradients of `maps` before it goes on.

  Each layer has a gradient for each of the maps. XLA would fuse their sums and take them at the
  end, and hold the gradients of all layers until then: the square of the depth again.
  """
  return maps


_sum_gradients_here.defvjp(
  lambda maps: (maps, None), lambda _, gradient: (jax.lax.optimization_barrier(gradient),)
)

NUM_BLOCKS = 3  # section 3: dense blocks, on maps of 32, 16 and 8 pixels

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


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(bc: str | None, depth: str, growth_rate: str, **fields: Any) -> DenseNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible depth."""
  return DenseNet(int(depth), int(growth_rate), bc is not None, **fields)
