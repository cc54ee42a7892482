"""PyramidNet and ShakeDrop: counts, growth, the units of figure 6, shortcuts, factors, recipes."""

import functools
import json
import math
import pathlib
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from data import fill
from data.filled import variables as filled
from with_and_without_remat import training_passes

from cifar_jax import config, models
from cifar_jax.errors import InputError
from cifar_jax.models import cost, layers, pyramidnet, shake_drop, stochastic_depth

ROOT = pathlib.Path(__file__).parents[2]
TORCH = json.loads((ROOT / 'tests' / 'data' / 'pyramidnet_torch.json').read_text())['nets']
# Trainable parameters with 10 and with 100 classes, as the authors' code builds the nets.
COUNTS = {
  'pyramidnet110_mul_4.75': (1_762_206, 1_769_136),
  'pyramidnet110_a48': (1_772_706, 1_778_556),
  'pyramidnet110_mul_8': (3_876_547, 3_888_157),
  'pyramidnet110_a84': (3_904_446, 3_913_536),
  'pyramidnet110_mul_27': (28_361_693, 28_400_663),
  'pyramidnet110_a270': (28_485_477, 28_511_307),
  'pyramidnet164_a48_bottleneck': (1_715_442, 1_738_572),
  'pyramidnet164_a84_bottleneck': (3_757_494, 3_793_584),
  'pyramidnet164_a270_bottleneck': (27_216_021, 27_319_071),
  'pyramidnet200_a240_bottleneck': (26_752_702, 26_844_952),
  'pyramidnet236_a220_bottleneck': (26_969_046, 27_054_096),
  'pyramidnet272_a200_bottleneck': (26_210_842, 26_288_692),
}
BATCH = 8
SHAKEN = {'shake_drop': 'image', 'survival_probability': 0.5}


def derived(model, num_classes=10):
  """The parameters of a net, added layer by layer: kernels, and two numbers a channel of a BN."""
  blocks, width, x = model.num_blocks, 16.0, 16
  total = 9 * 3 * 16 + 2 * 16
  for k in range(blocks):
    added, factor = model.alpha / blocks, model.alpha ** (1 / blocks)
    width = width + added if model.growth == 'add' else width * factor
    w = math.floor(width + 0.5)
    out = 4 * w if model.bottleneck else w
    if model.bottleneck:
      total += 2 * x + x * w + 2 * w + 9 * w * w + 2 * w + w * out
    else:
      total += 2 * x + 9 * x * w + 2 * w + 9 * w * w
    total += 2 * out if model.last_norm else 0
    halves = k in (blocks // 3, 2 * blocks // 3)
    projects = {'pad': False, 'mixed': halves, 'project': halves or x != out}[model.shortcut]
    total += x * out if projects else 0
    x = out
  return total + 2 * x + (x + 1) * num_classes


def test_every_registered_name_has_its_count_layer_by_layer():
  assert set(COUNTS) == set(pyramidnet.NAMES) == set(pyramidnet.PUBLISHED)
  for name, counts in COUNTS.items():
    model = models.create(name)
    assert (derived(model), derived(model, 100)) == counts, name


@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    ('pyramidnet110_a48', {}),
    ('pyramidnet110_mul_4.75', {}),
    ('pyramidnet164_a84_bottleneck', {}),
    ('pyramidnet14_a9', {'first_relu': True, 'shortcut': 'project'}),
    ('pyramidnet14_a9', {'last_norm': False, 'shortcut': 'mixed'}),
    ('pyramidnet20_mul_2_bottleneck', {'last_norm': False, 'shortcut': 'project'}),
    ('pyramidnet20_mul_2_bottleneck', {'shortcut': 'mixed'}),
  ],
)
def test_parameters_are_exact(name, fields):
  model = models.create(name, **fields)
  assert models.num_params(model) == derived(model)


def test_multiplicative_widths_grow_by_an_equal_factor_and_reach_16_alpha():
  widths = pyramidnet.widths(54, 4.75, 'mul')
  assert widths[:4] == [16, 17, 17, 18]  # 16.47, 16.95, 17.45, 17.96, each rounded when used
  ends = {alpha: pyramidnet.widths(54, alpha, 'mul')[-1] for alpha in (4.75, 8, 27)}
  assert ends == {4.75: 76, 8: 128, 27: 432}  # the README's output dimensions
  assert pyramidnet.widths(2, 4, 'mul') == [32, 64] and pyramidnet.widths(2, 4) == [18, 20]


@pytest.mark.parametrize('name', TORCH)
def test_logits_are_those_of_torch(name):
  expected = TORCH[name]
  model = models.create(name, **expected['fields'])
  assert models.num_params(model) == expected['num_params']
  logits = jax.jit(functools.partial(model.apply, train=False))(filled(model), fill.images())
  np.testing.assert_allclose(logits, np.array(expected['logits']), rtol=2e-4, atol=2e-4)


