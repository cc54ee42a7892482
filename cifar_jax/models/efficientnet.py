"""EfficientNet: Tan and Le 2019, arXiv 1905.11946, table 1.

B0 is a small net of MBConv blocks. B1 to B7 scale its depth, width and resolution together. Three
details are those of the authors' code (tensorflow/tpu, models/official/efficientnet). Padding is
TensorFlow's SAME, which at stride 2 pads an even map below and to the right only; Torch ports pad
all sides. Batch normalisation has momentum 0.99 and epsilon 1e-3. Drop-connect divides a branch
that survives by its survival probability in training, so that nothing is scaled at test time
(Huang et al. 2016 do the opposite).

For CIFAR the stem has no stride, as in kuangliu/pytorch-cifar. Nor has stage 2, which is our
choice: the last map has 4x4 pixels. All weights but the head's have the ImageNet form's shapes.
"""

import functools
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published


class Block(NamedTuple):
  """The shape of an MBConv block."""

  expansion: int
  size: int  # of the depthwise kernel
  stride: int
  width: int
  has_shortcut: bool


class MBConv(nn.Module):
  """Expansion, depthwise convolution, squeeze-and-excitation, projection, then the addition."""

  block: Block
  norm: layers.Norm
  dtype: layers.Dtype

  @nn.compact
  def __call__(self, x: jax.Array, gates: layers.Gates | None) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height / stride, ..., width]`."""
    expanded = self.block.expansion * x.shape[-1]
    conv = functools.partial(layers.conv, padding='SAME', dtype=self.dtype)
    y = x
    if self.block.expansion > 1:
      y = conv(expanded, 1, name='expand_conv')(y)
      y = layers.swish(self.norm(name='expand_norm')(y))
    y = conv(
      expanded,
      self.block.size,
      self.block.stride,
      feature_group_count=expanded,
      kernel_init=layers.he_fan_in,  # equals TensorFlow's fan-out of a depthwise kernel
      name='depthwise_conv',
    )(y)
    y = layers.swish(self.norm(name='depthwise_norm')(y))
    squeezed = max(1, x.shape[-1] // 4)  # a quarter of the block's input, not of `expanded`
    y = layers.SqueezeExcitation(squeezed, layers.swish, self.dtype, name='squeeze_excitation')(y)
    y = self.norm(name='project_norm')(conv(self.block.width, 1, name='project_conv')(y))
    return layers.residual_sum(x, (y,), gates) if self.block.has_shortcut else y


class EfficientNet(nn.Module):
  """B0, scaled.

  Attributes:
    depth: factor of the number of blocks of each stage, which is rounded up.
    width: factor of each width (see `scaled_width`).
    image_size: height and width, in pixels, of the intended images; others are accepted.
    imagenet: whether all strides are table 1's; otherwise the stem and stage 2 have none.
    dropout: fraction dropped of the pooled features, in [0, 1).
    survival_probability: p; block i of n, counted from 0, survives with 1 - (1 - p) * i / n, as in
      the authors' code, so that the last block survives with more than p.
    num_classes: number of classes.
    dtype: dtype of the activations.
  """

  depth: float = 1.0
  width: float = 1.0
  image_size: int = 32
  imagenet: bool = False
  dropout: float = 0.2
  survival_probability: float = 0.8
  num_classes: int = 10
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, gates: layers.Gates | None = None
  ) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether batch statistics are the batch's, and dropout and gates are drawn.
      gates: `[blocks, 1]` or `[blocks, 1, batch]`, in place of those that the model draws.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    if gates is None:
      gates = self.draw_gates(images.shape[0], train)
    norm = layers.batch_norm(train, self.dtype, momentum=0.99, epsilon=1e-3)
    conv = functools.partial(layers.conv, padding='SAME', dtype=self.dtype)

    stride = 2 if self.imagenet else 1
    x = conv(scaled_width(32, self.width), 3, stride, name='stem_conv')(images)
    x = layers.swish(norm(name='stem_norm')(x))
    index = 0  # of the gates
    for name, block in self.blocks().items():
      block_gates = gates.of_block(index) if gates and block.has_shortcut else None
      x = MBConv(block, norm, self.dtype, name=name)(x, block_gates)
      index += block.has_shortcut
    x = conv(scaled_width(1280, self.width), 1, name='head_conv')(x)
    x = layers.swish(norm(name='head_norm')(x))
    pooled = layers.dropout(layers.global_average(x), self.dropout, train)
    return layers.logits(pooled, self.num_classes, kernel_init=uniform_fan_out)

  def __post_init__(self) -> None:
    """Raises InputError for an impossible scaling, size or probability."""
    for field in ('depth', 'width', 'image_size'):
      if not 0.0 < getattr(self, field) < math.inf:
        raise InputError(f'model.{field} is {getattr(self, field)}; it must be above 0')
    layers.check_fraction('dropout', self.dropout)
    layers.check_survival(self.survival_probability, 'linear')
    super().__post_init__()

  def blocks(self) -> dict[str, Block]:
    """The MBConv blocks by name, in order."""
    blocks: dict[str, Block] = {}
    inputs = scaled_width(32, self.width)
    for index, (expansion, size, stride, width, depth) in enumerate(STAGES, start=1):
      width = scaled_width(width, self.width)
      if index == 2 and not self.imagenet:
        stride = 1
      for position in range(1, math.ceil(depth * self.depth) + 1):
        has_shortcut = stride == 1 and inputs == width
        name = f'stage{index}_block{position}'
        blocks[name] = Block(expansion, size, stride, width, has_shortcut)
        inputs, stride = width, 1
    return blocks

  @property
  def has_shortcuts(self) -> bool:
    """Whether a block's input goes on where its branch is closed."""
    return True

  @property
  def num_blocks(self) -> int:
    """Number of blocks with a shortcut, the leading axis of `gates`; no other can be dropped."""
    return sum(block.has_shortcut for block in self.blocks().values())

  def survival(self) -> np.ndarray:
    """The survival probability of each block with a shortcut, float32 `[blocks]`."""
    blocks = self.blocks().values()
    decay = (1.0 - self.survival_probability) / len(blocks)
    survival = [1.0 - decay * i for i, block in enumerate(blocks) if block.has_shortcut]
    return np.array(survival, np.float32)

  def draw_gates(self, batch_size: int, train: bool) -> layers.Gates | None:
    """The gates of a batch where none are given; None where all are 1."""
    if not train or self.survival_probability == 1.0:
      return None
    return drop_connect_gates(self.make_rng('drop_path'), self.survival(), batch_size)


def scaled_width(width: int, factor: float) -> int:
  """`width * factor`, rounded to a multiple of 8 that is at most a tenth below the product."""
  scaled = width * factor
  rounded = max(8, int(scaled + 4) // 8 * 8)
  return rounded + 8 if rounded < 0.9 * scaled else rounded


def drop_connect_gates(key: jax.Array, survival: np.ndarray, batch_size: int) -> layers.Gates:
  """Draws the blocks that survive, for each image separately (drop-connect).

  Args:
    key: a scalar key.
    survival: probabilities, float32 `[blocks]`.
    batch_size: images in the batch.

  Returns:
    Gates whose `forward` and `backward` are float32 `[blocks, 1, batch]`, 0 or 1 / survival.
  """
  survival = survival[:, None, None]
  survived = jax.random.bernoulli(key, survival, (len(survival), 1, batch_size))
  value = survived.astype(jnp.float32) / survival
  return layers.Gates(value, value, jnp.ones(len(survival)))


# The authors' `dense_kernel_initializer`: uniform within 1 / sqrt(classes).
uniform_fan_out = layers.variance_scaling(1.0 / 3.0, 'fan_out', 'uniform')

# Table 1, one stage per row: expansion, kernel size, stride of the first block, width, blocks.
STAGES = (
  (1, 3, 1, 16, 1),
  (6, 3, 2, 24, 2),
  (6, 5, 2, 40, 2),
  (6, 3, 2, 80, 3),
  (6, 5, 1, 112, 3),
  (6, 5, 2, 192, 4),
  (6, 3, 1, 320, 1),
)


class Scaling(NamedTuple):
  """The factors of B0's depth and width, and the size of the images in pixels."""

  depth: float
  width: float
  image_size: float


# `efficientnet_params` in the authors' efficientnet_builder.py: scaling and dropout of the released
# nets. B1 to B3 are equation 3 with phi = 0.5, 1 and 2, rounded. B4 to B7 are wider, deeper and
# larger than any one phi makes them, so that the parameter counts need this table.
VARIANTS = (
  (Scaling(1.0, 1.0, 224), 0.2),
  (Scaling(1.1, 1.0, 240), 0.2),
  (Scaling(1.2, 1.1, 260), 0.3),
  (Scaling(1.4, 1.2, 300), 0.3),
  (Scaling(1.8, 1.4, 380), 0.4),
  (Scaling(2.2, 1.6, 456), 0.4),
  (Scaling(2.6, 1.8, 528), 0.5),
  (Scaling(3.1, 2.0, 600), 0.5),
)

GRAMMAR = 'efficientnet_b{0..7}, efficientnet_b{0..7}_imagenet'
PATTERN = r'efficientnet_b(?P<variant>[0-7])(?P<imagenet>_imagenet)?'
NAMES = tuple(f'efficientnet_b{i}{form}' for form in ('', '_imagenet') for i in range(8))
PUBLISHED = {
  f'efficientnet_b{i}_imagenet': Published('arXiv 1905.11946v5, table 2', imagenet=error)
  for i, error in enumerate((22.9, 20.9, 19.9, 18.4, 17.1, 16.4, 16.0, 15.7))
}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(variant: str, imagenet: str | None, **fields: Any) -> EfficientNet:
  """The net of a name that matches `PATTERN`; `fields` replace the variant's."""
  scaling, dropout = VARIANTS[int(variant)]
  defaults = scaling._replace(image_size=scaling.image_size if imagenet else 32)._asdict()
  return EfficientNet(imagenet=imagenet is not None, **(defaults | {'dropout': dropout} | fields))
