"""GoogLeNet: its counts, its four branches, and auxiliary classifiers that only training sees."""

import functools
import json
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from data import fill
from test_against_torch import filled

from cifar_jax import augment, config, keys, losses, metrics, models, order, sharding, step
from cifar_jax import state as states
from cifar_jax.errors import InputError
from cifar_jax.models import googlenet

ROOT = pathlib.Path(__file__).parents[2]
TORCH = json.loads((ROOT / 'tests' / 'data' / 'googlenet_torch.json').read_text())
# What the tests compile runs for a moment: to optimise it would take longer.
FAST = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
COUNTS = {'googlenet': (6_158_346, 6_250_596), 'googlenet_imagenet': 6_624_904}
# Table 1: the input's channels; 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool projection.
TABLE = {
  '3a': (192, 64, 96, 128, 16, 32, 32),
  '3b': (256, 128, 128, 192, 32, 96, 64),
  '4a': (480, 192, 96, 208, 16, 48, 64),
  '4b': (512, 160, 112, 224, 24, 64, 64),
  '4c': (512, 128, 128, 256, 24, 64, 64),
  '4d': (512, 112, 144, 288, 32, 64, 64),
  '4e': (528, 256, 160, 320, 32, 128, 128),
  '5a': (832, 256, 160, 320, 32, 128, 128),
  '5b': (832, 384, 192, 384, 48, 128, 128),
}


def convolutions(name, five):
  """Size, input and output channels of each convolution but the auxiliary classifiers'."""
  yield from [(3, 3, 192)] if name == 'googlenet' else [(7, 3, 64), (1, 64, 64), (3, 64, 192)]
  for inputs, one, three_reduce, three, five_reduce, last, pool in TABLE.values():
    yield from ((1, inputs, one), (1, inputs, three_reduce), (3, three_reduce, three))
    yield from ((1, inputs, five_reduce), (1, inputs, pool))
    sizes = {'5x5': [5], '3x3': [3], '3x3_3x3': [3, 3]}[five]
    yield from ((size, last if i else five_reduce, last) for i, size in enumerate(sizes))


def derived(name, five, classes, auxiliary=False):
  """A norm has two parameters a channel and the convolution before it no bias."""
  total = sum(k * k * a * b + 2 * b for k, a, b in convolutions(name, five)) + 1025 * classes
  for inputs in (512, 528) if auxiliary else ():  # 4x4 pixels of 128 channels, 1024 hidden
    total += 128 * inputs + 2 * 128 + (16 * 128 + 1) * 1024 + 1025 * classes
  return total


def counted(name, **fields):
  model = models.create(name, **fields)
  return models.count(models.abstract_variables(model, model.image_size)['params'])


def test_every_name_has_an_exact_count():
  assert set(COUNTS) == set(googlenet.NAMES)
  ten, hundred = COUNTS['googlenet']
  assert counted('googlenet') == derived('googlenet', '3x3_3x3', 10) == ten
  assert derived('googlenet', '3x3_3x3', 100) == hundred
  name = 'googlenet_imagenet'
  assert counted(name, num_classes=1000) == derived(name, '3x3', 1000) == COUNTS[name]
  # The count that kuangliu's own code prints has a bias for each convolution.
  assert ten + sum(width for _, _, width in convolutions('googlenet', '3x3_3x3')) == 6_166_250


def test_counts_with_auxiliary_classifiers_and_with_the_paper_s_5x5():
  name = 'googlenet_imagenet'
  with_heads = counted(name, num_classes=1000, auxiliary=True)
  assert with_heads == derived(name, '3x3', 1000, auxiliary=True) == 13_004_888  # torchvision's
  paper = counted(name, num_classes=1000, auxiliary=True, five='5x5')
  assert paper == derived(name, '5x5', 1000, auxiliary=True) == 13_385_816


