"""Scanned stages compute the same as one block after another, with the same randomness."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.models import layers
from cifar_jax.models.layers import stages
from tests.support.filled import filled_variables

IMAGES = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
NETS = [
  ('resnet20', {'survival_probability': 0.5}),
  pytest.param('wrn_22_1', {'dropout': 0.3, 'squeeze_excitation': 8}, marks=pytest.mark.slow),
  pytest.param('preact_resnet29_bottleneck', {}, marks=pytest.mark.slow),
]


def stacked(variables: Any) -> Any:
  """The variables of a net with scanned stages of three blocks, from those of the unrolled net."""

  def stack(collection: Any) -> Any:
    rest = {name for name in collection if name.endswith(('_block2', '_block3'))}
    scanned = {name: value for name, value in collection.items() if name not in rest}
    for stage in (1, 2, 3):
      blocks = (collection[f'stage{stage}_block{block}'] for block in (2, 3))
      scanned[f'stage{stage}_rest'] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
    return scanned

  return {name: stack(collection) for name, collection in variables.items()}


@pytest.mark.ci
@pytest.mark.parametrize(('name', 'fields'), NETS)
def test_a_scanned_stage_computes_its_blocks_one_after_another(
  name: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
  model = models.create(name, **fields)
  variables = filled_variables(model)
  given = layers.Gates(*3 * (jnp.linspace(0.5, 1.5, model.num_blocks)[:, None],))
  given = given._replace(shortcut=given.shortcut[:, 0])

  def forward(variables: Any, train: bool, gates: Any = None) -> Any:
    def apply(variables: Any) -> Any:
      streams = {'dropout': jax.random.key(2), 'drop_path': jax.random.key(3)}
      return model.apply(
        variables, IMAGES, train=train, gates=gates, rngs=streams, mutable=['batch_stats']
      )

    return jax.jit(apply)(variables)

  # A scan splits the dropout stream by block in another way, so training with it is not compared.
  has_dropout = 'dropout' in fields
  unrolled = [forward(variables, train) for train in (False, True) if not (train and has_dropout)]
  unrolled.append(forward(variables, False, given))
  monkeypatch.setattr(stages, 'SCAN_FROM', 1)
  assert 'stage1_rest' in models.abstract_variables(model)['params']
  variables = stacked(variables)
  scanned = [forward(variables, train) for train in (False, True) if not (train and has_dropout)]
  scanned.append(forward(variables, False, given))
  for (logits, updates), (expected, expected_updates) in zip(scanned, unrolled, strict=True):
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
      updates,
      stacked(expected_updates) if expected_updates else updates,
    )


@pytest.mark.ci
def test_scanned_blocks_differ_in_their_weights_and_in_their_dropout(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(stages, 'SCAN_FROM', 1)
  model = models.create('wrn_22_1', dropout=0.5)
  variables = jax.jit(lambda x: model.init(jax.random.key(1), x, train=False))(IMAGES)
  kernel = variables['params']['stage3_rest']['conv2']['kernel']
  assert kernel.shape == (2, 3, 3, 64, 64) and not np.allclose(kernel[0], kernel[1])
  # He's variance for each block by itself: the leading axis is not part of a fan.
  np.testing.assert_allclose(jnp.var(kernel, axis=(1, 2, 3, 4)), 2 / (9 * 64), rtol=0.05)
  _, state = jax.jit(
    lambda v: model.apply(
      v,
      IMAGES,
      train=True,
      rngs={'dropout': jax.random.key(0)},
      capture_intermediates=True,
      mutable=True,
    )
  )(variables)
  dropped = state['intermediates']['stage1_rest']['Dropout_0']['__call__'][0]
  assert dropped.shape == (2, 4, 32, 32, 16)  # stacked by block
  zeros = np.asarray(dropped) == 0
  assert np.mean(zeros[0] != zeros[1]) > 0.1


def test_only_deep_stages_are_scanned() -> None:
  scanned = lambda name: 'stage1_rest' in models.abstract_variables(models.create(name))['params']  # noqa: E731
  assert scanned('preact_resnet1001') and not scanned('resnet164')
