"""Going Deeper with Convolutions: Szegedy et al. 2014, arXiv 1409.4842, table 1.

Nine inception modules of four parallel branches each. Batch normalisation follows each convolution,
which therefore has no bias, instead of the paper's two local response normalisations: every net in
use today is built so. On ImageNet the branch named 5x5 has a 3x3 convolution by default, as in
TF-slim and torchvision, which published its count and weights. On CIFAR it has two 3x3,
and the stem is one 3x3 convolution, as in kuangliu/pytorch-cifar.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published


class Convs(nn.Module):
  """Convolutions one after another, each followed by BN and ReLU."""

  sizes_and_widths: tuple[tuple[int, int], ...]
  norm: layers.Norm
  dtype: layers.Dtype
  stride: int = 1  # of the first convolution

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., last width]`."""
    for i, (size, width) in enumerate(self.sizes_and_widths, start=1):
      stride = self.stride if i == 1 else 1
      x = layers.conv(width, size, stride, dtype=self.dtype, name=f'conv{i}')(x)
      x = layers.relu(self.norm(name=f'norm{i}')(x))
    return x


class Widths(NamedTuple):
  """A row of table 1: the channels of an inception module's convolutions."""

  conv1x1: int
  reduce3x3: int
  conv3x3: int
  reduce5x5: int
  conv5x5: int
  pool: int


class Inception(nn.Module):
  """Figure 2b: four parallel branches, whose channels are joined."""

  widths: Widths
  five: str  # the branch named 5x5, one of `FIVES`
  norm: layers.Norm
  dtype: layers.Dtype

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height, width, channels']`."""
    convs = functools.partial(Convs, norm=self.norm, dtype=self.dtype)
    w = self.widths
    fives = tuple((size, w.conv5x5) for size in FIVES[self.five])
    branches = (
      convs(((1, w.conv1x1),), name='branch1x1')(x),
      convs(((1, w.reduce3x3), (3, w.conv3x3)), name='branch3x3')(x),
      convs(((1, w.reduce5x5), *fives), name='branch5x5')(x),
      convs(((1, w.pool),), name='branch_pool')(layers.max_pool(x, 3, 1, (1, 1))),
    )
    return jnp.concatenate(branches, axis=-1)


