"""Shake-Shake: exact counts, how coefficients are drawn, the nets of sections 2 and 5."""

import importlib.util
import inspect
import itertools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.filled import variables as filled

from cifar_jax import config, models
from cifar_jax.errors import InputError
from cifar_jax.models import shake_coefficients, shake_resnext, shake_shake

ROOT = pathlib.Path(__file__).parents[2]
TORCH = json.loads((ROOT / 'tests/data/shake_shake_torch.json').read_text())['nets']
spec = importlib.util.spec_from_file_location('fill', ROOT / 'tests/data/fill.py')
fill = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fill)

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
BLOCKS, BATCH = 500, 8
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


@pytest.mark.parametrize('net', TINY)
def test_logits_are_those_of_torch(net):
  name, fields = TINY[net]
  model = models.create(name, **fields)
  assert models.num_params(model) == TORCH[net]['num_params']
  logits = jax.jit(lambda v, x: model.apply(v, x, train=False))(filled(model), fill.images())
  np.testing.assert_allclose(logits, np.array(TORCH[net]['logits']), rtol=1e-4, atol=1e-4)


def test_every_torch_net_has_a_row():
  assert set(TINY) == set(TORCH)


def draw(forward, backward, level, *more):
  gates = shake_coefficients.draw_gates(KEY, BLOCKS, BATCH, forward, backward, level, *more)
  return np.asarray(gates.forward), np.asarray(gates.backward)


def assert_uniform(x, low=0.0, high=1.0):
  assert low - 1e-6 <= x.min() and x.max() <= high + 1e-6
  unit = (x - low) / (high - low)
  assert abs(unit.mean() - 0.5) < 0.04 and abs(unit.var() - 1 / 12) < 0.01


def test_table_1_has_nine_rows():
  rows = itertools.product(('even', 'shake'), ('even', 'shake', 'keep'), ('batch', 'image'))
  fixed = {('even', 'even', 'image'), ('even', 'keep', 'batch'), ('even', 'keep', 'image')}
  assert set(shake_coefficients.TABLE_1.values()) == set(rows) - fixed
  for name, modes in shake_coefficients.TABLE_1.items():
    assert name == '-'.join(mode[0].upper() for mode in modes)


@pytest.mark.parametrize('row', shake_coefficients.TABLE_1)
def test_rows_of_table_1(row):
  alpha, beta = draw(*shake_coefficients.TABLE_1[row])
  assert alpha.shape == beta.shape == ((BLOCKS, 2, BATCH) if row[-1] == 'I' else (BLOCKS, 2))
  for coefficients, mode in ((alpha, row[0]), (beta, row[2])):
    np.testing.assert_allclose(coefficients.sum(axis=1), 1.0, rtol=1e-6)
    if mode == 'E':
      assert np.all(coefficients == 0.5)
    else:
      assert_uniform(coefficients[:, 0])
      assert len(np.unique(coefficients[:, 0])) > 0.99 * coefficients[:, 0].size
  assert np.array_equal(alpha, beta) == (row[2] == 'K' or row[:3] == 'E-E')
  if row[:3] == 'S-S':
    assert abs(np.corrcoef(alpha[:, 0].ravel(), beta[:, 0].ravel())[0, 1]) < 0.1


def test_the_same_row_for_all_images_and_for_each():
  alpha, _ = draw('shake', 'shake', 'image')
  assert np.all(np.ptp(alpha[:, 0], axis=-1) > 0)  # images differ within a block


# Where beta lies, given alpha below 0.5 and above.
INTERVALS = {
  'm1': (lambda a: (1 - a, 1 - a), lambda a: (1 - a, 1 - a)),
  'm2': (lambda a: (0 * a, a), lambda a: (a, 1 + 0 * a)),
  'm3': (lambda a: (a, 0.5 + 0 * a), lambda a: (0.5 + 0 * a, a)),
  'm4': (lambda a: (0.5 + 0 * a, 1 - a), lambda a: (1 - a, 0.5 + 0 * a)),
  'm5': (lambda a: (1 - a, 1 + 0 * a), lambda a: (0 * a, 1 - a)),
}


