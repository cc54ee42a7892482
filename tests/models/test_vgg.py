"""VGG: counts layer by layer, heads and initial values."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from tests.models import exact_counts

# With the 4096-4096 head and 100 classes: weiaicunzai/pytorch-cifar100.
MLP_COUNTS = {
  'vgg11_bn': 28_518_244,
  'vgg13_bn': 28_703_140,
  'vgg16_bn': 34_015_396,
  'vgg19_bn': 39_327_652,
}
# Table 1, column by column: kernel size and channels, M for max pooling.
TABLE = {
  '11': '3-64 M 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M',
  '13': '3-64 3-64 M 3-128 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M',
  '16_c': '3-64 3-64 M 3-128 3-128 M 3-256 3-256 1-256 M 3-512 3-512 1-512 M 3-512 3-512 1-512 M',
  '16': '3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 M 3-512 3-512 3-512 M 3-512 3-512 3-512 M',
  '19': '3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 3-256 M 3-512 3-512 3-512 3-512 M '
  '3-512 3-512 3-512 3-512 M',
}
TABLE['11_lrn'] = TABLE['11']


def layer_by_layer(name: str, num_classes: int) -> int:
  """The parameters of the convolutions of `TABLE`, and of the head.

  On ImageNet the head is the paper's three dense layers, on a map of 7x7 pixels.
  """
  column = name.removeprefix('vgg').removesuffix('_imagenet').removesuffix('_bn')
  norm = 2 if '_bn' in name else 0  # a scale and an offset, in addition to the bias
  total, before = 0, 3
  for word in TABLE[column].replace('M', '').split():
    size, after = map(int, word.split('-'))
    total, before = total + size * size * before * after + (1 + norm) * after, after
  dense = (512 * 7 * 7, 4096, 4096) if name.endswith('_imagenet') else (512,)
  widths = (*dense, num_classes)
  return total + sum((a + 1) * b for a, b in itertools.pairwise(widths))


@pytest.mark.parametrize('name', exact_counts.VGG)
def test_counts_are_those_of_the_layers(name: str) -> None:
  if name.endswith('_imagenet'):
    assert exact_counts.VGG[name] == layer_by_layer(name, 1000)
    assert models.create(name).image_size == 224
  else:
    assert exact_counts.VGG[name] == (layer_by_layer(name, 10), layer_by_layer(name, 100))


@pytest.mark.parametrize('name', MLP_COUNTS)
def test_parameters_of_the_papers_head_on_cifar(name: str) -> None:
  assert models.num_params(models.create(name, num_classes=100, head='mlp')) == MLP_COUNTS[name]


def test_the_default_dropout_is_that_of_the_head() -> None:
  assert models.create('vgg16_bn').dropout == 0.0
  assert models.create('vgg16_bn', head='mlp').dropout == 0.5
  assert models.create('vgg16_bn_imagenet').dropout == 0.5
  assert models.create('vgg16_bn_imagenet', dropout=0.2, head='linear').dropout == 0.2


def test_convolutions_start_from_hes_normal_with_fan_out() -> None:
  model = models.create('vgg16_c')

  @jax.jit
  def init(key: jax.Array) -> Any:
    params = model.init(key, jnp.zeros((1, 32, 32, 3)), train=False)['params']
    return params['stage2_conv1'], params['stage4_conv3']

  for layer, size, width in zip(init(jax.random.key(0)), (3, 1), (128, 512), strict=True):
    assert abs(np.std(layer['kernel']) / np.sqrt(2 / (size * size * width)) - 1) < 0.02
    assert not np.any(layer['bias'])