def drawn(level, draws=4000):
  """Forward and backward factors of three blocks, float32 `[draws, 3]`."""
  key = jax.random.key(0)
  if level == 'image':
    gates = jax.jit(lambda key: shake_drop.gates(key, 3, draws, 0.5, level))(key)
    assert gates.forward.shape == gates.backward.shape == (3, 1, draws)
    return np.asarray(gates.forward)[:, 0].T, np.asarray(gates.backward)[:, 0].T
  one = lambda key: shake_drop.gates(key, 3, BATCH, 0.5, level)  # noqa: E731
  gates = jax.jit(lambda key: jax.vmap(one)(jax.random.split(key, draws)))(key)
  assert gates.forward.shape == gates.backward.shape == (draws, 3, 1)
  return np.asarray(gates.forward)[..., 0], np.asarray(gates.backward)[..., 0]


@pytest.mark.parametrize('level', shake_drop.LEVELS)
def test_shake_drop_draws_its_factors(level):
  forward, backward = drawn(level)
  survival = stochastic_depth.survival_probabilities(3, 0.5)  # 5/6, 4/6, 3/6
  whole = forward == 1.0
  np.testing.assert_array_equal(whole, backward == 1.0)  # one b for both passes
  np.testing.assert_allclose(whole.mean(axis=0), survival, atol=0.03)
  alpha, beta = forward[~whole], backward[~whole]
  for values, low, high in ((alpha, -1.0, 1.0), (beta, 0.0, 1.0)):  # uniform
    assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
    np.testing.assert_allclose(values.mean(), (low + high) / 2, atol=0.03)
    np.testing.assert_allclose(values.var(), (high - low) ** 2 / 12, atol=0.02)
  assert abs(np.corrcoef(alpha, beta)[0, 1]) < 0.05  # drawn independently of each other
  at_test = shake_drop.gates(None, 3, BATCH, 0.5, level)
  np.testing.assert_allclose(at_test.forward[:, 0], survival, rtol=1e-6)
  np.testing.assert_allclose(forward.mean(axis=0), survival, atol=0.03)  # its expectation


@pytest.mark.parametrize('level', shake_drop.LEVELS)
def test_shake_drop_multiplies_value_and_gradient_by_different_factors(level):
  gates = shake_drop.gates(jax.random.key(3), 4, BATCH, 0.01, level).of_block(3)
  shortcut, branch = (jax.random.normal(jax.random.key(s), (BATCH, 2, 2, 3)) for s in (0, 1))
  add = lambda s, b: layers.residual_sum(s, (b,), gates)  # noqa: E731
  value, vjp = jax.vjp(jax.jit(add), shortcut, branch)
  to_shortcut, to_branch = vjp(jnp.ones_like(value))
  alpha, beta = (
    np.broadcast_to(gate[0], BATCH)[:, None, None, None] for gate in (gates.forward, gates.backward)
  )
  assert not np.allclose(alpha, beta)
  np.testing.assert_allclose(value, shortcut + alpha * branch, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(to_branch, np.broadcast_to(beta, branch.shape), rtol=1e-6)
  np.testing.assert_array_equal(to_shortcut, np.ones_like(shortcut))


@pytest.mark.parametrize('level', shake_drop.LEVELS)
def test_a_net_draws_at_its_level_and_computes_every_branch(level):
  model = models.create('pyramidnet8_a6', shake_drop=level, survival_probability=0.01)
  variables, images = filled(model), np.random.RandomState(0).randn(BATCH, 8, 8, 3)

  @jax.jit
  def apply(key):
    _, state = model.apply(
      variables, images, train=True, rngs={'shake': key}, mutable=True, capture_intermediates=True
    )
    seen = state['intermediates']
    branch = seen['stage3_block1']['norm3']['__call__'][0]
    pooled = layers.average_pool(seen['stage2_block1']['__call__'][0], 2)
    shortcut = layers.pad_channels(pooled, branch.shape[-1])
    return branch, seen['stage3_block1']['__call__'][0] - shortcut, state['batch_stats']

  factors, before = [], variables['batch_stats']
  for seed in (0, 1):
    branch, added, statistics = jax.device_get(apply(jax.random.key(seed)))
    factors.append(np.sum(added * branch, (1, 2, 3)) / np.sum(branch**2, (1, 2, 3)))
    np.testing.assert_allclose(added, factors[-1][:, None, None, None] * branch, atol=1e-4)
    for stage in (1, 2, 3):
      old, new = (v[f'stage{stage}_block1']['norm3']['mean'] for v in (before, statistics))
      assert np.all(new != old)
  assert np.min(factors) >= -1 and np.max(factors) < 1 and not np.allclose(*factors)
  assert len(np.unique(np.round(factors[0], 4))) == (BATCH if level == 'image' else 1)


def test_the_gradient_reaches_every_parameter_and_the_loss_falls():
  model = models.create('pyramidnet8_mul_1.5', shortcut='project', first_relu=True, **SHAKEN)
  variables, images = filled(model), np.random.RandomState(0).randn(BATCH, 8, 8, 3)

  @jax.jit
  def step(params, key):
    def loss(params):
      logits, _ = model.apply(
        variables | {'params': params}, images, train=True, rngs={'shake': key}, mutable=True
      )
      return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.arange(BATCH)).mean()

    value, gradient = jax.value_and_grad(loss)(params)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), value, gradient

  params, losses = variables['params'], []
  for i in range(12):
    params, value, gradient = step(params, jax.random.key(i))
    losses.append(float(value))
  for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(gradient)):
    assert np.any(leaf != 0), path
  assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3]), losses


