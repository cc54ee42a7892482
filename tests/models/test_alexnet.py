"""AlexNet: counts layer by layer, towers, normalisation, initial values and dropout."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import alexnet, layers
from cifar_jax.models.layers import heads
from tests.models import exact_counts
from tests.support import fill
from tests.support.filled import filled_variables

SMALLEST = 63  # pixels that leave the last map of the ImageNet forms one pixel, to be fast


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
  """Makes the hidden layers 64 wide."""
  monkeypatch.setattr(heads, 'HIDDEN_WIDTH', 64)


def test_cifar_count_is_that_of_the_layers() -> None:
  # bearpaw's models/cifar/alexnet.py: kernel size, channels in and out, and a bias per channel.
  table = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))
  body = sum(k * k * before * after + after for k, before, after in table)
  assert (body + 257 * 10, body + 257 * 100) == exact_counts.ALEXNET['alexnet']


def test_two_towers_have_the_papers_layers() -> None:
  # Figure 2: twice 48, 128, 192, 192 and 128 kernels. The second, fourth and fifth layer see one
  # tower. 224 pixels become 55, 27, 13 and, after the third pooling, 6.
  params = models.abstract_variables(models.create('alexnet_imagenet', num_classes=1000))['params']
  assert [params[f'conv{i}']['kernel'].shape for i in range(1, 6)] == [
    *((11, 11, 3, 96), (5, 5, 48, 256), (3, 3, 256, 384)),
    *((3, 3, 192, 384), (3, 3, 192, 256)),
  ]
  assert params['hidden1']['kernel'].shape == (6 * 6 * 256, 4096)
  ungrouped = models.create('alexnet_imagenet', num_classes=1000, groups=1)
  assert models.num_params(ungrouped) == 62_378_344


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_local_response_norm_is_the_papers_formula(dtype: str) -> None:
  # The values are so large that alpha matters: a fifth of it, as in Torch, would differ by a tenth
  # or more.
  x = jnp.asarray(100.0 * np.random.RandomState(0).standard_normal((1, 2, 1, 7)), dtype)
  wide = np.asarray(x, np.float64)
  expected = np.empty_like(wide)
  for i in range(7):
    total = np.sum(wide[..., max(0, i - 2) : min(6, i + 2) + 1] ** 2, axis=-1)
    expected[..., i] = wide[..., i] / (2 + 1e-4 * total) ** 0.75
  normalized = jax.jit(layers.local_response_norm)(x)
  assert normalized.dtype == x.dtype
  np.testing.assert_allclose(
    np.asarray(normalized, np.float64), expected, rtol=1e-5 + float(jnp.finfo(dtype).eps)
  )


def test_initial_values_of_the_papers_net_are_those_of_section_5(narrow: None) -> None:
  model = models.create('alexnet_imagenet')

  @jax.jit
  def init(key: jax.Array) -> Any:
    params = model.init(key, jnp.zeros((1, SMALLEST, SMALLEST, 3)), train=False)['params']
    return {name: layer['bias'] for name, layer in params.items()}, params['conv3']['kernel']

  biases, kernel = init(jax.random.key(0))
  ones = {'conv2', 'conv4', 'conv5', 'hidden1', 'hidden2'}
  for name, bias in biases.items():
    np.testing.assert_array_equal(bias, 1.0 if name in ones else 0.0)
  assert len(biases) == 8 and abs(np.std(kernel) - 0.01) < 1e-4


def test_dropout_follows_both_hidden_layers(narrow: None) -> None:
  model = models.create('alexnet_imagenet', dropout=0.25)
  images = fill.images(8, SMALLEST)

  @jax.jit
  def intermediates(params: Any) -> Any:
    rngs = {'dropout': jax.random.key(0)}
    _, state = model.apply(
      {'params': params}, images, train=True, rngs=rngs, capture_intermediates=True, mutable=True
    )
    return state['intermediates']

  outputs = intermediates(filled_variables(model, SMALLEST)['params'])
  for i in (1, 2):
    before = jax.nn.relu(outputs[f'hidden{i}']['__call__'][0])
    after = outputs[f'Dropout_{i - 1}']['__call__'][0]
    survives = after != 0
    np.testing.assert_allclose(after, np.where(survives, before / 0.75, 0.0), rtol=1e-5)
    assert 0.65 < np.mean(survives[before > 0]) < 0.85


def test_dropout_is_the_papers_by_default_where_there_are_hidden_layers() -> None:
  assert [models.create(name).dropout for name in alexnet.NAMES] == [0.0, 0.5, 0.5]
