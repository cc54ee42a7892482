"""Very Deep Convolutional Networks: Simonyan and Zisserman 2014, arXiv 1409.1556, table 1.

Five stages of convolutions, nearly all 3x3 and all with biases. ReLU follows each convolution, 2x2
max pooling each stage. The configurations are A (11 layers), A-LRN, B (13), C (16, the last
convolution of the later stages 1x1), D (16) and E (19). The ImageNet forms end in the paper's
4096-4096-1000. The CIFAR forms pool images of 32 pixels down to one pixel and end in one linear
layer as in kuangliu/pytorch-cifar, or in 4096-4096 as in weiaicunzai/pytorch-cifar100
(`head='mlp'`).

The paper trained the deep nets from the weights of A; its section 3.1 adds that they also train
from Glorot's random start (`initialization='xavier'`). By default this code starts from He's
(fan-out, as torchvision's `vgg.py`), which is Glorot's for ReLUs. With `_bn`, batch normalisation
stands between a convolution, which keeps its bias, and its ReLU, as in torchvision.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published


class VGG(nn.Module):
  """One of the configurations of table 1.

  Attributes:
    configuration: one of `CONFIGURATIONS`.
    batch_norm: whether each convolution is normalised.
    imagenet: whether the net is made for images of 224 pixels instead of 32.
    num_classes: number of classes.
    head: `linear`, or `mlp` for two hidden layers of 4096.
    dropout: fraction dropped of each hidden layer, in [0, 1); of the pooled features where there is
      no hidden layer.
    initialization: `he`, or `xavier` for all layers.
    dtype: dtype of the activations.
  """

  configuration: str
  batch_norm: bool = False
  imagenet: bool = False
  num_classes: int = 10
  head: str = 'linear'
  dropout: float = 0.0
  initialization: str = 'he'
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised, of at least 32 x 32 pixels.
      train: whether batch statistics are the batch's, and dropout is drawn.

    Returns:
      Logits, float32 `[batch, num_classes]`.

    Raises:
      InputError: the images are too small.
    """
    norm = layers.batch_norm(train, self.dtype)
    xavier = layers.xavier_uniform if self.initialization == 'xavier' else None
    fields: dict[str, Any] = {'kernel_init': xavier or layers.he_fan_out, 'dtype': self.dtype}
    x = images
    stages = zip(WIDTHS, CONFIGURATIONS[self.configuration], strict=True)
    for stage, (width, sizes) in enumerate(stages, start=1):
      for i, size in enumerate(sizes, start=1):
        conv = layers.conv1x1 if size == 1 else layers.conv3x3
        x = conv(width, use_bias=True, name=f'stage{stage}_conv{i}', **fields)(x)
        if self.batch_norm:
          x = norm(name=f'stage{stage}_norm{i}')(x)
        x = layers.relu(x)
      if stage == 1 and self.configuration.endswith('_lrn'):
        x = layers.local_response_norm(x)
      x = layers.max_pool(x, 2, 2)
    return layers.classifier(
      x,
      self.num_classes,
      head=self.head,
      dropout=self.dropout,
      train=train,
      dtype=self.dtype,
      kernel_init=xavier,
    )

  def __post_init__(self) -> None:
    """Raises InputError for an unknown configuration, head or start, or an impossible dropout."""
    layers.check_one_of('configuration', self.configuration, CONFIGURATIONS)
    layers.check_classifier(self.head, self.dropout)
    layers.check_one_of('initialization', self.initialization, ('he', 'xavier'))
    super().__post_init__()

  @property
  def image_size(self) -> int:
    """Height and width, in pixels, of the images that the net is made for."""
    return 224 if self.imagenet else 32


# Table 1: sizes of the kernels, stage by stage.
CONFIGURATIONS: dict[str, tuple[tuple[int, ...], ...]] = {
  '11': ((3,), (3,), (3, 3), (3, 3), (3, 3)),  # A
  '11_lrn': ((3,), (3,), (3, 3), (3, 3), (3, 3)),  # A-LRN
  '13': ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),  # B
  '16_c': ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),  # C
  '16': ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),  # D
  '19': ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),  # E
}
WIDTHS = (64, 128, 256, 512, 512)  # channels of each stage

GRAMMAR = f'vgg{{{"|".join(CONFIGURATIONS)}}}[_bn][_imagenet]'
PATTERN = (
  rf'vgg(?P<configuration>{"|".join(CONFIGURATIONS)})(?P<batch_norm>_bn)?(?P<imagenet>_imagenet)?'
)
NAMES = tuple(
  f'vgg{configuration}{batch_norm}{form}'
  for form in ('', '_imagenet')
  for batch_norm in ('', '_bn')
  for configuration in CONFIGURATIONS
)
PUBLISHED = {
  'vgg16_bn': Published('kuangliu/pytorch-cifar README', cifar10=7.36),
  'vgg19_bn': Published('bearpaw/pytorch-classification README', cifar10=6.66, cifar100=28.05),
  # The paper applies its nets to the whole image at one scale instead of to a crop.
  'vgg11_imagenet': Published('table 3, dense', imagenet=29.6),
  'vgg11_lrn_imagenet': Published('table 3, dense', imagenet=29.7),
  'vgg13_imagenet': Published('table 3, dense', imagenet=28.7),
  'vgg16_c_imagenet': Published('table 3, dense', imagenet=27.3),
  'vgg16_imagenet': Published('table 3, dense', imagenet=25.6),
  'vgg19_imagenet': Published('table 3, dense', imagenet=25.5),
  'vgg11_bn_imagenet': Published('torchvision VGG11_BN_Weights', imagenet=29.63),
  'vgg13_bn_imagenet': Published('torchvision VGG13_BN_Weights', imagenet=28.414),
  'vgg16_bn_imagenet': Published('torchvision VGG16_BN_Weights', imagenet=26.64),
  'vgg19_bn_imagenet': Published('torchvision VGG19_BN_Weights', imagenet=25.782),
}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(
  configuration: str, batch_norm: str | None, imagenet: str | None, **fields: Any
) -> VGG:
  """The net of a name that matches `PATTERN`; `fields` replace its form's head and dropout.

  The 4096-4096 head has a dropout of 0.5 (section 3.1) by default, the linear head none.
  """
  head = fields.pop('head', 'mlp' if imagenet else 'linear')
  dropout = fields.pop('dropout', 0.5 if head == 'mlp' else 0.0)
  return VGG(
    configuration,
    batch_norm is not None,
    imagenet is not None,
    head=head,
    dropout=dropout,
    **fields,
  )
