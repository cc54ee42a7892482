"""EfficientNet: its counts, its scaling, and drop-connect as the authors' code has it."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data import fill
from test_against_torch import filled

from cifar_jax import config, losses, models
from cifar_jax.errors import InputError
from cifar_jax.models import efficientnet, layers
from cifar_jax.models.squeeze_excitation import SqueezeExcitation

ROOT = pathlib.Path(__file__).parents[2]
TORCH = json.loads((ROOT / 'tests' / 'data' / 'efficientnet_torch.json').read_text())
# What the tests compile runs for a moment: to optimise it would take longer.
FAST = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
# ImageNet's as the published nets have them; on CIFAR the head has 10 or 100 classes instead.
IMAGENET = (5_288_548, 7_794_184, 9_109_994, 12_233_232, 19_341_616, 30_389_784, 43_040_704,
            66_347_960)  # fmt: skip
HEADS = (1280, 1280, 1408, 1536, 1792, 2048, 2304, 2560)
COUNTS = {f'efficientnet_b{i}_imagenet': count for i, count in enumerate(IMAGENET)} | {
  f'efficientnet_b{i}': tuple(count - (1000 - n) * (HEADS[i] + 1) for n in (10, 100))
  for i, count in enumerate(IMAGENET)
}
TINY = {'width': 0.25, 'depth': 0.3}  # seven blocks of 8 to 80 channels


def derived(model, classes):
  """Parameters layer by layer, from the rows of table 1 as the model scales them."""
  width = efficientnet.scaled_width(32, model.width)
  total = 9 * 3 * width + 2 * width
  for block in model.blocks().values():
    inner = width * block.expansion
    total += (width * inner + 2 * inner) * (block.expansion > 1)
    total += block.size**2 * inner + 2 * inner
    total += (width // 4) * inner * 2 + width // 4 + inner
    total += inner * block.width + 2 * block.width
    width = block.width
  last = efficientnet.scaled_width(1280, model.width)
  return total + width * last + 2 * last + (last + 1) * classes


@pytest.mark.parametrize('name', COUNTS)
def test_the_layers_add_up_to_the_published_count(name):
  imagenet = name.endswith('_imagenet')
  model = models.create(name)
  counts = (COUNTS[name],) if imagenet else COUNTS[name]
  assert tuple(derived(model, n) for n in ((1000,) if imagenet else (10, 100))) == counts


@pytest.mark.parametrize('name', ['efficientnet_b0', 'efficientnet_b2', 'efficientnet_b3_imagenet'])
def test_the_model_has_those_layers(name):
  classes = 1000 if name.endswith('_imagenet') else 10
  model = models.create(name, num_classes=classes)
  assert models.num_params(model) == derived(model, classes)


def test_every_registered_model_has_a_row():
  assert set(COUNTS) == set(efficientnet.NAMES)


def test_the_table_is_the_compound_rule_rounded_as_far_as_it_goes():
  for phi, (scaling, _) in zip((0.0, 0.5, 1.0, 2.0), efficientnet.VARIANTS, strict=False):
    ruled = efficientnet.compound(phi)
    assert abs(ruled.depth - scaling.depth) <= 0.05 and abs(ruled.width - scaling.width) <= 0.05
    assert abs(ruled.image_size / scaling.image_size - 1) <= 0.02
  assert pytest.approx(2.0, abs=0.1) == 1.2 * 1.1**2 * 1.15**2  # operations double
  sizes = [models.create(f'efficientnet_b{i}_imagenet').image_size for i in range(8)]
  assert sizes == [224, 240, 260, 300, 380, 456, 528, 600]
  dropouts = [models.create(f'efficientnet_b{i}').dropout for i in range(8)]
  assert dropouts == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]


def test_widths_are_multiples_of_eight_and_no_more_than_a_tenth_too_small():
  assert [efficientnet.scaled_width(w, 1.1) for w in (32, 16, 24, 40)] == [32, 16, 24, 48]
  assert efficientnet.scaled_width(40, 0.25) == 16  # 8 would be a fifth below 10


@pytest.mark.parametrize('name', TORCH['nets'])
def test_logits_are_those_of_torch(name):
  model = models.create(name, width=TORCH['width'], depth=TORCH['depth'])
  assert models.num_params(model) == TORCH['nets'][name]['num_params']
  forward = jax.jit(lambda v, x: model.apply(v, x, train=False), compiler_options=FAST)
  logits = forward(filled(model), fill.images())
  np.testing.assert_allclose(logits, TORCH['nets'][name]['logits'], rtol=2e-4, atol=2e-4)


def test_survival_falls_over_all_blocks_and_only_those_with_shortcuts_can_be_dropped():
  model = models.create('efficientnet_b0')
  kept = [2, 4, 6, 7, 9, 10, 12, 13, 14]  # of 16, from 0: not the first of a stage
  assert model.num_blocks == 9
  np.testing.assert_allclose(model.survival(), [1 - 0.2 * i / 16 for i in kept], rtol=1e-6)


def test_an_image_keeps_a_branch_as_often_as_it_should_and_then_divided_by_that():
  survival = np.array([1.0, 0.8, 0.5], np.float32)
  gates = efficientnet.draw_gates(jax.random.key(0), survival, 5000)
  assert gates.forward.shape == (3, 1, 5000) and np.all(gates.shortcut == 1.0)
  np.testing.assert_array_equal(gates.forward, gates.backward)
  for values, p in zip(np.asarray(gates.forward)[:, 0], survival, strict=True):
    assert set(np.unique(values)) <= {np.float32(0.0), np.float32(1.0) / p}
    assert np.mean(values) == pytest.approx(1.0, abs=0.05)  # nothing to scale at test time


@pytest.fixture(scope='module')
def tiny():
  """A tiny net, its variables, eight images and labels."""
  model = models.create('efficientnet_b0', **TINY, survival_probability=0.5)
  images = jax.random.normal(jax.random.key(0), (8, 8, 8, 3))
  return model, filled(model), images, jnp.arange(8) % 4


def test_a_closed_gate_leaves_the_input_and_open_gates_change_nothing(tiny):
  model, variables, images, _ = tiny

  @functools.partial(jax.jit, compiler_options=FAST)
  def run(gate):
    value = jnp.full((model.num_blocks, 1, 8), gate)
    gates = layers.Gates(value, value, jnp.ones(model.num_blocks))
    return model.apply(
      variables, images, train=False, gates=gates, capture_intermediates=True,
      mutable=['intermediates'],
    )  # fmt: skip

  _, state = run(0.0)
  del state['intermediates']['__call__']  # the net's own
  seen = {name: tree['__call__'][0] for name, tree in state['intermediates'].items()}
  names = list(model.blocks())
  before = dict(zip(names, [jax.nn.swish(seen['stem_norm']), *map(seen.get, names)], strict=False))
  droppable = [name for name, block in model.blocks().items() if block.has_shortcut]
  assert len(droppable) == model.num_blocks > 0
  for name in droppable:
    np.testing.assert_allclose(seen[name], before[name], rtol=1e-5, atol=1e-6)
  evaluate = jax.jit(lambda v: model.apply(v, images, train=False), compiler_options=FAST)
  np.testing.assert_allclose(run(1.0)[0], evaluate(variables), rtol=1e-5, atol=1e-6)


def test_a_tiny_net_trains_and_the_gradient_reaches_every_parameter(tiny):
  model, variables, images, labels = tiny
  loss_fn = losses.make()

  @functools.partial(jax.jit, compiler_options=FAST)
  def train(params, stats, key):
    def loss(params):
      streams = {'dropout': key, 'drop_path': jax.random.fold_in(key, 1)}
      logits, updates = model.apply(
        {'params': params, 'batch_stats': stats}, images, train=True, rngs=streams,
        mutable=['batch_stats'],
      )  # fmt: skip
      return jnp.mean(loss_fn(logits, labels)), updates['batch_stats']

    (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params)
    return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), stats, value, gradient

  params, stats = variables['params'], variables['batch_stats']
  seen, reached = [], jax.tree.map(lambda leaf: False, params)
  for i in range(12):
    params, stats, value, gradient = train(params, stats, jax.random.key(i))
    if not i:  # momentum 0.99
      conv = jax.lax.conv_general_dilated(
        images, variables['params']['stem_conv']['kernel'], (1, 1), 'SAME',
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
      )  # fmt: skip
      old = variables['batch_stats']['stem_norm']['mean']
      np.testing.assert_allclose(
        stats['stem_norm']['mean'], 0.99 * old + 0.01 * np.mean(conv, axis=(0, 1, 2)), rtol=1e-4
      )
    seen.append(float(value))
    reached = jax.tree.map(lambda r, g: r or bool(np.any(g)), reached, gradient)
  assert np.mean(seen[-3:]) < 0.8 * np.mean(seen[:3])
  assert all(jax.tree.leaves(reached)), reached


def test_squeeze_and_excitation_weighs_channels_by_their_means():
  module = SqueezeExcitation(features=1, activation=jax.nn.relu)
  x = jnp.arange(8.0).reshape(1, 2, 2, 2)  # means of 3 and 4
  params = {
    'squeeze': {'kernel': jnp.array([[1.0], [-1.0]]), 'bias': jnp.array([3.0])},
    'excite': {'kernel': jnp.array([[0.5, -1.0]]), 'bias': jnp.array([0.0, 1.0])},
  }
  factors = jax.nn.sigmoid(jnp.array([0.5 * 2.0, -2.0 + 1.0]))
  out = module.apply({'params': params}, x)
  np.testing.assert_allclose(out, x * factors[None, None, None], rtol=1e-6)


def test_squeezing_is_to_a_quarter_of_the_blocks_input_not_of_what_it_expands_to(tiny):
  params = tiny[1]['params']
  kernel = params['stage3_block1']['squeeze_excitation']['squeeze']['kernel']
  assert kernel.shape == (6 * 8, 8 // 4)


def test_the_config_has_each_variants_dropout():
  made = [config.load(f'{ROOT}/configs/efficientnet.py:variant={i}') for i in range(8)]
  for i, one in enumerate(made):
    assert models.create(**one.model).dropout == efficientnet.VARIANTS[i][1]


@pytest.mark.parametrize(
  ('name', 'fields', 'words'),
  [
    ('efficientnet_b8', {}, ['efficientnet_b8', 'efficientnet_b{0..7}']),
    ('efficientnet_b0', {'survival_probability': 0.0}, ['survival_probability', '0.0']),
    ('efficientnet_b0', {'dropout': -0.1}, ['dropout', '-0.1']),
    ('efficientnet_b0', {'width': 0.0}, ['width', '0.0']),
    ('efficientnet_b0', {'shortcut': 'pad'}, ['shortcut', 'survival_probability', 'depth']),
  ],
)
def test_impossible_nets_say_what_is_possible(name, fields, words):
  with pytest.raises(InputError) as error:
    models.create(name, **fields)
  assert all(word in str(error.value) for word in words), error.value
  assert '\n' not in str(error.value)
