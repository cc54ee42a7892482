"""Deep Residual Learning for Image Recognition: He et al. 2015, arXiv 1512.03385.

On CIFAR (section 4.2): a 3x3 convolution, three stages of n blocks with 16, 32 and 64 channels on
maps of 32, 16 and 8 pixels, global average pooling, a linear classifier: 6n + 2 layers of basic
blocks, 9n + 2 of bottlenecks. On ImageNet (table 1): a 7x7 stem and four stages from 64 channels.
The plain nets are the same without their shortcuts. `se_` puts squeeze-and-excitation (Hu et al.
2018, arXiv 1709.01507) at the end of each branch.
"""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published
from cifar_jax.models.resnet_blocks import SHORTCUTS, ResNetBlock


class BasicBlock(ResNetBlock):
  """Figure 5, left: two 3x3 convolutions, the shortcut, then ReLU."""

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the block's stride and features."""

    def branch(x: jax.Array) -> jax.Array:
      x = self.conv3x3(self.width, self.stride, dtype=self.dtype, name='conv1')(x)
      x = layers.relu(self.norm(name='norm1')(x))
      x = self.conv3x3(self.features, dtype=self.dtype, name='conv2')(x)
      return self.norm(name='norm2')(x)

    return layers.relu(self.add_branch(self.make_shortcut(x), branch, x, gates))


class BottleneckBlock(ResNetBlock):
  """Figure 5, right: 1x1, 3x3 and 1x1, the shortcut, then ReLU.

  The 3x3 convolution carries the stride, as in the code of the same group that the later papers
  build on (fb.resnet.torch); in the paper's own code it is the first 1x1. With groups it is
  ResNeXt's block.
  """

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to the block's stride and features."""

    def branch(x: jax.Array) -> jax.Array:
      x = self.conv1x1(self.width, dtype=self.dtype, name='conv1')(x)
      x = layers.relu(self.norm(name='norm1')(x))
      x = self.conv3x3(
        self.width, self.stride, feature_group_count=self.groups, dtype=self.dtype, name='conv2'
      )(x)
      x = layers.relu(self.norm(name='norm2')(x))
      x = self.conv1x1(self.features, dtype=self.dtype, name='conv3')(x)
      return self.norm(name='norm3')(x)

    return layers.relu(self.add_branch(self.make_shortcut(x), branch, x, gates))


class ResNet(layers.ResidualNet):
  """A residual or plain net; further attributes are those of `layers.ResidualNet`.

  Attributes:
    stage_sizes: number of blocks of each stage.
    base_width: width of the first stage; it doubles from one stage to the next.
    bottleneck: whether blocks are bottlenecks.
    stem: `cifar` (3x3), `imagenet` (7x7 with stride 2, then 3x3 max pooling with stride 2) or
      `homework` (7x7 with stride 2, padding 5 and a bias, then 2x2 max pooling).
    hidden_features: width of a linear layer between pooling and classifier; 0 for none.
    shortcut: one of `resnet_blocks.SHORTCUTS`.
    norm: whether the convolutions are normalised.
    initialization: of the convolutions, one of `INITIALIZATIONS`.
  """

  stage_sizes: tuple[int, ...]
  base_width: int = 16
  bottleneck: bool = False
  stem: str = 'cifar'
  hidden_features: int = 0
  shortcut: str = 'pad'
  norm: bool = True
  initialization: str = 'he'

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
    norm: layers.Norm = layers.batch_norm(train, self.dtype) if self.norm else layers.NoNorm
    block = BottleneckBlock if self.bottleneck else BasicBlock

    def make_block(stage: int, first: bool, **shared: Any) -> nn.Module:
      width = self.base_width * 2**stage
      return block(
        width=width,
        stride=2 if stage > 0 and first else 1,
        features=width * EXPANSION if self.bottleneck else width,
        shortcut=self.shortcut,
        conv3x3=self.conv3x3_of_stage(stage),
        conv1x1=functools.partial(layers.conv1x1, kernel_init=self.kernel_init),
        norm=norm,
        **shared,
      )

    x = self._stem(images, norm)
    x = self.run_stages(make_block, x, images, train, gates)
    return layers.head(x, self.num_classes, self.hidden_features)

  def _stem(self, images: jax.Array, norm: layers.Norm) -> jax.Array:
    size, stride = (3, 1) if self.stem == 'cifar' else (7, 2)
    fields: dict[str, Any] = {'kernel_init': self.kernel_init, 'dtype': self.dtype}
    if self.stem == 'homework':
      fields |= {'padding': ((5, 5), (5, 5)), 'use_bias': True}
    conv = layers.conv(self.base_width, size, stride, name='stem_conv', **fields)
    x = layers.relu(norm(name='stem_norm')(conv(images)))
    if self.stem == 'imagenet':
      return layers.max_pool(x, 3, 2, (1, 1))
    return layers.max_pool(x, 2, 2) if self.stem == 'homework' else x

  @nn.nowrap
  def conv3x3_of_stage(self, stage: int) -> Callable[..., nn.Module]:
    """What makes the branches' 3x3 convolutions in `stage`, from 0; subclasses may replace it."""
    del stage
    return functools.partial(layers.conv3x3, kernel_init=self.kernel_init)

  @property
  def kernel_init(self) -> nn.initializers.Initializer:
    """The initialiser of the convolutions."""
    return INITIALIZATIONS[self.initialization]

  def __post_init__(self) -> None:
    """Raises InputError for unknown or impossible fields."""
    layers.check_one_of('shortcut', self.shortcut, SHORTCUTS)
    layers.check_one_of('stem', self.stem, tuple(IMAGE_SIZES))
    layers.check_one_of('initialization', self.initialization, tuple(INITIALIZATIONS))
    self.check_fields(narrowest=self.base_width * (EXPANSION if self.bottleneck else 1))
    if not self.has_shortcuts and self.survival_probability < 1:
      raise InputError('a plain net has no branches to drop: model.survival_probability must be 1')
    super().__post_init__()

  @property
  def image_size(self) -> int:
    """Height and width, in pixels, of the images that the stem is made for."""
    return IMAGE_SIZES[self.stem]

  @property
  def has_shortcuts(self) -> bool:
    """False for the plain nets."""
    return self.shortcut != 'none'