class AuxiliaryClassifier(nn.Module):
  """Section 5: pooling, a 1x1 convolution, a hidden layer, 70 % dropout, a linear classifier."""

  width: int
  hidden: int
  num_classes: int
  norm: layers.Norm
  dtype: layers.Dtype

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps `[batch, height, width, channels]` to float32 logits `[batch, num_classes]`.

    The map is flattened as `[height, width, channels]`; Torch has the channels first.

    Raises:
      InputError: the map is smaller than the pooling window.
    """
    if min(x.shape[1:3]) < 5:
      raise InputError(f'an auxiliary classifier pools 5x5 pixels of a map of {x.shape[1:3]}')
    x = layers.average_pool(x, 5, stride=3)
    x = Convs(((1, self.width),), self.norm, self.dtype, name='convs')(x)
    dense = functools.partial(nn.Dense, kernel_init=layers.uniform_fan_in)
    x = layers.relu(dense(self.hidden, dtype=self.dtype, name='hidden')(x.reshape(x.shape[0], -1)))
    x = layers.dropout(x, 0.7, train)
    return dense(self.num_classes, name='head')(x.astype(jnp.float32))


class GoogLeNet(nn.Module):
  """The net of 22 layers.

  Attributes:
    imagenet: whether stem and pooling are those for images of 224 pixels instead of 32.
    five: the branch named 5x5, one of `FIVES`: `5x5` as in the paper, `3x3` as in torchvision
      (whose last max pooling is 2x2 in that case), `3x3_3x3` as in kuangliu's net.
    width: factor of all widths of table 1 but the number of classes.
    auxiliary: whether there are the two auxiliary classifiers. They are computed in training only.
      Their logits are sown as `aux1` and `aux2` in the collection `auxiliary_logits`.
    auxiliary_weight: factor of their losses in the training step (section 5).
    dropout: fraction dropped of the pooled features, in [0, 1) (table 1: 40 %).
    num_classes: number of classes.
    dtype: dtype of the activations.
  """

  imagenet: bool = False
  five: str = '3x3_3x3'
  width: float = 1.0
  auxiliary: bool = False
  auxiliary_weight: float = 0.3
  dropout: float = 0.4
  num_classes: int = 10
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics are the batch's, dropout is drawn, and auxiliary logits are
        computed.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    norm = layers.batch_norm(train, self.dtype)
    if self.imagenet:
      norm = functools.partial(norm, epsilon=1e-3)  # TF-slim's, so that its weights fit

    x = self._stem(images, norm)
    for name, widths in INCEPTIONS.items():
      if name in ('4a', '5a'):
        x = self._pool(x, last=name == '5a')
      scaled = Widths(*map(self._scaled, widths))
      x = Inception(scaled, self.five, norm, self.dtype, name=f'inception{name}')(x)
      if self.auxiliary and name in AUXILIARIES:
        self._sow_auxiliary(AUXILIARIES[name], x, norm, train)
    pooled = layers.dropout(layers.global_average(x), self.dropout, train)
    return layers.logits(pooled, self.num_classes)

  def _scaled(self, width: int) -> int:
    return max(1, round(width * self.width))

  def _stem(self, images: jax.Array, norm: layers.Norm) -> jax.Array:
    convs = functools.partial(Convs, norm=norm, dtype=self.dtype)
    narrow, wide = self._scaled(64), self._scaled(192)
    if not self.imagenet:
      return convs(((3, wide),), name='stem')(images)
    x = self._pool(convs(((7, narrow),), stride=2, name='stem1')(images))
    return self._pool(convs(((1, narrow), (3, wide)), name='stem2')(x))

  def _pool(self, x: jax.Array, *, last: bool = False) -> jax.Array:
    if not self.imagenet:
      return layers.max_pool(x, 3, 2, (1, 1))
    if last and self.five == '3x3':
      return layers.max_pool(x, 2, 2, (0, 0))
    return layers.max_pool(x, 3, 2, (0, 1))  # as in Caffe: the last window is cut off

  def _sow_auxiliary(self, index: int, x: jax.Array, norm: layers.Norm, train: bool) -> None:
    initializing = self.is_initializing()  # parameters are made whatever `train` is
    if not (train or initializing):
      return
    widths = (self._scaled(128), self._scaled(1024))
    logits = AuxiliaryClassifier(
      *widths, self.num_classes, norm, self.dtype, name=f'auxiliary{index}'
    )(x, train=train)
    if not initializing:
      self.sow('auxiliary_logits', f'aux{index}', logits)

  def __post_init__(self) -> None:
    """Raises InputError for an unknown branch, or an impossible width, weight or dropout."""
    layers.check_one_of('five', self.five, FIVES)
    if not self.width > 0.0:
      raise InputError(f'model.width is {self.width}; it must be above 0')
    if not self.auxiliary_weight >= 0.0:
      raise InputError(f'model.auxiliary_weight is {self.auxiliary_weight}; it must be at least 0')
    layers.check_fraction('dropout', self.dropout)
    super().__post_init__()

  @property
  def image_size(self) -> int:
    """Height and width, in pixels, of the images that the net is made for."""
    return 224 if self.imagenet else 32


INCEPTIONS = {  # table 1
  '3a': Widths(64, 96, 128, 16, 32, 32),
  '3b': Widths(128, 128, 192, 32, 96, 64),
  '4a': Widths(192, 96, 208, 16, 48, 64),
  '4b': Widths(160, 112, 224, 24, 64, 64),
  '4c': Widths(128, 128, 256, 24, 64, 64),
  '4d': Widths(112, 144, 288, 32, 64, 64),
  '4e': Widths(256, 160, 320, 32, 128, 128),
  '5a': Widths(256, 160, 320, 32, 128, 128),
  '5b': Widths(384, 192, 384, 48, 128, 128),
}
AUXILIARIES = {'4a': 1, '4d': 2}  # section 5: the modules that feed an auxiliary classifier
# Sizes of the convolutions in the branch named 5x5, after its reduction.
FIVES = {'5x5': (5,), '3x3': (3,), '3x3_3x3': (3, 3)}

GRAMMAR = 'googlenet, googlenet_imagenet'
PATTERN = r'googlenet(?P<imagenet>_imagenet)?'
NAMES = ('googlenet', 'googlenet_imagenet')
PUBLISHED = {
  'googlenet': Published('weiaicunzai/pytorch-cifar100, README; another stem', cifar100=21.97),
  'googlenet_imagenet': Published("torchvision's IMAGENET1K_V1 weights: 69.778 %", imagenet=30.22),
}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(imagenet: str | None, **fields: Any) -> GoogLeNet:
  """The net of a name that matches `PATTERN`: torchvision's form or kuangliu's."""
  five = '3x3_3x3' if imagenet is None else '3x3'
  return GoogLeNet(imagenet is not None, **({'five': five} | fields))