@pytest.mark.parametrize('five', googlenet.FIVES)
def test_logits_are_those_of_torch(five):
  name = 'googlenet' if five == '3x3_3x3' else 'googlenet_imagenet'
  model = models.create(name, five=five, width=1 / 16)
  assert models.num_params(model) == TORCH['nets'][five]['num_params']
  forward = jax.jit(lambda v, x: model.apply(v, x, train=False), compiler_options=FAST)
  logits = forward(filled(model), fill.images())
  np.testing.assert_allclose(logits, TORCH['nets'][five]['logits'], rtol=2e-4, atol=2e-4)


def test_a_module_is_its_four_branches_side_by_side():
  module = googlenet.Inception(
    googlenet.Widths(2, 3, 5, 1, 3, 4), '5x5', models.layers.batch_norm(False, jnp.float32),
    jnp.float32,
  )  # fmt: skip
  x = jax.random.normal(jax.random.key(0), (2, 6, 6, 3))

  def run(x):
    variables = module.init(jax.random.key(1), x)
    return module.apply(variables, x, capture_intermediates=True, mutable=['intermediates'])

  whole, state = jax.jit(run, compiler_options=FAST)(x)
  names = ('branch1x1', 'branch3x3', 'branch5x5', 'branch_pool')
  branches = [state['intermediates'][name]['__call__'][0] for name in names]
  assert [branch.shape[-1] for branch in branches] == [2, 5, 3, 4]
  np.testing.assert_array_equal(whole, jnp.concatenate(branches, axis=-1))


@pytest.fixture
def narrow(monkeypatch):
  """A narrow net of four modules with its heads; its variables; eight images and labels."""
  few = {name: googlenet.INCEPTIONS[name] for name in ('3a', '4a', '4d', '5a')}
  monkeypatch.setattr(googlenet, 'INCEPTIONS', few)  # compiles in half the time of nine
  model = models.create('googlenet', width=1 / 16, auxiliary=True, dropout=0.0)
  images = jax.random.normal(jax.random.key(0), (8, 32, 32, 3))
  return model, filled(model), images, jnp.arange(8) % 4


def test_evaluation_neither_needs_nor_computes_the_auxiliary_classifiers(narrow):
  model, variables, images, _ = narrow
  assert set(variables) == {'params', 'batch_stats'}
  without = {
    collection: {name: tree for name, tree in variables[collection].items() if 'aux' not in name}
    for collection in variables
  }
  assert len(variables['params']) - len(without['params']) == 2
  logits, updates = jax.eval_shape(
    lambda v: model.apply(v, images, train=False, mutable=['auxiliary_logits']), without
  )
  assert logits.shape == (8, 10) and not updates


