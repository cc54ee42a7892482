"""Activations and gradients by layer, with known answers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.filled import variables as filled

from cifar_jax import models
from cifar_jax.analysis import activations, sample
from cifar_jax.errors import InputError

IMAGES = np.random.RandomState(0).standard_normal((4, 8, 8, 3)).astype(np.float32)
LABELS = np.array([1, 2, 3, 4], np.int32)


class Two(nn.Module):
  """A convolution that passes the images on, and one with a norm that turns them around."""

  @nn.compact
  def __call__(self, x, *, train):
    x = nn.Conv(3, (1, 1), use_bias=False, name='conv1')(x)
    x = nn.Conv(3, (1, 1), use_bias=False, name='conv2')(nn.relu(x))
    x = nn.BatchNorm(use_running_average=not train, epsilon=0.0, name='norm2')(x)
    return nn.Dense(10, name='head')(jnp.mean(x, axis=(1, 2)))


def variables_of_two():
  eye = jnp.eye(3)[None, None]
  variables = Two().init(jax.random.key(0), IMAGES, train=False)
  params = {**variables['params'], 'conv1': {'kernel': eye}, 'conv2': {'kernel': -eye}}
  return {'params': params, 'batch_stats': variables['batch_stats']}


def test_a_row_a_convolution_with_what_it_gives():
  batches = sample.Sample((IMAGES[:2], IMAGES[2:]), (LABELS[:2], LABELS[2:]), 4)
  first, second = activations.by_layer(Two(), variables_of_two(), batches)
  assert (first['name'], second['name']) == ('conv1', 'conv2')
  assert first['mean'] == pytest.approx(IMAGES.mean(), abs=1e-6)
  assert first['variance'] == pytest.approx(IMAGES.var(), rel=1e-5)
  assert first['dead'] == 0.0
  assert second['mean'] == pytest.approx(-np.maximum(IMAGES, 0).mean(), rel=1e-5)
  assert second['dead'] == 1.0  # never above zero


def test_the_gradient_is_that_of_the_training_loss():
  variables = variables_of_two()

  def loss(kernel):
    params = {**variables['params'], 'conv2': {'kernel': kernel}}
    logits, _ = Two().apply(
      {**variables, 'params': params}, IMAGES, train=True, mutable=['batch_stats']
    )
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(4), LABELS])

  expected = jnp.linalg.norm(jax.grad(loss)(variables['params']['conv2']['kernel']).ravel())
  norms = activations.gradient_norms(Two(), variables, IMAGES, LABELS)
  np.testing.assert_allclose(norms['conv2']['kernel'], expected, rtol=1e-5)


def test_layers_come_in_the_order_they_are_computed():
  net = models.create('preact_resnet8')
  paths = activations.convolutions(net, filled(net), (8, 8, 3))
  assert paths[0] == ('stem_conv',)
  assert paths[1:3] == [('stage1_block1', 'conv1'), ('stage1_block1', 'conv2')]
  assert paths[-1] == ('stage3_block1', 'conv2')


def test_stacked_layers_are_refused_in_one_line():
  net = models.create('resnet1202')
  with pytest.raises(InputError, match='scanned'):
    activations.convolutions(net, models.abstract_variables(net), (8, 8, 3))
