"""Weights of CIFAR ResNets with option A, whose channels have another order in akamaster's nets."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.convert import akamaster, engine, same_net
from cifar_jax.errors import InputError
from cifar_jax.models import layers
from tests.support.filled import filled_variables

MODEL = models.create('resnet14')
IMAGES = np.random.RandomState(0).standard_normal((2, 32, 32, 3)).astype(np.float32)


def pad_on_both_sides(x: jax.Array, width: int) -> jax.Array:
  """`[batch, height, width, channels]` with a quarter of `width` zero channels on each side."""
  return jnp.pad(x, [(0, 0)] * 3 + [(width // 4, width // 4)])


def test_their_net_with_the_reordered_weights_has_our_logits(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  variables = jax.device_get(filled_variables(MODEL))
  expected: Any = MODEL.apply(variables, IMAGES, train=False)
  arrays = engine.to_state_dict(variables, MODEL, 'akamaster')
  assert 'layer2.0.conv1.weight' in arrays and 'linear.bias' in arrays
  # The same arrays, in the order that they have there.
  theirs = engine.to_variables(arrays, MODEL, akamaster.FAMILIES['resnet']._replace(
    channels_of=lambda _: akamaster.Channels()
  ))  # fmt: skip
  monkeypatch.setattr(layers, 'pad_channels', pad_on_both_sides)
  logits: Any = MODEL.apply(theirs, IMAGES, train=False)
  np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
  without: Any = MODEL.apply(variables, IMAGES, train=False)
  assert np.abs(without - expected).max() > 1e-2 * np.abs(expected).max()


def test_both_directions_give_the_same_arrays() -> None:
  variables = jax.device_get(filled_variables(MODEL))
  arrays = engine.to_state_dict(variables, MODEL, 'akamaster')
  back = engine.to_variables(arrays, MODEL, 'akamaster')
  jax.tree.map(np.testing.assert_array_equal, back, variables)


@pytest.mark.parametrize('stage', [1, 2, 3])
def test_an_order_has_each_channel_once(stage: int) -> None:
  assert sorted(akamaster.channels(stage)) == list(range(16 * 2 ** (stage - 1)))


@pytest.mark.parametrize(
  ('name', 'fields'),
  [
    ('resnet8', {'shortcut': 'project'}),
    ('resnet8', {'base_width': 32}),
    ('resnet8', {'hidden_features': 8}),
    ('se_resnet8', {}),
    ('resnet11_bottleneck', {}),
    ('resnet18', {'shortcut': 'pad'}),
    ('plain8', {}),
  ],
)
def test_other_nets_are_not_written(name: str, fields: dict[str, Any]) -> None:
  model = models.create(name, **fields)
  assert 'option A' in same_net.difference(model, 'akamaster')
  with pytest.raises(InputError):
    engine.to_state_dict(filled_variables(models.create('plain8')), model, 'akamaster')


@pytest.mark.parametrize('rules', ['torchvision', 'kuangliu', 'weiaicunzai', 'pytorchcv'])
def test_no_other_implementation_has_option_a(rules: str) -> None:
  assert 'projections' in same_net.difference(MODEL, rules)
