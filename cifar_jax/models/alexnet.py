"""ImageNet Classification with Deep Convolutional Neural Networks: Krizhevsky et al., NIPS 2012.

Five convolutions and three fully connected layers. Overlapping 3x3 windows at stride 2 pool the
first, second and fifth convolution (section 3.4). The paper's net is two towers, one per GPU, which
meet in the third convolution and in the fully connected layers (figure 2): `groups` = 2.

The net with one tower is that of 'One weird trick for parallelizing convolutional neural networks',
Krizhevsky 2014, arXiv 1404.5997, with torchvision's widths. The CIFAR net is
bearpaw/pytorch-classification's `models/cifar/alexnet.py`: the same tower with one fully connected
layer and 2x2 pooling, because the maps of an image of 32 pixels are too small for 3x3.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published


class AlexNet(nn.Module):
  """One of the three nets of `FORMS`; `from_name` gives each its source's fields.

  Attributes:
    form: one of `FORMS`.
    num_classes: number of classes.
    groups: 1, or 2 for the paper's towers.
    local_response_norm: whether it follows the first two convolutions.
    dropout: fraction dropped of each hidden layer, in [0, 1); in the CIFAR net, which has none, of
      the pooled features.
    dtype: dtype of the activations.
  """

  form: str
  num_classes: int = 10
  groups: int = 1
  local_response_norm: bool = False
  dropout: float = 0.0
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised.
      train: whether dropout is drawn.

    Returns:
      Logits, float32 `[batch, num_classes]`.

    Raises:
      InputError: the images are too small.
    """
    form = FORMS[self.form]
    x = images
    for i, (width, size) in enumerate(zip(form.widths, KERNEL_SIZES, strict=True), start=1):
      padding = form.stem_padding if i == 1 else size // 2
      x = layers.conv(
        width,
        size,
        stride=4 if i == 1 else 1,
        padding=((padding, padding),) * 2,
        use_bias=True,
        feature_group_count=self.groups if i in WITHIN_TOWER else 1,
        kernel_init=layers.normal_001 if form.gaussian else layers.uniform_fan_in,
        bias_init=nn.initializers.constant(1.0 if form.gaussian and i in POSITIVE else 0.0),
        dtype=self.dtype,
        name=f'conv{i}',
      )(x)
      x = layers.relu(x)
      if self.local_response_norm and i in NORMALIZED:
        x = layers.local_response_norm(x)
      if i in POOLED:
        x = layers.max_pool(x, form.window, 2)
    return layers.classifier(
      x,
      self.num_classes,
      head=form.head,
      dropout=self.dropout,
      train=train,
      dtype=self.dtype,
      hidden_bias=1.0,
    )

  def __post_init__(self) -> None:
    """Raises InputError for an unknown form, or an impossible number of groups or dropout."""
    layers.check_one_of('form', self.form, FORMS)
    if self.groups not in (1, 2):
      raise InputError(f'model.groups is {self.groups}; AlexNet has 1 tower or 2')
    layers.check_classifier(FORMS[self.form].head, self.dropout)
    super().__post_init__()

  @property
  def image_size(self) -> int:
    """Height and width, in pixels, of the images that the net is made for."""
    return FORMS[self.form].image_size


# The five convolutions, counted from 1: figure 2 and section 3.5.
KERNEL_SIZES = (11, 5, 3, 3, 3)  # pixels; the first has stride 4
WITHIN_TOWER = (2, 4, 5)  # convolutions that see the maps of their tower only
NORMALIZED = (1, 2)
POOLED = (1, 2, 5)
# Section 5: biases that start at 1 to feed the ReLUs. Caffe's replica trained only from 0.1.
POSITIVE = (2, 4, 5)


class Form(NamedTuple):
  """What the three nets differ in.

  Attributes:
    widths: channels of each convolution.
    stem_padding: padding of the first convolution; 2 is torchvision's, without which the paper's
      images of 224 pixels do not give its maps of 55.
    window: side of the pooling windows, in pixels; their stride is 2.
    head: one of `heads.HEADS`.
    image_size: height and width, in pixels, of the images that the net is made for.
    groups: number of towers.
    local_response_norm: whether the net has it; torchvision's has not.
    dropout: dropout of the hidden layers, section 4.2.
    gaussian: whether weights start as section 5 says, instead of as Torch's layers do but with
      biases of zero.
  """

  widths: tuple[int, ...]
  stem_padding: int
  window: int
  head: str
  image_size: int
  groups: int
  local_response_norm: bool
  dropout: float
  gaussian: bool


ONE_TOWER = Form(
  widths=(64, 192, 384, 256, 256),
  stem_padding=2,
  window=3,
  head='mlp',
  image_size=224,
  groups=1,
  local_response_norm=False,
  dropout=0.5,
  gaussian=True,
)
FORMS = {
  'alexnet': ONE_TOWER._replace(
    stem_padding=5, window=2, head='linear', image_size=32, dropout=0.0, gaussian=False
  ),
  'alexnet_imagenet': ONE_TOWER._replace(
    widths=(96, 256, 384, 384, 256), groups=2, local_response_norm=True
  ),
  'alexnet_one_tower_imagenet': ONE_TOWER,
}

GRAMMAR = ', '.join(FORMS)
PATTERN = rf'(?P<form>{"|".join(FORMS)})'
NAMES = tuple(FORMS)
PUBLISHED = {
  'alexnet': Published('bearpaw/pytorch-classification README', cifar10=22.78, cifar100=56.13),
  # The paper's own figure, 40.7 (table 2), averages ten crops.
  'alexnet_imagenet': Published('Caffe models/bvlc_alexnet readme, a replica', imagenet=42.9),
  'alexnet_one_tower_imagenet': Published('torchvision AlexNet_Weights', imagenet=43.478),
}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(form: str, **fields: Any) -> AlexNet:
  """The net of a name that matches `PATTERN`; `fields` replace those of its source."""
  source = FORMS[form]
  defaults = {
    'groups': source.groups,
    'local_response_norm': source.local_response_norm,
    'dropout': source.dropout,
  }
  return AlexNet(form, **(defaults | fields))
