"""Shake-Shake: the nets of sections 2 and 5, exact, and their recipes."""

import functools
import inspect
import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data import fill
from data.filled import variables as filled

from cifar_jax import config, models
from cifar_jax.errors import InputError
from cifar_jax.models import shake_coefficients, shake_resnext, shake_shake

ROOT = pathlib.Path(__file__).parents[2]
TORCH = json.loads((ROOT / 'tests/data/shake_shake_torch.json').read_text())['nets']

# With 10 and with 100 classes: counted from the author's Lua code.
COUNTS = {
  'shake_shake_26_2x32d': (2_923_162, 2_934_772),
  'shake_shake_26_2x64d': (11_653_978, 11_677_108),
  'shake_shake_26_2x96d': (26_192_922, 26_227_572),
  'shake_shake_26_2x112d': (35_640_442, 35_680_852),
  'shake_shake_resnext_29_2x4x64d': (34_437_450, 34_529_700),
}
A = {'skip': False}
B = {'skip': False, 'branch_convs': 1}
C = {'skip': False, 'norm': False, 'alpha_range': (0.4, 0.6)}
# A tiny member of each kind; the keys are those of `shake_shake_torch.json`.
TINY = {
  'three branches': ('shake_shake_8_3x4d', {}),
  'no shortcuts, one convolution a branch': ('shake_shake_8_2x4d', B),
  'no shortcuts, no norms': ('shake_shake_8_2x4d', C),
  'resnext': ('shake_shake_resnext_11_2x2x4d', {}),
}
# Compiling is nearly all the time that training a tiny net takes.
QUICK = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
KEY = jax.random.key(0)


def layer_by_layer(depth, branches, width, convs=2, skip=True, norm=True):
  """Trainable parameters with ten classes, from section 2.1's list of layers."""
  norms = lambda channels: 2 * channels if norm else 0  # noqa: E731
  total, channels = 3 * 9 * 16 + norms(16), 16
  for stage, _ in itertools.product(range(3), range((depth - 2) // convs // 3)):
    out = width * 2**stage
    branch = 9 * channels * out + norms(out) + (convs - 1) * (9 * out * out + norms(out))
    shortcut = channels * out + norms(out) if channels != out else 0  # two 1x1 of half the width
    total += branches * branch + skip * shortcut
    channels = out
  return total + channels * 10 + 10


@pytest.mark.parametrize('name', shake_shake.NAMES + shake_resnext.NAMES)
def test_parameters_are_exact(name):
  params = models.abstract_variables(models.create(name))['params']
  ten = models.count(params)
  assert (ten, ten + 90 * (params['head']['kernel'].shape[0] + 1)) == COUNTS[name]


@pytest.mark.parametrize(
  ('name', 'fields', 'layout', 'count'),
  [
    ('shake_shake_26_2x32d', {}, (26, 2, 32), 2_923_162),
    ('shake_shake_26_3x32d', {}, (26, 3, 32), 4_378_266),
    ('shake_shake_26_2x32d', A, (26, 2, 32, 2, False), 2_911_962),
    ('shake_shake_26_2x32d', B, (26, 2, 32, 1, False), 2_911_962),  # the same convolutions
    ('shake_shake_14_2x32d', C, (14, 2, 32, 2, False, False), 1_356_474),
  ],
)
def test_parameters_of_other_nets(name, fields, layout, count):
  assert models.num_params(models.create(name, **fields)) == layer_by_layer(*layout) == count


def test_blocks_of_the_nets():
  blocks = lambda name, **fields: models.create(name, **fields).num_blocks  # noqa: E731
  assert blocks('shake_shake_26_2x32d') == 12 and blocks('shake_shake_26_2x32d', **B) == 24
  assert blocks('shake_shake_14_2x32d', **C) == 6 and blocks('shake_shake_resnext_29_2x4x64d') == 9


@pytest.mark.parametrize('net', TORCH)
def test_logits_are_those_of_torch(net):
  name, fields = TINY[net]
  model = models.create(name, **fields)
  assert models.num_params(model) == TORCH[net]['num_params']
  forward = jax.jit(lambda v, x: model.apply(v, x, train=False), compiler_options=QUICK)
  logits = forward(filled(model), fill.images())
  np.testing.assert_allclose(logits, np.array(TORCH[net]['logits']), rtol=1e-4, atol=1e-4)


def small_images():
  return jax.random.normal(KEY, (4, 8, 8, 3))


@pytest.mark.parametrize(
  ('module', 'name', 'fields'),
  [
    (shake_shake, 'shake_shake_8_2x2d', {'backward': 'm4', 'alpha_range': (0.4, 0.6)}),
    (shake_shake, 'shake_shake_8_3x2d', {'forward': 'even', 'level': 'batch'}),
    (shake_resnext, 'shake_shake_resnext_11_2x1x1d', {'backward': 'keep', 'level': 'batch'}),
  ],
)
def test_a_net_draws_as_its_fields_say(module, name, fields, monkeypatch):
  told = {}

  def record(*args):
    told.update(inspect.signature(shake_coefficients.draw_gates).bind(*args).arguments)
    return shake_coefficients.draw_gates(*args)

  monkeypatch.setattr(module, 'draw_gates', record)
  model = models.create(name, **fields)
  for train in (False, True):
    jax.eval_shape(
      lambda v, x, train=train: model.apply(
        v, x, train=train, rngs={'shake': KEY}, mutable=['batch_stats']
      ),
      models.abstract_variables(model),
      small_images(),
    )
    assert (told.pop('key') is not None) == train
  sizes = {'num_blocks': model.num_blocks, 'batch_size': 4, 'branches': model.branches}
  assert {**told, **fields, **sizes} == told
  assert (told['forward'], told['level']) == (model.forward, model.level)


def test_without_norms_there_are_neither_statistics_nor_biases():
  variables = models.abstract_variables(models.create('shake_shake_14_2x4d', **C))
  assert set(variables) == {'params'}
  paths = {jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(variables)}
  assert not any('norm' in path for path in paths)
  assert [path for path in paths if 'bias' in path] == ["['params']['head']['bias']"]


@pytest.mark.parametrize(
  ('name', 'fields', 'rate'),
  [
    ('shake_shake_8_3x2d', {'norm': False}, 0.15),
    ('shake_shake_8_2x2d', C, 0.5),
    ('shake_shake_resnext_11_2x1x1d', {'backward': 'm4'}, 0.05),
  ],
)
def test_a_tiny_member_trains_and_the_gradient_reaches_every_parameter(name, fields, rate):
  model = models.create(name, 3, **fields)
  images, labels = small_images(), jnp.array([0, 1, 2, 0])
  variables = filled(model)

  def loss(params, key):
    logits, _ = model.apply(
      variables | {'params': params},
      images,
      train=True,
      rngs={'shake': key},
      mutable=['batch_stats'],
    )
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(4), labels])

  @functools.partial(jax.jit, compiler_options=QUICK)
  def step(params, key):
    value, gradient = jax.value_and_grad(loss)(params, key)
    reached = jax.tree.map(jnp.any, gradient)
    return jax.tree.map(lambda p, g: p - rate * g, params, gradient), value, reached

  params, losses = variables['params'], []
  for key in jax.random.split(KEY, 15):
    params, value, reached = step(params, key)
    losses.append(value)
    assert all(jax.tree.leaves(reached)), reached
  assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