def test_a_narrow_net_trains_and_the_gradient_reaches_every_parameter(narrow):
  model, variables, images, labels = narrow
  loss_fn = losses.make()

  @functools.partial(jax.jit, compiler_options=FAST)
  def train(params, stats, key):
    def loss(params):
      logits, updates = model.apply(
        {'params': params, 'batch_stats': stats}, images, train=True,
        rngs={'dropout': key}, mutable=['batch_stats', 'auxiliary_logits'],
      )  # fmt: skip
      heads = updates['auxiliary_logits']
      assert [heads[name][0].shape for name in ('aux1', 'aux2')] == [(8, 10)] * 2
      main = jnp.mean(loss_fn(logits, labels))
      total = main + sum(jnp.mean(loss_fn(head[0], labels)) for head in heads.values())
      return total, (main, updates['batch_stats'])

    (_, (main, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return jax.tree.map(lambda p, g: p - 0.05 * g, params, gradient), stats, main, gradient

  params, stats = variables['params'], variables['batch_stats']
  seen, reached = [], jax.tree.map(lambda leaf: False, params)
  for i in range(12):
    params, stats, main, gradient = train(params, stats, jax.random.key(i))
    seen.append(float(main))
    reached = jax.tree.map(lambda r, g: r or bool(np.any(g)), reached, gradient)
  assert seen[-1] < 0.7 * seen[0]
  assert all(jax.tree.leaves(reached)), reached


class TwoHeads(nn.Module):
  """A linear net with an auxiliary one, for the training step alone."""

  auxiliary_weight: float

  @nn.compact
  def __call__(self, images, *, train):
    flat = images.reshape(images.shape[0], -1)
    if train or self.is_initializing():
      auxiliary = nn.Dense(3, name='auxiliary')(flat)
      if not self.is_initializing():
        self.sow('auxiliary_logits', 'aux1', auxiliary)
    return nn.Dense(3, name='head')(flat)


def test_the_training_step_adds_the_weighted_auxiliary_loss():
  mesh = sharding.make_mesh(num_devices=1)
  images = np.random.RandomState(0).randint(0, 255, (4, 2, 2, 3), np.uint8)
  labels = np.array([0, 1, 2, 0], np.int32)
  tx = optax.with_extra_args_support(optax.sgd(1.0))
  loss_fn, key = losses.make(), jax.random.key(0)
  normalize = lambda x: x.astype(jnp.float32) / 255  # noqa: E731
  model = TwoHeads(auxiliary_weight=0.3)
  state = sharding.replicate(states.create(model, tx, key, (2, 2, 3)), mesh)
  before = jax.tree.map(np.asarray, state.params)
  train_step = step.make_train_step(
    model=model, tx=tx, loss_fn=loss_fn, batch_size=4, mesh=mesh,
    augment_fn=augment.make(augment.Settings(flip=False, pad=0), augment.Statistics(3)),
  )  # fmt: skip
  state = train_step(state, key, images, labels, order.of_epoch(key, jnp.int32(0), 4))

  def loss(params):
    x = normalize(images).reshape(4, -1)
    logits = {name: x @ layer['kernel'] + layer['bias'] for name, layer in params.items()}
    means = {name: jnp.mean(loss_fn(value, labels)) for name, value in logits.items()}
    return means['head'] + 0.3 * means['auxiliary'], means['head']

  gradient, main = jax.grad(loss, has_aux=True)(before)
  jax.tree.map(
    lambda old, new, g: np.testing.assert_allclose(old - g, new, rtol=1e-5, atol=1e-6),
    before, dict(state.params), gradient,
  )  # fmt: skip
  # The record is of the main logits alone, comparable with evaluation.
  assert metrics.read(state.means)['loss'] == pytest.approx(float(main), rel=1e-5)


def test_the_config_makes_the_heads_when_asked():
  made = config.load(str(ROOT / 'configs' / 'googlenet.py') + ':auxiliary=true')
  model = models.create(**made.model)
  assert model.auxiliary and model.auxiliary_weight == 0.3
  assert set(keys.MODULE_STREAMS) >= {'dropout'}


@pytest.mark.parametrize(
  ('name', 'fields', 'words'),
  [
    ('googlenet', {'five': '7x7'}, ['five', '7x7', '5x5', '3x3_3x3']),
    ('googlenet', {'width': 0.0}, ['width', '0.0']),
    ('googlenet', {'dropout': 1.0}, ['dropout', '1.0']),
    ('googlenet', {'auxiliary_weight': -1.0}, ['auxiliary_weight', '-1.0']),
    ('googlenet', {'depth': 3}, ['depth', 'auxiliary', 'five']),
    ('googlenet_cifar', {}, ['googlenet_cifar', 'googlenet_imagenet']),
  ],
)
def test_impossible_nets_say_what_is_possible(name, fields, words):
  with pytest.raises(InputError) as error:
    models.create(name, **fields)
  assert all(word in str(error.value) for word in words), error.value
  assert '\n' not in str(error.value)


def test_heads_on_too_small_a_map_are_one_line():
  with pytest.raises(InputError, match='5x5'):
    models.abstract_variables(models.create('googlenet_imagenet', auxiliary=True), 32)
