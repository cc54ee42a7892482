"""The net of the speed runs: Jordan 2024, arXiv 2404.00498, and its code, cifar10-airbench.

A frozen 2x2 convolution whitens the patches of the training images. Three groups follow, each of
conv3x3 - max pool - norm - GELU - conv3x3 - norm - GELU, then global max pooling and a linear layer
whose logits are scaled down. Patch whitening and the unscaled norms are Page's (2018, How to train
your ResNet); the 2x2 patches and the negated copies are from hlb-CIFAR10 (tysam-code). Every
constant below is that of `legacy/airbench94.py`, where no other source is named.

The whitening kernel is a statistic of the data, not a parameter. It lies in `batch_stats`, where no
optimizer changes it and every checkpoint saves it. `SpeedNet.fit` computes it.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.families import register
from cifar_jax.models.published_errors import Published


class Whitening(nn.Module):
  """The frozen convolution, with a trained bias.

  Attributes:
    dtype: dtype of the activations.
  """

  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array) -> jax.Array:
    """Maps `[batch, height, width, channels]` to `[batch, height - 1, width - 1, 8 * channels]`."""
    channels = images.shape[-1]
    kernel = self.variable('batch_stats', 'kernel', white_patches_kernel, channels)
    features = kernel.value.shape[-1]
    bias = self.param('bias', nn.initializers.zeros, (features,), jnp.float32)
    x, weights = images.astype(self.dtype), kernel.value.astype(self.dtype)
    x = layers.convolve(x, weights, strides=(1, 1), padding='VALID')
    return x + bias.astype(self.dtype).reshape(1, 1, 1, -1)


class SpeedNet(nn.Module):
  """Seven convolutions and a linear layer.

  Attributes:
    widths: channels of the three groups.
    fit_images: number of training images, from the first on, that `fit` needs.
    num_classes: number of classes.
    dtype: dtype of the activations.
  """

  widths: tuple[int, int, int] = (64, 256, 256)
  fit_images: int = 5000
  num_classes: int = 10
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    """Classifies images.

    Args:
      images: float32 `[batch, height, width, 3]`, normalised, of at least 9 x 9 pixels.
      train: whether batch statistics are the batch's.

    Returns:
      Logits, float32 `[batch, num_classes]`.
    """
    conv = functools.partial(layers.conv3x3, dtype=self.dtype, kernel_init=partial_identity)
    norm = functools.partial(
      layers.batch_norm(train, self.dtype, NORM_MOMENTUM, NORM_EPSILON), use_scale=False
    )
    gelu = functools.partial(nn.gelu, approximate=False)
    x = gelu(Whitening(self.dtype, name='whitening')(images))
    for i, width in enumerate(self.widths, start=1):
      x = conv(width, name=f'group{i}_conv1')(x)
      x = layers.max_pool(x, 2, 2)
      x = gelu(norm(name=f'group{i}_norm1')(x))
      x = conv(width, name=f'group{i}_conv2')(x)
      x = gelu(norm(name=f'group{i}_norm2')(x))
    x = jnp.max(x, axis=(1, 2)).astype(jnp.float32)
    head = nn.Dense(
      self.num_classes, use_bias=False, kernel_init=layers.uniform_fan_in, name='head'
    )
    return LOGIT_SCALE * head(x)

  def __post_init__(self) -> None:
    """Raises InputError for groups without channels, or nothing to fit."""
    if min(self.widths) < 1:
      widths = '_'.join(map(str, self.widths))
      raise InputError(f'the widths of a speed net are {widths}; each must be at least 1')
    if self.fit_images < 1:
      raise InputError(f'model.fit_images is {self.fit_images}; it must be at least 1')
    super().__post_init__()

  def fit(self, batch_stats: Any, images: jax.Array) -> Any:
    """The statistics before the first step, with the whitening kernel of the given images.

    Args:
      batch_stats: as `init` made them, perhaps with leading axes on each leaf.
      images: float32 `[n, height, width, 3]`, of the training split, normalised.

    Returns:
      A tree like `batch_stats`.
    """
    kernel = whitening_kernel(images)
    old = batch_stats['whitening']['kernel']
    return batch_stats | {'whitening': {'kernel': jnp.broadcast_to(kernel, old.shape)}}


def whitening_kernel(images: jax.Array) -> jax.Array:
  """The convolution after which the patches of images are uncorrelated, of variance one.

  The filters are the principal axes of the patches, in falling order of their variance, each
  divided by its standard deviation. The same filters negated follow, so that a rectifier after the
  convolution loses nothing.

  Args:
    images: float32 `[n, height, width, channels]`, normalised, so that the mean is taken as zero.

  Returns:
    float32 `[PATCH, PATCH, channels, 2 * PATCH**2 * channels]`.
  """
  _, height, width, channels = images.shape
  rows, columns = height - PATCH + 1, width - PATCH + 1
  positions = [(row, column) for row in range(PATCH) for column in range(PATCH)]
  shifted = [images[:, row : row + rows, column : column + columns] for row, column in positions]
  patches = jnp.concatenate(shifted, axis=-1).reshape(-1, len(positions) * channels)
  covariance = jnp.dot(patches.T, patches, precision='highest') / len(patches)
  variances, axes = jnp.linalg.eigh(covariance)
  filters = (axes / jnp.sqrt(variances + PATCH_EPSILON))[:, ::-1]
  filters = jnp.concatenate([filters, -filters], axis=1)
  return filters.reshape(PATCH, PATCH, channels, -1)


def white_patches_kernel(channels: int) -> jax.Array:
  """`whitening_kernel` of patches that are white already: the kernel of a net that is not fitted.

  Args:
    channels: channels of the images.

  Returns:
    float32 `[PATCH, PATCH, channels, 2 * PATCH**2 * channels]`.
  """
  size = PATCH**2 * channels
  filters = jnp.eye(size, dtype=jnp.float32)
  return jnp.concatenate([filters, -filters], axis=1).reshape(PATCH, PATCH, channels, 2 * size)


def partial_identity(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
  """A kernel `[height, width, inputs, outputs]` whose first outputs are the inputs themselves.

  Where there are more outputs than inputs, the others start as in a Torch convolution. This is
  airbench's initialisation, which calls Torch's `dirac_`.
  """
  random = layers.uniform_fan_in(key, shape, dtype)
  row, column, source, target = (jax.lax.broadcasted_iota(jnp.int32, shape, i) for i in range(4))
  centre = (row == shape[0] // 2) & (column == shape[1] // 2)
  identity = (centre & (source == target)).astype(dtype)
  return jnp.where(target < shape[2], identity, random)


PATCH = 2  # pixels on each side
PATCH_EPSILON = 5e-4  # added to the variance along each principal axis
NORM_MOMENTUM, NORM_EPSILON = 0.6, 1e-12
LOGIT_SCALE = 1 / 9

GRAMMAR = 'speed_net_{width1}_{width2}_{width3}'
PATTERN = r'speed_net_(?P<widths>\d+_\d+_\d+)'
NAMES = ('speed_net_64_256_256', 'speed_net_128_384_384')
PUBLISHED = {
  # Means of 1000 and of 200 runs, over six views of each image.
  'speed_net_64_256_256': Published('cifar10-airbench, airbench94.py', cifar10=5.99),
  'speed_net_128_384_384': Published('cifar10-airbench, airbench95.py', cifar10=4.99),
}


@register(PATTERN, grammar=GRAMMAR, names=NAMES, published=PUBLISHED)
def from_name(widths: str, **fields: Any) -> SpeedNet:
  """The net of a name that matches `PATTERN`."""
  first, second, third = map(int, widths.split('_'))
  return SpeedNet((first, second, third), **fields)