@pytest.mark.parametrize(
  ('name', 'fields', 'words'),
  [
    ('shake_shake_27_2x32d', {}, ['6n + 2', '27']),
    ('shake_shake_26_1x32d', {}, ['2 branches', '1']),
    ('shake_shake_26_2x33d', {}, ['even', '33']),
    ('shake_shake_resnext_26_2x4x64d', {}, ['9n + 2', '26']),
    ('shake_shake_resnext_29_2x0x64d', {}, ['cardinality', '0']),
    ('shake_shake_resnext_29_2x64d', {}, ['{cardinality}', 'shake_shake_resnext_29_2x4x64d']),
    ('shake_shake_resnext_29_2x4x64d', {'skip': False}, ['skip', 'backward']),
    ('shake_shake_26_2x32d', {'backward': 'm6'}, ['m6', 'm5', 'keep']),
    ('shake_shake_26_2x32d', {'level': 'pixel'}, ['pixel', 'image']),
    ('shake_shake_26_3x32d', {'backward': 'm2'}, ['m2', '2 branches']),
    ('shake_shake_26_2x32d', {'backward': 'm2', 'forward': 'even'}, ['m2', 'shake']),
    ('shake_shake_26_2x32d', {'branch_convs': 3}, ['branch_convs', '3']),
    ('shake_shake_26_2x32d', {'alpha_range': (0.3, 0.6)}, ['alpha_range', '0.5']),
    ('shake_shake_26_2x32d', {'alpha_range': (-0.1, 1.1)}, ['alpha_range', '[0, 1]']),
    ('shake_shake_26_3x32d', {'alpha_range': (0.4, 0.6)}, ['alpha_range', '2 branches']),
  ],
)
def test_impossible_nets_say_what_is_possible(name, fields, words):
  with pytest.raises(InputError) as error:
    models.create(name, **fields)
  assert all(word in str(error.value) for word in words), error.value
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('text', 'model', 'train'),
  [
    ('', ('shake_shake_26_2x96d', 'shake', 'shake', 'image'), ('cifar10', 128, 0.2, 1e-4)),
    (
      'net=resnext',
      ('shake_shake_resnext_29_2x4x64d', 'shake', 'even', 'image'),
      ('cifar100', 32, 0.025, 5e-4),
    ),
    ('net=c', ('shake_shake_14_2x32d', 'shake', 'even', 'image'), ('cifar10', 128, 0.05, 1e-4)),
    (
      'base_width=32,branches=3,mode=S-K-B',
      ('shake_shake_26_3x32d', 'shake', 'keep', 'batch'),
      ('cifar10', 128, 0.2, 1e-4),
    ),
    (
      'net=b,backward=m3,dataset=cifar100',
      ('shake_shake_26_2x32d', 'shake', 'm3', 'image'),
      ('cifar100', 128, 0.2, 1e-4),
    ),
  ],
)
def test_recipes(text, model, train):
  made = config.load(f'{ROOT}/configs/shake_shake.py:{text}')
  fields = made.model
  assert (fields.name, fields.forward, fields.backward, fields.level) == model
  rates = (made.schedule.learning_rate, made.optimizer.weight_decay)
  assert (made.data.name, made.train.batch_size, *rates) == train
  assert made.train.num_epochs == 1800 and made.schedule.name == 'cosine'
  models.create(**fields)


def test_the_recipe_without_norms_starts_softly():
  made = config.load(f'{ROOT}/configs/shake_shake.py:net=c')
  assert made.schedule.warmup_epochs == 1.0 and made.schedule.warmup_learning_rate == 0.025
  assert made.model.alpha_range == (0.4, 0.6) and not made.model.norm and not made.model.skip