@pytest.mark.parametrize(
  ('name', 'fields', 'words'),
  [
    ('pyramidnet111_mul_8', {}, ['6n + 2', '111', '110', '116']),
    ('pyramidnet112_mul_8_bottleneck', {}, ['9n + 2', '112', '110', '119']),
    ('pyramidnet110_mul_0.5', {}, ['alpha', '0.5']),
    ('pyramidnet110_mul4.75', {}, ['pyramidnet110_mul_4.75']),
    ('pyramidnet8_a6', {'growth': 'mul'}, ['growth', 'first_relu', 'shake_drop']),
    ('pyramidnet8_a6', {'shortcut': 'pool_pad'}, ['pool_pad', 'project', 'mixed']),
    ('pyramidnet8_a6', SHAKEN | {'shake_drop': 'pixel'}, ['pixel', 'batch', 'image']),
    ('pyramidnet8_a6', {'shake_drop': 'image'}, ['survival_probability', '0.5']),
  ],
)
def test_impossible_nets_say_what_is_possible(name, fields, words):
  with pytest.raises(InputError) as error:
    models.create(name, **fields)
  assert all(word in str(error.value) for word in words), error.value
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('text', 'name', 'level', 'rate', 'epochs', 'batch', 'decay'),
  [
    ('', 'pyramidnet110_a48', '', 0.1, 300, 128, 1e-4),
    ('growth=mul,alpha=4.75,epochs=2', 'pyramidnet110_mul_4.75', '', 0.1, 2, 128, 1e-4),
    ('alpha=270,shake_drop=true', 'pyramidnet110_a270', 'batch', 0.5, 300, 128, 1e-4),
    (
      'depth=272,alpha=200,shake_drop=true,recipe=autoaugment,dataset=cifar100',
      *('pyramidnet272_a200_bottleneck', 'image', 0.05, 1800, 64, 5e-5),
    ),
  ],
)
def test_recipes(text, name, level, rate, epochs, batch, decay):
  made = config.load(f'{ROOT}/configs/pyramidnet.py:{text}')
  assert (made.model.name, made.model.shake_drop) == (name, level)
  assert models.create(**made.model).survival_probability == (0.5 if level else 1.0)
  assert (made.schedule.learning_rate, made.optimizer.weight_decay) == (rate, decay)
  assert (made.train.num_epochs, made.train.batch_size) == (epochs, batch)
  assert made.schedule.name == ('cosine' if epochs == 1800 else 'piecewise')


def test_the_config_prints_the_published_errors():
  table = runpy.run_path(str(ROOT / 'configs' / 'pyramidnet.py'))['VARIANTS']
  assert table == {name: (p.cifar10, p.cifar100) for name, p in pyramidnet.PUBLISHED.items()}


@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    ('pyramidnet11_a6_bottleneck', {}),
    ('pyramidnet8_a6', {'survival_probability': 0.5}),  # blocks inside conditionals
  ],
)
def test_remat_changes_neither_logits_nor_statistics_nor_gradients(name, fields):
  variables = filled(models.create(name, **fields))
  images = np.random.RandomState(0).standard_normal((BATCH, 8, 8, 3)).astype(np.float32)
  kept, recomputed = training_passes(name, variables, images, **fields)
  # A bias that a norm takes away again has a gradient of rounding errors alone.
  largest = max(np.max(np.abs(leaf)) for leaf in jax.tree.leaves(kept))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6 * largest), kept, recomputed
  )


def test_remat_hands_over_what_enters_the_units():
  kept = [
    cost.measure(models.create('pyramidnet11_a12_bottleneck', remat=remat)).training_bytes
    for remat in (False, True)
  ]
  enters = [16] + [4 * width for width in pyramidnet.widths(3, 12.0)]
  sizes = [32, 32, 16, 8]
  units = sum(4 * width * size**2 for width, size in zip(enters, sizes, strict=True))
  assert units < kept[1] < 1.5 * units < 0.4 * kept[0]