@pytest.mark.parametrize('level', shake_coefficients.LEVELS)
@pytest.mark.parametrize('rule', INTERVALS)
def test_backward_rules_place_beta_by_alpha(rule, level):
  alpha, beta = draw('shake', rule, level)
  np.testing.assert_array_equal(alpha, draw('shake', 'keep', level)[0])
  assert alpha.shape == beta.shape == ((BLOCKS, 2, BATCH) if level == 'image' else (BLOCKS, 2))
  np.testing.assert_allclose(beta.sum(axis=1), 1.0, rtol=1e-6)
  first, second = alpha[:, 0], beta[:, 0]
  assert_uniform(first)
  for below, side in ((True, first < 0.5), (False, first >= 0.5)):
    a, b = first[side], second[side]
    low, high = INTERVALS[rule][0 if below else 1](a)
    assert np.all(b >= low - 1e-6) and np.all(b <= high + 1e-6)
    if rule == 'm1':
      np.testing.assert_allclose(b, 1 - a, rtol=1e-6)
    else:
      wide = high - low > 0.01
      assert_uniform(((b - low) / np.where(wide, high - low, 1))[wide])


def test_backward_rules_go_away_from_alpha():
  distances = {}
  for rule in INTERVALS:
    alpha, beta = draw('shake', rule, 'image')
    distances[rule] = np.abs(beta - alpha)[:, 0]
  # alpha is uniform in [0, 0.5] up to its mirror image: means of the intervals' distances.
  means = {'m1': 0.5, 'm2': 0.125, 'm3': 0.125, 'm4': 0.375, 'm5': 0.625}
  for rule, mean in means.items():
    assert abs(distances[rule].mean() - mean) < 0.02
  assert max(distances['m2'].max(), distances['m3'].max()) <= 0.5 + 1e-6  # where the effect jumps


def test_alpha_keeps_to_its_range():
  alpha, beta = draw('shake', 'even', 'image', 2, (0.4, 0.6))
  assert_uniform(alpha[:, 0], 0.4, 0.6)
  assert_uniform(alpha[:, 1], 0.4, 0.6)
  assert np.all(beta == 0.5)


@pytest.mark.parametrize('branches', [2, 3, 5])
def test_coefficients_of_any_number_of_branches_are_uniform_on_the_simplex(branches):
  for coefficients in draw('shake', 'shake', 'image', branches):
    assert coefficients.shape == (BLOCKS, branches, BATCH) and coefficients.min() >= 0
    np.testing.assert_allclose(coefficients.sum(axis=1), 1.0, rtol=1e-5)
    # Each is Beta(1, n - 1) then, and no branch is preferred.
    n = branches
    np.testing.assert_allclose(coefficients.mean(axis=(0, 2)), 1 / n, atol=0.02)
    variance = (n - 1) / (n**2 * (n + 1))
    np.testing.assert_allclose(coefficients.var(axis=(0, 2)), variance, rtol=0.15)
    half = np.mean(coefficients > 0.5, axis=(0, 2))
    np.testing.assert_allclose(half, 0.5 ** (n - 1), atol=0.03)


def test_two_branches_are_the_papers_draw():
  alpha_key, beta_key = jax.random.split(KEY)
  for coefficients, key in zip(draw('shake', 'shake', 'image'), (alpha_key, beta_key), strict=True):
    uniform = np.asarray(jax.random.uniform(key, (BLOCKS, BATCH)))
    np.testing.assert_array_equal(coefficients, np.stack([uniform, 1 - uniform], axis=1))


def test_branches_share_equally_at_test_time():
  gates = shake_coefficients.draw_gates(None, 4, BATCH, 'shake', 'm5', 'image')
  assert gates.forward.shape == (4, 2) and np.all(gates.forward == 0.5)
  gates = shake_coefficients.draw_gates(None, 4, BATCH, 'shake', 'shake', 'image', 3)
  np.testing.assert_allclose(gates.forward, np.full((4, 3), 1 / 3), rtol=1e-6)


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
    ('shake_shake_8_3x2d', {}, 0.05),
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

  @jax.jit
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
    (
      'net=c',
      ('shake_shake_14_2x32d', 'shake', 'even', 'image'),
      ('cifar10', 128, 0.05, 1e-4),
    ),
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
  assert (
    made.data.name,
    made.train.batch_size,
    made.schedule.learning_rate,
    made.optimizer.weight_decay,
  ) == train
  assert made.train.num_epochs == 1800 and made.schedule.name == 'cosine'
  models.create(**fields)


def test_the_recipe_without_norms_starts_softly():
  made = config.load(f'{ROOT}/configs/shake_shake.py:net=c')
  assert made.schedule.warmup_epochs == 1.0 and made.schedule.warmup_learning_rate == 0.025
  assert made.model.alpha_range == (0.4, 0.6) and not made.model.norm and not made.model.skip
