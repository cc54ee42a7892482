"""PyramidNet: counts layer by layer, growing widths, recipes, and rematerialisation."""

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.config import loading
from cifar_jax.errors import InputError
from cifar_jax.models import pyramidnet
from cifar_jax.models.cost import counting
from tests.models import exact_counts
from tests.support import fill
from tests.support.filled import filled_variables
from tests.support.paths import ROOT
from tests.support.with_and_without_remat import training_passes


def layer_by_layer(model: Any, num_classes: int = 10) -> int:
  """The parameters of a net: kernels, and two numbers per channel of a batch normalisation."""
  blocks, width, x = model.num_blocks, 16.0, 16
  planned = blocks + 3 * model.short_stages  # over which alpha is shared
  total = 9 * 3 * 16 + 2 * 16
  for k in range(blocks):
    added, factor = model.alpha / planned, model.alpha ** (1 / planned)
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


def test_every_name_has_a_published_error() -> None:
  assert set(pyramidnet.NAMES) == set(pyramidnet.PUBLISHED)


@pytest.mark.parametrize('name', exact_counts.PYRAMIDNET)
def test_counts_are_those_of_the_layers(name: str) -> None:
  model = models.create(name)
  counts = (layer_by_layer(model), layer_by_layer(model, 100))
  assert counts == exact_counts.PYRAMIDNET[name]


@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    ('pyramidnet14_a9', {'first_relu': True, 'shortcut': 'project'}),
    ('pyramidnet14_a9', {'last_norm': False, 'shortcut': 'mixed'}),
    ('pyramidnet20_mul_2_bottleneck', {'last_norm': False, 'shortcut': 'project'}),
    ('pyramidnet20_mul_2_bottleneck', {'shortcut': 'mixed'}),
  ],
)
def test_counts_of_the_other_units_and_shortcuts(name: str, fields: dict[str, Any]) -> None:
  model = models.create(name, **fields)
  assert models.num_params(model) == layer_by_layer(model)


def test_additive_widths_grow_at_every_block_to_16_plus_alpha() -> None:
  widths = pyramidnet.widths(54, 48)
  assert widths[:4] == [17, 18, 19, 20]  # 16.89, 17.78, 18.67, 19.56, each rounded when used
  assert widths[-1] == 64 and len(widths) == 54
  assert pyramidnet.widths(30, 200)[-1] == 216


def test_short_stages_lack_a_block_each_and_share_alpha_over_all() -> None:
  model: Any = models.create('pyramidnet110_a48_short')
  assert model.stage_sizes == (17, 17, 17) and model.num_blocks == len(model.block_widths) == 51
  assert model.block_widths == pyramidnet.widths(54, 48)[:51] and model.block_widths[-1] == 61
  full: Any = models.create('pyramidnet110_a48')
  assert full.stage_sizes == (18, 18, 18) and full.block_widths[-1] == 64
  with pytest.raises(InputError, match='no block to spare'):
    models.create('pyramidnet8_a12_short')


def test_multiplicative_widths_grow_by_an_equal_factor_to_16_alpha() -> None:
  widths = pyramidnet.widths(54, 4.75, 'mul')
  assert widths[:4] == [16, 17, 17, 18]  # 16.47, 16.95, 17.45, 17.96, each rounded when used
  ends = {alpha: pyramidnet.widths(54, alpha, 'mul')[-1] for alpha in (4.75, 8, 27)}
  assert ends == {4.75: 76, 8: 128, 27: 432}  # the README's output dimensions
  assert pyramidnet.widths(2, 4, 'mul') == [32, 64] and pyramidnet.widths(2, 4) == [18, 20]


