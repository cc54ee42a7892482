"""VGG: counts, configurations, heads, and the same logits as in Torch."""

import itertools
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
from cifar_jax.models import alexnet, vgg

TORCH = json.loads(
  (pathlib.Path(__file__).parents[1] / 'data' / 'alexnet_vgg_torch.json').read_text()
)['nets']

# Trainable parameters with 10 and 100 classes, or with 1000: those of A, B, D and E for ImageNet
# are torchvision's; all are counted from table 1 below.
COUNTS = {
  'vgg11': (9_225_610, 9_271_780),
  'vgg11_lrn': (9_225_610, 9_271_780),
  'vgg13': (9_410_122, 9_456_292),
  'vgg16_c': (10_001_226, 10_047_396),
  'vgg16': (14_719_818, 14_765_988),
  'vgg19': (20_029_514, 20_075_684),
  'vgg11_bn': (9_231_114, 9_277_284),
  'vgg11_lrn_bn': (9_231_114, 9_277_284),
  'vgg13_bn': (9_416_010, 9_462_180),
  'vgg16_c_bn': (10_009_674, 10_055_844),
  'vgg16_bn': (14_728_266, 14_774_436),
  'vgg19_bn': (20_040_522, 20_086_692),
  'vgg11_imagenet': 132_863_336,
  'vgg11_lrn_imagenet': 132_863_336,
  'vgg13_imagenet': 133_047_848,
  'vgg16_c_imagenet': 133_638_952,
  'vgg16_imagenet': 138_357_544,
  'vgg19_imagenet': 143_667_240,
  'vgg11_bn_imagenet': 132_868_840,
  'vgg11_lrn_bn_imagenet': 132_868_840,
  'vgg13_bn_imagenet': 133_053_736,
  'vgg16_c_bn_imagenet': 133_647_400,
  'vgg16_bn_imagenet': 138_365_992,
  'vgg19_bn_imagenet': 143_678_248,
}
# With the 4096-4096 head and 100 classes: weiaicunzai/pytorch-cifar100.
MLP_COUNTS = {
  'vgg11_bn': 28_518_244,
  'vgg13_bn': 28_703_140,
  'vgg16_bn': 34_015_396,
  'vgg19_bn': 39_327_652,
}
# Table 1, read column by column: kernel size and channels, M for max pooling.
TABLE = {
  '11': '3-64 M 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M',
  '13': '3-64 3-64 M 3-128 3-128 M 3-256 3-256 M 3-512 3-512 M 3-512 3-512 M',
  '16_c': '3-64 3-64 M 3-128 3-128 M 3-256 3-256 1-256 M 3-512 3-512 1-512 M 3-512 3-512 1-512 M',
  '16': '3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 M 3-512 3-512 3-512 M 3-512 3-512 3-512 M',
  '19': '3-64 3-64 M 3-128 3-128 M 3-256 3-256 3-256 3-256 M 3-512 3-512 3-512 3-512 M '
  '3-512 3-512 3-512 3-512 M',
}
TABLE['11_lrn'] = TABLE['11']


@pytest.fixture
def narrow(monkeypatch):
  """An eighth of the channels and hidden layers of 64, as in the Torch nets."""
  monkeypatch.setattr(vgg, 'WIDTHS', (8, 16, 32, 64, 64))
  monkeypatch.setattr(alexnet, 'HIDDEN_WIDTH', 64)


def by_hand(name, num_classes):
  """The count of a name from `TABLE`, the head's map of 7x7 and the paper's three dense layers."""
  column = name.removeprefix('vgg').removesuffix('_imagenet').removesuffix('_bn')
  norm = 2 if '_bn' in name else 0  # a scale and an offset beside the bias
  total, before = 0, 3
  for word in TABLE[column].replace('M', '').split():
    size, after = map(int, word.split('-'))
    total, before = total + size * size * before * after + (1 + norm) * after, after
  dense = (512 * 7 * 7, 4096, 4096) if name.endswith('_imagenet') else (512,)
  widths = (*dense, num_classes)
  return total + sum((a + 1) * b for a, b in itertools.pairwise(widths))


def test_every_name_has_a_row():
  assert set(COUNTS) == set(vgg.NAMES)
  assert set(vgg.PUBLISHED) <= set(COUNTS)


