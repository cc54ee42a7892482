"""Activations and gradients by layer, against known values."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.analysis.measures import activations
from cifar_jax.analysis.sample import PADDING
from cifar_jax.errors import InputError
from tests.support.filled import filled_variables
from tests.support.samples import two_batches

IMAGES = np.random.RandomState(0).standard_normal((4, 8, 8, 3)).astype(np.float32)
LABELS = np.array([1, 2, 3, 4], np.int32)


class TwoConvolutions(nn.Module):
  """Two convolutions, of which the second has a norm."""

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    x = nn.Conv(3, (1, 1), use_bias=False, name='conv1')(x)
    x = nn.Conv(3, (1, 1), use_bias=False, name='conv2')(nn.relu(x))
    x = nn.BatchNorm(use_running_average=not train, epsilon=0.0, name='norm2')(x)
    return nn.Dense(10, name='head')(jnp.mean(x, axis=(1, 2)))


def signed_identities() -> Any:
  """Variables with which the first convolution copies its input and the second negates it."""
  eye = jnp.eye(3)[None, None]
  variables = TwoConvolutions().init(jax.random.key(0), IMAGES, train=False)
  params = {**variables['params'], 'conv1': {'kernel': eye}, 'conv2': {'kernel': -eye}}
  return {'params': params, 'batch_stats': variables['batch_stats']}


@pytest.mark.ci
def test_outputs_of_each_convolution_are_measured_after_its_norm() -> None:
  [(first, second)] = activations.measure_layers(
    TwoConvolutions(), [signed_identities()], two_batches(IMAGES, LABELS)
  )
  assert (first['name'], second['name']) == ('conv1', 'conv2')
  assert first['mean'] == pytest.approx(IMAGES.mean(), abs=1e-6)
  assert first['variance'] == pytest.approx(IMAGES.var(), rel=1e-5)
  assert first['dead'] == 0.0
  assert second['mean'] == pytest.approx(-np.maximum(IMAGES, 0).mean(), rel=1e-5)
  assert second['dead'] == 1.0  # never above zero


def test_images_that_fill_the_last_batch_do_not_count() -> None:
  labels = np.array([1, 2, 3, PADDING], np.int32)
  sample = two_batches(IMAGES * np.array([1, 1, 1, 100.0], np.float32)[:, None, None, None], labels)
  [(first, _)] = activations.measure_layers(TwoConvolutions(), [signed_identities()], sample)
  assert first['mean'] == pytest.approx(IMAGES[:3].mean(), abs=1e-6)
  assert first['variance'] == pytest.approx(IMAGES[:3].var(), rel=1e-5)
  negative = -np.abs(IMAGES) * np.array([1, 1, 1, -1], np.float32)[:, None, None, None]
  [(first, _)] = activations.measure_layers(
    TwoConvolutions(), [signed_identities()], two_batches(negative, labels)
  )
  assert first['dead'] == 1.0


def test_gradient_norms_are_those_of_the_training_loss() -> None:
  variables = signed_identities()

  def loss(kernel: jax.Array) -> jax.Array:
    params = {**variables['params'], 'conv2': {'kernel': kernel}}
    logits, _ = TwoConvolutions().apply(
      {**variables, 'params': params}, IMAGES, train=True, mutable=['batch_stats']
    )
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(4), LABELS])

  expected = jnp.linalg.norm(jax.grad(loss)(variables['params']['conv2']['kernel']).ravel())
  norms = activations.gradient_norms(
    TwoConvolutions(), variables, jnp.asarray(IMAGES), jnp.asarray(LABELS)
  )
  np.testing.assert_allclose(norms['conv2']['kernel'], expected, rtol=1e-5)


def test_convolutions_are_in_the_order_of_computation() -> None:
  net = models.create('preact_resnet8')
  paths = activations.convolutions(net, filled_variables(net), (8, 8, 3))
  assert paths[0] == ('stem_conv',)
  assert paths[1:3] == [('stage1_block1', 'conv1'), ('stage1_block1', 'conv2')]
  assert paths[-1] == ('stage3_block1', 'conv2')


def test_scanned_stages_are_refused() -> None:
  net = models.create('resnet1202')
  with pytest.raises(InputError, match='scanned'):
    activations.convolutions(net, models.abstract_variables(net), (8, 8, 3))
