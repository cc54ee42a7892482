"""AlexNet: counts, towers, normalisation, dropout, and the same logits as in Torch."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from data.filled import variables as filled

from cifar_jax import models
from cifar_jax.errors import InputError
from cifar_jax.models import alexnet, layers

TORCH = json.loads(
  (pathlib.Path(__file__).parents[1] / 'data' / 'alexnet_vgg_torch.json').read_text()
)['nets']

# Trainable parameters with 10 and 100 classes, or with 1000: derived below, or torchvision's.
COUNTS = {
  'alexnet': (2_472_266, 2_495_396),
  'alexnet_imagenet': 60_965_224,
  'alexnet_one_tower_imagenet': 61_100_840,
}
SMALLEST = 63  # pixels that leave the last map of the ImageNet forms one pixel, and make them cheap


@pytest.fixture
def narrow(monkeypatch):
  """Hidden layers of 64, as in the Torch nets."""
  monkeypatch.setattr(alexnet, 'HIDDEN_WIDTH', 64)


def test_every_name_has_a_row():
  assert set(COUNTS) == set(alexnet.NAMES)
  assert set(alexnet.PUBLISHED) <= set(COUNTS)


@pytest.mark.parametrize('name', COUNTS)
def test_parameters_are_exact(name):
  classes = (1000,) if name.endswith('_imagenet') else (10, 100)
  counts = tuple(models.num_params(models.create(name, num_classes=n)) for n in classes)
  assert counts == (COUNTS[name] if len(counts) == 2 else (COUNTS[name],))


def test_cifar_parameters_layer_by_layer():
  # bearpaw's models/cifar/alexnet.py: kernel size, channels in, channels out, and a bias each.
  table = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))
  body = sum(k * k * before * after + after for k, before, after in table)
  assert (body + 257 * 10, body + 257 * 100) == COUNTS['alexnet']


def test_two_towers_layer_by_layer():
  # Figure 2: twice 48, 128, 192, 192 and 128 kernels, of which the second, fourth and fifth layer
  # see one tower; 224 pixels become 55, 27, 13 and, by the third pooling, 6.
  params = models.abstract_variables(models.create('alexnet_imagenet', num_classes=1000))['params']
  assert [params[f'conv{i}']['kernel'].shape for i in range(1, 6)] == [
    *((11, 11, 3, 96), (5, 5, 48, 256), (3, 3, 256, 384)),
    *((3, 3, 192, 384), (3, 3, 192, 256)),
  ]
  assert params['hidden1']['kernel'].shape == (6 * 6 * 256, 4096)
  ungrouped = models.create('alexnet_imagenet', num_classes=1000, groups=1)
  assert models.num_params(ungrouped) == 62_378_344


@pytest.mark.parametrize('net', [net for net in TORCH if net.startswith('alexnet')])
def test_logits_are_those_of_torch(net, narrow):
  row = TORCH[net]
  model = models.create(row['name'], **row['fields'])
  size = row['image_size']
  variables = filled(model, size)
  assert models.count(variables['params']) == row['num_params']
  images = np.random.RandomState(0).standard_normal((2, size, size, 3)).astype(np.float32)
  logits = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
  np.testing.assert_allclose(logits, np.array(row['logits']), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_local_response_norm_is_the_papers_formula(dtype):
  # Values so large that alpha counts: a fifth of it, as in Torch, would differ by a tenth and more.
  x = jnp.asarray(100.0 * np.random.RandomState(0).standard_normal((1, 2, 1, 7)), dtype)
  wide = np.asarray(x, np.float64)
  expected = np.empty_like(wide)
  for i in range(7):
    total = np.sum(wide[..., max(0, i - 2) : min(6, i + 2) + 1] ** 2, axis=-1)
    expected[..., i] = wide[..., i] / (2 + 1e-4 * total) ** 0.75
  out = jax.jit(layers.local_response_norm)(x)
  assert out.dtype == x.dtype
  np.testing.assert_allclose(
    np.asarray(out, np.float64), expected, rtol=1e-5 + jnp.finfo(dtype).eps
  )


def cross_entropy(logits):
  return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(4)))


def test_training_lowers_the_loss_and_the_gradient_reaches_every_parameter():
  model = models.create('alexnet', groups=2, local_response_norm=True, dropout=0.2)
  images = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
  tx = optax.sgd(0.01, momentum=0.9)

  @jax.jit
  def step(params, opt_state, key):
    def loss_fn(params):
      return cross_entropy(
        model.apply({'params': params}, images, train=True, rngs={'dropout': key})
      )

    loss, gradient = jax.value_and_grad(loss_fn)(params)
    updates, opt_state = tx.update(gradient, opt_state)
    return optax.apply_updates(params, updates), opt_state, loss, jax.tree.map(jnp.any, gradient)

  params = filled(model, 32)['params']
  opt_state, losses = tx.init(params), []
  for i in range(5):
    params, opt_state, loss, reached = step(params, opt_state, jax.random.key(i))
    assert all(jax.tree.leaves(reached)), reached
    losses.append(float(loss))
  assert losses[-1] < losses[0]


def test_the_papers_net_starts_as_section_5_says(narrow):
  model = models.create('alexnet_imagenet')

  @jax.jit
  def start(key):
    params = model.init(key, jnp.zeros((1, SMALLEST, SMALLEST, 3)), train=False)['params']
    return {name: layer['bias'] for name, layer in params.items()}, params['conv3']['kernel']

  biases, kernel = start(jax.random.key(0))
  ones = {'conv2', 'conv4', 'conv5', 'hidden1', 'hidden2'}
  for name, bias in biases.items():
    np.testing.assert_array_equal(bias, 1.0 if name in ones else 0.0)
  assert len(biases) == 8 and abs(np.std(kernel) - 0.01) < 1e-4


def test_the_papers_net_drops_a_part_of_each_hidden_layer(narrow):
  model = models.create('alexnet_imagenet', dropout=0.25)
  images = np.random.RandomState(0).standard_normal((8, SMALLEST, SMALLEST, 3)).astype(np.float32)

  @jax.jit
  def activations(params):
    rngs = {'dropout': jax.random.key(0)}
    _, state = model.apply(
      {'params': params}, images, train=True, rngs=rngs, capture_intermediates=True, mutable=True
    )
    return state['intermediates']

  seen = activations(filled(model, SMALLEST)['params'])
  for i in (1, 2):
    before = jax.nn.relu(seen[f'hidden{i}']['__call__'][0])
    after = seen[f'Dropout_{i - 1}']['__call__'][0]
    kept = after != 0
    np.testing.assert_allclose(after, np.where(kept, before / 0.75, 0.0), rtol=1e-5)
    assert 0.65 < np.mean(kept[before > 0]) < 0.85


def test_the_papers_dropout_is_the_default_where_there_are_hidden_layers():
  assert [models.create(name).dropout for name in COUNTS] == [0.0, 0.5, 0.5]


@pytest.mark.parametrize(
  ('name', 'fields', 'words'),
  [
    ('alexnet_one_tower', {}, ['alexnet_one_tower_imagenet']),
    ('alexnet', {'groups': 3}, ['groups', '3', '1', '2']),
    ('alexnet', {'dropout': 1.0}, ['dropout', 'below 1']),
    ('alexnet', {'head': 'mlp'}, ['head', 'groups', 'local_response_norm', 'dropout']),
  ],
)
def test_impossible_models_say_what_is_possible(name, fields, words):
  with pytest.raises(InputError) as error:
    models.create(name, **fields)
  assert all(word in str(error.value) for word in words), error.value
  assert '\n' not in str(error.value)


def test_too_small_images_are_told():
  with pytest.raises(InputError, match='too small'):
    models.abstract_variables(models.create('alexnet_imagenet'), 32)