# Table 1: blocks of each of the four stages, and whether they are bottlenecks.
IMAGENET_NETS = {
  18: ((2, 2, 2, 2), False),
  34: ((3, 4, 6, 3), False),
  50: ((3, 4, 6, 3), True),
  101: ((3, 4, 23, 3), True),
  152: ((3, 8, 36, 3), True),
}
# He et al. 2016, arXiv 1603.05027, table 4: CIFAR nets whose names do not say that they are
# bottlenecks.
BOTTLENECK_DEPTHS = (164, 1001)
EXPANSION = 4  # table 1: a bottleneck ends in four times its width
IMAGE_SIZES = {'cifar': 32, 'imagenet': 224, 'homework': 128}  # pixels, by stem
# He et al. 2015 take He's; Torch's convolutions start uniform within 1 / sqrt(fan-in).
INITIALIZATIONS = {'he': layers.he_fan_out, 'torch': layers.uniform_fan_in}

GRAMMAR = (
  '[se_]resnet{depth} or plain{depth}: depth = 6n + 2; 9n + 2 with _bottleneck, as are 164 and '
  '1001; or 18, 34, 50, 101, 152, also with _imagenet; [_stochastic_depth]'
)
PATTERN = (
  r'(?P<se>se_)?(?P<kind>resnet|plain)(?P<depth>\d+)'
  r'(?P<form>_bottleneck|_imagenet|_homework)?(?P<stochastic>_stochastic_depth)?'
)
NAMES = (
  *('plain20', 'plain32', 'plain44', 'plain56', 'plain18', 'plain34'),
  *('plain18_imagenet', 'plain34_imagenet'),
  *('resnet20', 'resnet32', 'resnet44', 'resnet56', 'resnet110', 'resnet1202'),
  *('resnet164', 'resnet1001'),
  *('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'),
  *(f'resnet{depth}_imagenet' for depth in (18, 34, 50, 101, 152)),
  'resnet34_homework',
  *('resnet110_stochastic_depth', 'resnet1202_stochastic_depth'),
  *('se_resnet20', 'se_resnet110'),
)
_STOCHASTIC_DEPTH = 'Huang et al. 2017, arXiv 1608.06993, table 2'
PUBLISHED = {
  **{
    f'resnet{depth}': Published('He et al. 2015, table 6', cifar10=error)
    for depth, error in ((20, 8.75), (32, 7.51), (44, 7.17), (56, 6.97), (1202, 7.93))
  },
  'resnet110': Published('He et al. 2015, table 6, best of 5 runs, whose mean is 6.61', 6.43),
  'resnet164': Published('He et al. 2016, arXiv 1603.05027, tables 2 and 4', 5.93, 25.16),
  'resnet1001': Published('He et al. 2016, arXiv 1603.05027, table 4', 7.61, 27.82),
  'resnet110_stochastic_depth': Published(_STOCHASTIC_DEPTH, 5.23, 24.58),
  'resnet1202_stochastic_depth': Published(_STOCHASTIC_DEPTH, 4.91),
  'resnet18': Published('DeVries and Taylor 2017, arXiv 1708.04552, README', 4.72, 22.46),
}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(
  se: str | None, kind: str, depth: str, form: str | None, stochastic: str | None, **fields: Any
) -> ResNet:
  """The net of a name that matches `PATTERN`; raises InputError for an impossible one."""
  fixed = fields_of_depth(int(depth), form)
  if kind == 'plain':
    if se or stochastic:
      raise InputError('a plain net has no branches: its name takes no se_ or _stochastic_depth')
    fixed['shortcut'] = 'none'
  if se:
    # With projections, as the published counts of these nets have them (imgclsmob).
    fixed |= {'squeeze_excitation': 16, 'shortcut': 'project'}
  if stochastic:  # section 4 of the stochastic depth paper, and its code's shortcut
    fixed |= {'survival_probability': 0.5, 'shortcut': 'pool_pad'}
  return ResNet(**(fixed | fields))


def fields_of_depth(depth: int, form: str | None = None) -> dict[str, Any]:
  """The fields that follow from a net's depth and form; raises InputError for impossible ones."""
  if depth in IMAGENET_NETS and form != '_bottleneck':
    sizes, bottleneck = IMAGENET_NETS[depth]
    fixed = {'stage_sizes': sizes, 'base_width': 64, 'bottleneck': bottleneck}
    fixed |= {'shortcut': 'project', 'stem': (form or '_cifar').removeprefix('_')}
    return fixed | ({'hidden_features': 128} if form == '_homework' else {})
  if form in ('_imagenet', '_homework'):
    known = ', '.join(map(str, IMAGENET_NETS))
    raise InputError(f'an ImageNet ResNet has one of {known} layers, not {depth}')
  bottleneck = form == '_bottleneck' or depth in BOTTLENECK_DEPTHS
  stage_size = layers.blocks_per_stage(
    'CIFAR ResNet', depth, layers_per_block=3 if bottleneck else 2, other_layers=2
  )
  shortcut = 'project' if bottleneck else 'pad'
  return {'stage_sizes': (stage_size,) * 3, 'bottleneck': bottleneck, 'shortcut': shortcut}