def test_no_relu_comes_before_the_first_convolution_of_a_block_or_after_the_stem() -> None:
  # The stem is negative everywhere. With a ReLU after it, its gradient would vanish.
  model: Any = models.create('pyramidnet8_a12')
  variables, images = filled_variables(model), fill.images(4)
  params = variables['params']
  params['stem_norm']['bias'] = jnp.full(16, -100.0)

  def loss(kernel: jax.Array) -> Any:
    changed = params | {'stem_conv': {'kernel': kernel}}
    return jnp.sum(model.apply(variables | {'params': changed}, images, train=False) ** 2)

  assert np.any(jax.jit(jax.grad(loss))(params['stem_conv']['kernel']))


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
def test_the_recipe_sets_the_model_and_the_schedule(
  text: str, name: str, level: str, rate: float, epochs: int, batch: int, decay: float
) -> None:
  config = loading.load(f'{ROOT}/configs/pyramidnet.py:{text}')
  assert (config.model.name, config.model.shake_drop) == (name, level)
  assert models.create(**config.model).survival_probability == (0.5 if level else 1.0)
  assert (config.schedule.learning_rate, config.optimizer.weight_decay) == (rate, decay)
  assert (config.train.num_epochs, config.train.batch_size) == (epochs, batch)
  assert config.schedule.name == ('cosine' if epochs == 1800 else 'piecewise')


def test_the_recipe_of_short_stages_is_that_of_its_text_and_looks_at_the_test_images() -> None:
  path = ROOT / 'configs' / 'pyramidnet.py'
  config = loading.load(f'{path}:short=true')
  assert config.model.name == 'pyramidnet110_a48_short'
  assert (config.schedule.name, config.schedule.learning_rate) == ('piecewise', 0.1)
  assert not config.optimizer.nesterov and config.optimizer.momentum == 0.9
  assert config.train.test_each_epoch and config.data.validation_size == 0
  published = pyramidnet.PUBLISHED['pyramidnet110_a48_short']
  assert f'{published.cifar10:.2f} %, the lowest error of any epoch' in path.read_text()


@pytest.mark.parametrize('name', sorted(set(pyramidnet.PUBLISHED) - {'pyramidnet110_a48_short'}))
def test_the_recipe_chooses_the_published_block_and_states_the_published_errors(name: str) -> None:
  match = re.fullmatch(pyramidnet.PATTERN, name)
  assert match is not None
  depth, growth, alpha = match['depth'], match['growth'] or 'add', match['alpha']
  path = ROOT / 'configs' / 'pyramidnet.py'
  config = loading.load(f'{path}:depth={depth},growth={growth},alpha={alpha}')
  assert config.model.name == name
  published = pyramidnet.PUBLISHED[name]
  errors = f'{published.cifar10:.2f} / {published.cifar100:.2f}'
  label = f'{depth}, {"alpha" if growth == "add" else "mul"} {alpha}'
  assert re.search(rf'{re.escape(label)} +{re.escape(errors)}', path.read_text())


@pytest.mark.ci
@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    pytest.param('pyramidnet11_a6_bottleneck', {}, marks=pytest.mark.slow),
    ('pyramidnet8_a6', {'survival_probability': 0.5}),  # blocks inside conditionals
  ],
)
def test_remat_changes_neither_logits_nor_statistics_nor_gradients(
  name: str, fields: dict[str, Any]
) -> None:
  variables = filled_variables(models.create(name, **fields))
  plain, rematerialised = training_passes(name, variables, fill.images(8, 8), **fields)
  # The gradient of a bias before a norm is rounding only, so the tolerance is that of the largest.
  largest = max(np.max(np.abs(leaf)) for leaf in jax.tree.leaves(plain))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6 * largest),
    plain,
    rematerialised,
  )


def test_remat_keeps_the_inputs_of_blocks_and_little_else() -> None:
  plain, rematerialised = (
    counting.measure(models.create('pyramidnet11_a12_bottleneck', remat=remat)).training_bytes
    for remat in (False, True)
  )
  widths = [16] + [4 * width for width in pyramidnet.widths(3, 12.0)]
  inputs = sum(4 * width * size**2 for width, size in zip(widths, [32, 32, 16, 8], strict=True))
  assert inputs < rematerialised < 1.5 * inputs < 0.4 * plain
