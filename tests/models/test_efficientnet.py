"""EfficientNet: counts layer by layer, compound scaling, and the authors' drop-connect."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.config import base, loading, override
from cifar_jax.models import efficientnet, layers
from tests.models import exact_counts
from tests.models.family_table import TINY_EFFICIENTNET
from tests.support import fill
from tests.support.filled import filled_variables
from tests.support.paths import ROOT


def layer_by_layer(model: Any, classes: int) -> int:
  """The parameters, from the rows of table 1 as the model scales them."""
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


@pytest.mark.parametrize('name', exact_counts.EFFICIENTNET)
def test_counts_are_those_of_the_layers(name: str) -> None:
  model, count = models.create(name), exact_counts.EFFICIENTNET[name]
  classes = (10, 100) if isinstance(count, tuple) else (1000,)
  counts = tuple(layer_by_layer(model, n) for n in classes)
  assert counts == (count if isinstance(count, tuple) else (count,))


def test_b0_to_b3_are_scaled_by_equation_3_rounded() -> None:
  for phi, (scaling, _) in zip((0.0, 0.5, 1.0, 2.0), efficientnet.VARIANTS, strict=False):
    # Each dimension grows exponentially.
    assert abs(1.2**phi - scaling.depth) <= 0.05 and abs(1.1**phi - scaling.width) <= 0.05
    assert abs(224 * 1.15**phi / scaling.image_size - 1) <= 0.02
  assert pytest.approx(2.0, abs=0.1) == 1.2 * 1.1**2 * 1.15**2  # operations double
  sizes = [models.create(f'efficientnet_b{i}_imagenet').image_size for i in range(8)]
  assert sizes == [224, 240, 260, 300, 380, 456, 528, 600]
  dropouts = [models.create(f'efficientnet_b{i}').dropout for i in range(8)]
  assert dropouts == [0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.5, 0.5]


def test_widths_are_multiples_of_eight_and_at_most_a_tenth_too_small() -> None:
  assert [efficientnet.scaled_width(w, 1.1) for w in (32, 16, 24, 40)] == [32, 16, 24, 48]
  assert efficientnet.scaled_width(40, 0.25) == 16  # 8 would be a fifth below 10


def test_survival_falls_over_all_blocks_and_only_those_with_shortcuts_have_gates() -> None:
  model = models.create('efficientnet_b0')
  with_shortcut = [2, 4, 6, 7, 9, 10, 12, 13, 14]  # of 16, from 0: not the first of a stage
  assert model.num_blocks == 9
  np.testing.assert_allclose(model.survival(), [1 - 0.2 * i / 16 for i in with_shortcut], rtol=1e-6)


def test_branches_survive_with_their_probability_and_are_divided_by_it() -> None:
  survival = np.array([1.0, 0.8, 0.5], np.float32)
  gates = efficientnet.drop_connect_gates(jax.random.key(0), survival, 5000)
  assert gates.forward.shape == (3, 1, 5000) and np.all(gates.shortcut == 1.0)
  np.testing.assert_array_equal(gates.forward, gates.backward)
  for values, p in zip(np.asarray(gates.forward)[:, 0], survival, strict=True):
    assert set(np.unique(values)) <= {np.float32(0.0), np.float32(1.0) / p}
    assert np.mean(values) == pytest.approx(1.0, abs=0.05)  # nothing to scale at test time


@pytest.mark.ci
def test_a_closed_gate_passes_the_input_on_and_open_gates_change_nothing() -> None:
  model: Any = models.create('efficientnet_b0', **TINY_EFFICIENTNET, survival_probability=0.5)
  variables, images = filled_variables(model), fill.images(8, 8)

  @jax.jit
  def run(gate: jax.typing.ArrayLike) -> Any:
    value = jnp.full((model.num_blocks, 1, 8), gate)
    gates = layers.Gates(value, value, jnp.ones(model.num_blocks))
    return model.apply(
      variables, images, train=False, gates=gates, capture_intermediates=True,
      mutable=['intermediates'],
    )  # fmt: skip

  _, state = run(0.0)
  outputs = {
    name: tree['__call__'][0] for name, tree in state['intermediates'].items() if name != '__call__'
  }
  names = list(model.blocks())
  inputs = dict(
    zip(names, [jax.nn.swish(outputs['stem_norm']), *map(outputs.get, names)], strict=False)
  )
  gated = [name for name, block in model.blocks().items() if block.has_shortcut]
  assert len(gated) == model.num_blocks > 0
  for name in gated:
    np.testing.assert_allclose(outputs[name], inputs[name], rtol=1e-5, atol=1e-6)
  evaluate = jax.jit(lambda variables: model.apply(variables, images, train=False))
  np.testing.assert_allclose(run(1.0)[0], evaluate(variables), rtol=1e-5, atol=1e-6)


def test_running_statistics_keep_99_hundredths() -> None:
  model = models.create('efficientnet_b0', **TINY_EFFICIENTNET)
  variables, images = filled_variables(model), fill.images(8, 8)
  rngs = {'dropout': jax.random.key(0), 'drop_path': jax.random.key(1)}
  _, updates = jax.jit(
    lambda variables: model.apply(variables, images, train=True, rngs=rngs, mutable=['batch_stats'])
  )(variables)
  stem = jax.lax.conv_general_dilated(
    jnp.array(images), variables['params']['stem_conv']['kernel'], (1, 1), 'SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )  # fmt: skip
  old = variables['batch_stats']['stem_norm']['mean']
  new = updates['batch_stats']['stem_norm']['mean']
  np.testing.assert_allclose(new, 0.99 * old + 0.01 * np.mean(stem, axis=(0, 1, 2)), rtol=1e-4)


def test_squeeze_and_excitation_weighs_channels_by_their_means() -> None:
  module = layers.SqueezeExcitation(features=1, activation=jax.nn.relu)
  x = jnp.arange(8.0).reshape(1, 2, 2, 2)  # means of 3 and 4
  params = {
    'squeeze': {'kernel': jnp.array([[1.0], [-1.0]]), 'bias': jnp.array([3.0])},
    'excite': {'kernel': jnp.array([[0.5, -1.0]]), 'bias': jnp.array([0.0, 1.0])},
  }
  factors = jax.nn.sigmoid(jnp.array([0.5 * 2.0, -2.0 + 1.0]))
  y: Any = module.apply({'params': params}, x)
  np.testing.assert_allclose(y, x * factors[None, None, None], rtol=1e-6)


def test_squeezing_is_to_a_quarter_of_the_blocks_input() -> None:
  params = models.abstract_variables(models.create('efficientnet_b0', **TINY_EFFICIENTNET))[
    'params'
  ]
  kernel = params['stage3_block1']['squeeze_excitation']['squeeze']['kernel']
  assert kernel.shape == (6 * 8, 8 // 4)  # from the expanded channels


def test_the_recipe_has_each_variants_dropout() -> None:
  configs = [loading.load(f'{ROOT}/configs/efficientnet.py:variant={i}') for i in range(8)]
  for i, config in enumerate(configs):
    assert models.create(**config.model).dropout == efficientnet.VARIANTS[i][1]


def test_compound_scaling_can_be_given_on_the_command_line() -> None:
  config = base('efficientnet_b0')
  override(config, ['--config.model.width=0.5', '--config.model.depth=0.5'])
  model = models.create(**config.model)
  assert models.num_params(model) < models.num_params(models.create('efficientnet_b0'))