@pytest.mark.parametrize('name', COUNTS)
def test_parameters_are_exact(name):
  if name.endswith('_imagenet'):
    model = models.create(name, num_classes=1000)
    assert models.num_params(model) == COUNTS[name] == by_hand(name, 1000)
    assert model.image_size == 224
  else:
    assert COUNTS[name] == (by_hand(name, 10), by_hand(name, 100))
    assert models.num_params(models.create(name)) == COUNTS[name][0]


@pytest.mark.parametrize('name', MLP_COUNTS)
def test_parameters_of_the_papers_head_on_cifar(name):
  assert models.num_params(models.create(name, num_classes=100, head='mlp')) == MLP_COUNTS[name]


def test_the_head_brings_its_dropout():
  assert models.create('vgg16_bn').dropout == 0.0
  assert models.create('vgg16_bn', head='mlp').dropout == 0.5
  assert models.create('vgg16_bn_imagenet').dropout == 0.5
  assert models.create('vgg16_bn_imagenet', dropout=0.2, head='linear').dropout == 0.2


@pytest.mark.parametrize('net', [net for net in TORCH if net.startswith('vgg')])
def test_logits_are_those_of_torch(net, narrow):
  row = TORCH[net]
  model = models.create(row['name'], **row['fields'])
  size = row['image_size']
  variables = filled(model, size)
  assert models.count(variables['params']) == row['num_params']
  images = np.random.RandomState(0).standard_normal((2, size, size, 3)).astype(np.float32)
  logits = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
  np.testing.assert_allclose(logits, np.array(row['logits']), rtol=2e-4, atol=2e-4)


def test_gradient_reaches_every_parameter_and_training_lowers_the_loss(narrow):
  model = models.create('vgg11_lrn_bn', head='mlp', dropout=0.1)
  images = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
  labels = jnp.arange(4)
  tx = optax.sgd(0.05, momentum=0.9)

  @jax.jit
  def step(variables, opt_state, key):
    def loss_fn(params):
      logits, updates = model.apply(
        variables | {'params': params},
        images,
        train=True,
        rngs={'dropout': key},
        mutable=['batch_stats'],
      )
      losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
      return jnp.mean(losses), updates

    (loss, updates), gradient = jax.value_and_grad(loss_fn, has_aux=True)(variables['params'])
    change, opt_state = tx.update(gradient, opt_state)
    params = optax.apply_updates(variables['params'], change)
    reached = jax.tree.map(jnp.any, gradient)
    return variables | updates | {'params': params}, opt_state, loss, reached

  variables = filled(model, 32)
  opt_state, losses = tx.init(variables['params']), []
  for i in range(4):
    variables, opt_state, loss, reached = step(variables, opt_state, jax.random.key(i))
    for path, any_at_all in jax.tree_util.tree_leaves_with_path(reached):
      # Batch normalisation subtracts a convolution's bias: its gradient is rounding alone.
      rounding = 'conv' in path[0].key and path[1].key == 'bias'
      assert any_at_all or rounding, path
    losses.append(float(loss))
  assert losses[-1] < losses[0]


def test_convolutions_start_from_hes_fan_out():
  model = models.create('vgg16_c')

  @jax.jit
  def start(key):
    params = model.init(key, jnp.zeros((1, 32, 32, 3)), train=False)['params']
    return params['stage2_conv1'], params['stage4_conv3']

  for layer, size, width in zip(start(jax.random.key(0)), (3, 1), (128, 512), strict=True):
    assert abs(np.std(layer['kernel']) / np.sqrt(2 / (size * size * width)) - 1) < 0.02
    assert not np.any(layer['bias'])


@pytest.mark.parametrize(
  ('name', 'fields', 'words'),
  [
    ('vgg12', {}, ['vgg12', 'nearest', 'vgg13']),
    ('vgg16_imagenet_bn', {}, ['[_bn][_imagenet]']),
    ('vgg16', {'head': 'cnn'}, ['head', 'linear', 'mlp']),
    ('vgg16', {'dropout': -0.1}, ['dropout', 'at least 0']),
    ('vgg16', {'groups': 2}, ['groups', 'dropout, head']),
  ],
)
def test_impossible_models_say_what_is_possible(name, fields, words):
  with pytest.raises(InputError) as error:
    models.create(name, **fields)
  assert all(word in str(error.value) for word in words), error.value
  assert '\n' not in str(error.value)


def test_too_small_images_are_told():
  with pytest.raises(InputError, match='too small'):
    models.abstract_variables(models.create('vgg11'), 16)
