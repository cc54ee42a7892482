"""Scanned stages: the same function and the same randomness as one block after another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data.filled import variables as filled

from cifar_jax import models
from cifar_jax.models import layers, stages

IMAGES = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
NETS = [
  ('resnet20', {}),
  ('resnet20', {'survival_probability': 0.5}),
  ('wrn_22_1', {'dropout': 0.3, 'squeeze_excitation': 8}),
  ('preact_resnet29_bottleneck', {}),
]


def stacked(variables):
  """The variables of a net whose stages of three blocks are scanned, from those of one unrolled."""

  def stack(collection):
    rest = {name for name in collection if name.endswith(('_block2', '_block3'))}
    made = {name: value for name, value in collection.items() if name not in rest}
    for stage in (1, 2, 3):
      blocks = (collection[f'stage{stage}_block{block}'] for block in (2, 3))
      made[f'stage{stage}_rest'] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)
    return made

  return {name: stack(collection) for name, collection in variables.items()}


@pytest.mark.parametrize(('name', 'fields'), NETS)
def test_a_scanned_stage_is_its_blocks_one_after_another(name, fields, monkeypatch):
  model = models.create(name, **fields)
  variables = filled(model)
  given = layers.Gates(*3 * (jnp.linspace(0.5, 1.5, model.num_blocks)[:, None],))
  given = given._replace(shortcut=given.shortcut[:, 0])

  def forward(variables, train, gates=None):
    def apply(variables):
      streams = {'dropout': jax.random.key(2), 'drop_path': jax.random.key(3)}
      return model.apply(
        variables, IMAGES, train=train, gates=gates, rngs=streams, mutable=['batch_stats']
      )

    return jax.jit(apply)(variables)

  has_dropout = 'dropout' in fields  # whose stream is split by block in another way
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


def test_scanned_blocks_differ_in_their_weights_and_in_their_dropout(monkeypatch):
  monkeypatch.setattr(stages, 'SCAN_FROM', 1)
  model = models.create('wrn_22_1', dropout=0.5)
  variables = jax.jit(lambda x: model.init(jax.random.key(1), x, train=False))(IMAGES)
  kernel = variables['params']['stage3_rest']['conv2']['kernel']
  assert kernel.shape == (2, 3, 3, 64, 64) and not np.allclose(kernel[0], kernel[1])
  # He's variance, for each block of its own: the leading axis is no part of a fan.
  np.testing.assert_allclose(jnp.var(kernel, axis=(1, 2, 3, 4)), 2 / (9 * 64), rtol=0.05)
  _, seen = jax.jit(
    lambda v: model.apply(
      v,
      IMAGES,
      train=True,
      rngs={'dropout': jax.random.key(0)},
      capture_intermediates=True,
      mutable=True,
    )
  )(variables)
  dropped = seen['intermediates']['stage1_rest']['Dropout_0']['__call__'][0]
  assert dropped.shape == (2, 4, 32, 32, 16)  # recorded, a block after another
  zeros = np.asarray(dropped) == 0
  assert np.mean(zeros[0] != zeros[1]) > 0.1


def test_only_deep_stages_are_scanned():
  scanned = lambda name: 'stage1_rest' in models.abstract_variables(models.create(name))['params']  # noqa: E731
  assert scanned('preact_resnet1001') and not scanned('resnet164')
