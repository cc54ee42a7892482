"""ImageNet Classification with Deep Convolutional Neural Networks: Krizhevsky et al., NIPS 2012.

Five convolutions, of which the first, second and fifth are pooled by overlapping windows of 3x3 at
stride 2 (section 3.4), and three fully connected layers. The paper's net is two towers, one a GPU,
that meet in the third convolution and in the fully connected layers (figure 2): `groups` = 2. The
one-tower net is that of 'One weird trick for parallelizing convolutional neural networks',
Krizhevsky 2014, arXiv 1404.5997, with the widths that torchvision gives it; the CIFAR net is
bearpaw/pytorch-classification's `models/cifar/alexnet.py`: that one tower with 2x2 pooling, as
an image of 32 pixels has too small maps for 3x3, and with one fully connected layer.
"""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models.layers as layers
from cifar_jax.errors import InputError
from cifar_jax.models.published import Published

HEADS = ('linear', 'mlp')  # how `classifier` ends: one layer, or 4096-4096-classes
HIDDEN_WIDTH = 4096
# Section 5: a Gaussian of deviation 0.01 in every layer.
normal_001 = nn.initializers.normal(0.01)

# The five convolutions, counted from 1, as figure 2 and section 3.5 have them.
KERNEL_SIZES = (11, 5, 3, 3, 3)  # pixels; the first has a stride of 4
WITHIN_TOWER = (2, 4, 5)  # see the maps of their own tower only
NORMALIZED = (1, 2)
POOLED = (1, 2, 5)
# Section 5: biases that start at 1 to feed the ReLUs; Caffe's replica could only train from 0.1.
POSITIVE = (2, 4, 5)


class Form(NamedTuple):
  """What the three nets differ in.

  Attributes:
    widths: channels of each convolution.
    stem_padding: of the first; 2 is torchvision's, without which the paper's images of 224 pixels
      do not give its maps of 55.
    window: side of the pooling windows, in pixels; their stride is 2.
    head: one of `HEADS`.
    image_size: height and width of the images it is made for, in pixels.
    groups: towers.
    local_response_norm: whether it has it; torchvision's has not.
    dropout: of the hidden layers, section 4.2.
    gaussian: whether it starts as section 5 says, or as Torch's layers do but with biases of zero.
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
  # The paper's own 40.7 (table 2) averages ten crops.
  'alexnet_imagenet': Published('Caffe models/bvlc_alexnet readme, a replica', imagenet=42.9),
  'alexnet_one_tower_imagenet': Published('torchvision AlexNet_Weights', imagenet=43.478),
}


def check_classifier(head: str, dropout: float) -> None:
  """Raises InputError unless `classifier` takes these."""
  if head not in HEADS:
    raise InputError(f'model.head is {head!r}; it is one of {", ".join(HEADS)}')
  if not 0.0 <= dropout < 1.0:
    raise InputError(f'model.dropout is {dropout}; it must be at least 0 and below 1')


def classifier(
  x: jax.Array,
  num_classes: int,
  *,
  head: str,
  dropout: float,
  train: bool,
  dtype: layers.Dtype,
  hidden_bias: float = 0.0,
) -> jax.Array:
  """The end of AlexNet and of VGG.

  Dropout follows each hidden layer, as in both papers; torchvision's AlexNet has it before them.
  The map is flattened as `[height, width, channels]`, Torch's as `[channels, height, width]`.

  Args:
    x: `[batch, height, width, channels]`. To be called in a compact method.
    num_classes: size of the last axis of the result.
    head: one of `HEADS`.
    dropout: fraction dropped of each hidden layer, or of the pooled features where there is none.
    train: whether dropout is drawn, from the stream `dropout`.
    dtype: of the hidden layers.
    hidden_bias: where the biases of the hidden layers start.

  Returns:
    Logits, float32 `[batch, num_classes]`.

  Raises:
    InputError: the images were so small that the map has no pixels.
  """
  if 0 in x.shape:
    raise InputError('the images are too small for this model: its last map has no pixels')
  if head == 'linear':
    # Channels are dropped whole, so that it is the pooled features that are dropped.
    x = nn.Dropout(dropout, broadcast_dims=(1, 2), deterministic=not train)(x)
    return layers.head(x, num_classes)
  dense = functools.partial(nn.Dense, kernel_init=normal_001)
  bias_init = nn.initializers.constant(hidden_bias)
  x = jnp.reshape(x, (x.shape[0], -1))
  for i in (1, 2):
    x = layers.relu(dense(HIDDEN_WIDTH, bias_init=bias_init, dtype=dtype, name=f'hidden{i}')(x))
    x = layers.dropout(x, dropout, train)
  return dense(num_classes, name='head')(x.astype(jnp.float32))


class AlexNet(nn.Module):
  """One of the three nets, which `from_name` gives their own defaults.

  Attributes:
    form: one of `FORMS`.
    num_classes: size of the logits.
    groups: 1, or 2 for the paper's towers.
    local_response_norm: whether it follows the first two convolutions.
    dropout: fraction of each hidden layer dropped, in [0, 1); of the CIFAR net's features.
    dtype: of the activations.
  """

  form: str
  num_classes: int = 10
  groups: int = 1
  local_response_norm: bool = False
  dropout: float = 0.0
  dtype: layers.Dtype = jnp.float32

  def __post_init__(self) -> None:
    """Checks the fields.

    Raises:
      InputError: an unknown form, an impossible number of groups or dropout.
    """
    if self.form not in FORMS:
      raise InputError(f'an AlexNet is one of {", ".join(FORMS)}, not {self.form!r}')
    if self.groups not in (1, 2):
      raise InputError(f'model.groups is {self.groups}; AlexNet has 1 tower or 2')
    check_classifier(FORMS[self.form].head, self.dropout)
    super().__post_init__()

  @property
  def image_size(self) -> int:
    """Height and width of the images it is made for, in pixels."""
    return FORMS[self.form].image_size

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
        kernel_init=normal_001 if form.gaussian else layers.uniform_fan_in,
        bias_init=nn.initializers.constant(1.0 if form.gaussian and i in POSITIVE else 0.0),
        dtype=self.dtype,
        name=f'conv{i}',
      )(x)
      x = layers.relu(x)
      if self.local_response_norm and i in NORMALIZED:
        x = layers.local_response_norm(x)
      if i in POOLED:
        x = nn.max_pool(x, (form.window, form.window), strides=(2, 2))
    return classifier(
      x,
      self.num_classes,
      head=form.head,
      dropout=self.dropout,
      train=train,
      dtype=self.dtype,
      hidden_bias=1.0,
    )


def from_name(form: str, **fields: Any) -> AlexNet:
  """The net of a name that matches `PATTERN`, with the fields its source gives it unless told."""
  source = FORMS[form]
  defaults = {
    'groups': source.groups,
    'local_response_norm': source.local_response_norm,
    'dropout': source.dropout,
  }
  return AlexNet(form, **(defaults | fields))
