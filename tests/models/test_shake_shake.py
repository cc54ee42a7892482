"""Shake-Shake: the nets of sections 2 and 5, and their recipes."""

import inspect
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.config import loading
from cifar_jax.models import layers, shake_shake, shake_shake_net
from cifar_jax.models.shake_shake_coefficients import draw_shake_gates
from tests.support import fill
from tests.support.filled import filled_variables
from tests.support.paths import ROOT

# The nets of section 5.
A: dict[str, Any] = {'skip': False}
B: dict[str, Any] = {'skip': False, 'branch_convs': 1}
C: dict[str, Any] = {'skip': False, 'norm': False, 'alpha_range': (0.4, 0.6)}


def layer_by_layer(
  depth: int, branches: int, width: int, convs: int = 2, skip: bool = True, norm: bool = True
) -> int:
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
def test_counts_of_other_nets_are_those_of_the_layers(
  name: str, fields: dict[str, Any], layout: tuple[Any, ...], count: int
) -> None:
  assert models.num_params(models.create(name, **fields)) == layer_by_layer(*layout) == count


@pytest.mark.parametrize(
  ('name', 'fields', 'num_blocks', 'has_shortcuts'),
  [
    ('shake_shake_26_2x32d', {}, 12, True),
    ('shake_shake_26_2x32d', B, 24, False),
    ('shake_shake_14_2x32d', C, 6, False),
    ('shake_shake_resnext_29_2x4x64d', {}, 9, True),
  ],
)
def test_nets_have_the_papers_blocks_and_shortcuts(
  name: str, fields: dict[str, Any], num_blocks: int, has_shortcuts: bool
) -> None:
  model = models.create(name, **fields)
  assert (model.num_blocks, model.has_shortcuts) == (num_blocks, has_shortcuts)


@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    ('shake_shake_8_2x2d', {'backward': 'm4', 'alpha_range': (0.4, 0.6)}),
    ('shake_shake_8_3x2d', {'forward': 'even', 'level': 'batch'}),
    ('shake_shake_8_3x2d', {'coefficients': 'normalized_uniforms'}),
    ('shake_shake_resnext_11_2x1x1d', {'backward': 'keep', 'level': 'batch'}),
  ],
)
def test_a_net_draws_gates_by_its_fields(
  name: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
  arguments: dict[str, Any] = {}

  def record(*args: Any) -> layers.Gates:
    arguments.update(inspect.signature(draw_shake_gates).bind(*args).arguments)
    return draw_shake_gates(*args)

  monkeypatch.setattr(shake_shake_net, 'draw_shake_gates', record)
  model: Any = models.create(name, **fields)
  for train in (False, True):
    jax.eval_shape(
      lambda v, x, train=train: model.apply(
        v, x, train=train, rngs={'shake': jax.random.key(0)}, mutable=['batch_stats']
      ),
      models.abstract_variables(model),
      fill.images(4, 8),
    )
    assert (arguments.pop('key') is not None) == train
  sizes = {'num_blocks': model.num_blocks, 'batch_size': 4, 'branches': model.branches}
  assert {**arguments, **fields, **sizes} == arguments
  assert (arguments['forward'], arguments['level']) == (model.forward, model.level)


def test_without_norms_there_are_neither_statistics_nor_biases() -> None:
  variables = models.abstract_variables(models.create('shake_shake_14_2x4d', **C))
  assert set(variables) == {'params'}
  paths = {jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(variables)}
  assert not any('norm' in path for path in paths)
  assert [path for path in paths if 'bias' in path] == ["['params']['head']['bias']"]


@pytest.mark.parametrize(
  ('shift', 'second'), [('lower_right', [0, 0, 0, 6]), ('upper_left', [6, 8, 14, 16])]
)
def test_the_shortcut_reads_even_pixels_and_ones_beside_them(shift: str, second: list[int]) -> None:
  module = shake_shake.ShakeShortcut(
    width=2,
    stride=2,
    norm=layers.batch_norm(False, jnp.float32),
    dtype=jnp.float32,
    kernel_init=layers.he_fan_out,
    shift=shift,
  )
  x = 1.0 + jnp.arange(16.0).reshape(1, 4, 4, 1)
  variables: Any = module.init(jax.random.key(0), x)
  ones = {'kernel': jnp.ones((1, 1, 1, 1))}
  params = variables['params'] | {'conv1': ones, 'conv2': ones}
  y: Any = module.apply(variables | {'params': params}, x)
  y = y * np.sqrt(1 + 1e-5)  # of the norm
  np.testing.assert_allclose(y[..., 0].ravel(), [1, 3, 9, 11], rtol=1e-5)
  np.testing.assert_allclose(y[..., 1].ravel(), second, rtol=1e-5)


def test_the_stem_is_not_rectified_and_the_shortcut_is() -> None:
  model = models.create('shake_shake_8_2x4d')
  variables, images = filled_variables(model), fill.images(4)
  _, state = jax.jit(
    lambda variables: model.apply(
      variables, images, train=False, capture_intermediates=True, mutable=True
    )
  )(variables)
  outputs = state['intermediates']
  stem = outputs['stem_norm']['__call__'][0]
  assert np.min(stem) < 0
  kernel = variables['params']['stage1_block1']['shortcut']['conv1']['kernel']
  np.testing.assert_allclose(
    outputs['stage1_block1']['shortcut']['conv1']['__call__'][0],
    jax.nn.relu(stem) @ kernel[0, 0],
    rtol=1e-4,
    atol=1e-5,
  )


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
def test_the_recipe_sets_the_model_and_the_schedule(
  text: str, model: tuple[str, ...], train: tuple[Any, ...]
) -> None:
  config = loading.load(f'{ROOT}/configs/shake_shake.py:{text}')
  fields = config.model
  assert (fields.name, fields.forward, fields.backward, fields.level) == model
  rates = (config.schedule.learning_rate, config.optimizer.weight_decay)
  assert (config.data.name, config.train.batch_size, *rates) == train
  assert config.train.num_epochs == 1800 and config.schedule.name == 'cosine'
  models.create(**fields)


def test_the_recipe_of_the_tensorflow_code_has_its_choices_and_looks_at_the_test_images() -> None:
  config = loading.load(f'{ROOT}/configs/shake_shake.py:net=tensorflow')
  model: Any = models.create(**config.model)
  assert (model.shift, model.coefficients) == ('upper_left', 'normalized_uniforms')
  assert (model.initialization, model.head_bias) == ('xavier', 0.1)
  assert config.train.test_each_epoch and config.data.validation_size == 0
  default: Any = models.create('shake_shake_26_2x32d')
  assert (default.shift, default.coefficients) == ('lower_right', 'simplex')
  assert models.num_params(model) == models.num_params(default) == 2_923_162


def test_the_recipe_without_norms_starts_at_a_low_rate() -> None:
  config = loading.load(f'{ROOT}/configs/shake_shake.py:net=c')
  assert config.schedule.warmup_epochs == 1.0 and config.schedule.warmup_learning_rate == 0.025
  assert config.model.alpha_range == (0.4, 0.6) and not config.model.norm and not config.model.skip
