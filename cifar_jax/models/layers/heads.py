"""The ends of the nets: from the last map to the logits, in float32 for the loss."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.models.layers.activations import dropout as drop
from cifar_jax.models.layers.activations import relu
from cifar_jax.models.layers.dtypes import Dtype
from cifar_jax.models.layers.field_checks import check_fraction, check_one_of
from cifar_jax.models.layers.initializers import normal_001, uniform_fan_in
from cifar_jax.models.layers.pooling import check_has_pixels, global_average

HEADS = ('linear', 'mlp')  # the ends of `classifier`: one layer, or 4096-4096-classes
HIDDEN_WIDTH = 4096  # Krizhevsky et al. 2012, section 3.5; Simonyan and Zisserman 2014, table 1


def head(
  x: jax.Array,
  num_classes: int,
  hidden_features: int = 0,
  *,
  kernel_init: nn.initializers.Initializer = uniform_fan_in,
  bias: float = 0.0,
) -> jax.Array:
  """Global average pooling and a linear classifier. To be called in a compact method.

  Args:
    x: `[batch, height, width, channels]` of any float dtype.
    num_classes: number of classes.
    hidden_features: width of a linear layer in between; 0 for none.
    kernel_init: initialiser of the kernels.
    bias: initial value of the classifier's biases.

  Returns:
    Logits, float32 `[batch, num_classes]`.

  Raises:
    InputError: the images are so small that the map has no pixels.
  """
  x = global_average(x)
  if hidden_features:
    x = nn.Dense(hidden_features, kernel_init=kernel_init, name='hidden')(x)
  return logits(x, num_classes, kernel_init=kernel_init, bias=bias)


def logits(
  features: jax.Array,
  num_classes: int,
  *,
  kernel_init: nn.initializers.Initializer = uniform_fan_in,
  bias: float = 0.0,
) -> jax.Array:
  """A linear classifier. To be called in a compact method.

  Args:
    features: float32 `[batch, channels]`.
    num_classes: number of classes.
    kernel_init: initialiser of the kernel.
    bias: initial value of the biases.

  Returns:
    Logits, float32 `[batch, num_classes]`.
  """
  bias_init = nn.initializers.constant(bias)
  return nn.Dense(num_classes, kernel_init=kernel_init, bias_init=bias_init, name='head')(features)


def classifier(
  x: jax.Array,
  num_classes: int,
  *,
  head: str,
  dropout: float,
  train: bool,
  dtype: Dtype,
  hidden_bias: float = 0.0,
  kernel_init: nn.initializers.Initializer | None = None,
) -> jax.Array:
  """The end of AlexNet and of VGG. To be called in a compact method.

  Dropout follows each hidden layer, as in both papers; torchvision's AlexNet has it before them.
  The map is flattened as `[height, width, channels]`, Torch's as `[channels, height, width]`.

  Args:
    x: `[batch, height, width, channels]`.
    num_classes: number of classes.
    head: one of `HEADS`.
    dropout: fraction dropped of each hidden layer, or of the pooled features where there is none.
    train: whether dropout is drawn, from the stream `dropout`.
    dtype: dtype of the hidden layers.
    hidden_bias: initial value of the hidden layers' biases.
    kernel_init: initialiser of all kernels; None for the Gaussian of AlexNet's paper with hidden
      layers, and for that of `head` without.

  Returns:
    Logits, float32 `[batch, num_classes]`.

  Raises:
    InputError: the images are so small that the map has no pixels.
  """
  check_has_pixels(x)
  if head == 'linear':
    # Whole channels are dropped, so that it is the pooled features that are dropped.
    x = nn.Dropout(dropout, broadcast_dims=(1, 2), deterministic=not train)(x)
    return logits(global_average(x), num_classes, kernel_init=kernel_init or uniform_fan_in)
  dense = functools.partial(nn.Dense, kernel_init=kernel_init or normal_001)
  bias_init = nn.initializers.constant(hidden_bias)
  x = jnp.reshape(x, (x.shape[0], -1))
  for i in (1, 2):
    x = relu(dense(HIDDEN_WIDTH, bias_init=bias_init, dtype=dtype, name=f'hidden{i}')(x))
    x = drop(x, dropout, train)
  return dense(num_classes, name='head')(x.astype(jnp.float32))


def check_classifier(head: str, dropout: float) -> None:
  """Raises InputError for a head or a dropout that `classifier` does not take."""
  check_one_of('head', head, HEADS)
  check_fraction('dropout', dropout)
