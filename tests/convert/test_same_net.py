"""Weights are written for PyTorch only if a net there computes what ours does."""

import itertools
import logging
from typing import Any

import jax
import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.convert import engine, same_net
from cifar_jax.convert.implementations import IMPLEMENTATIONS
from cifar_jax.errors import InputError
from cifar_jax.models import preact_orders, pyramidnet, resnet_blocks, shake_shake
from tests.support.filled import filled_variables

PADDED = {'shortcut': 'pad'}
# Nets with their fields, among which some have the same names and shapes.
NETS: list[list[tuple[str, dict[str, Any]]]] = [
  [('resnet8', {'shortcut': shortcut}) for shortcut in resnet_blocks.SHORTCUTS]
  + [('plain8', {}), ('resnet8', {'survival_probability': 0.5})]
  + [(f'preact_resnet8_order_{order}', fields)
     for order in preact_orders.ORDERS for fields in ({}, PADDED)],
  [('resnet11_bottleneck', {'shortcut': 'project'}), ('preact_resnet11_bottleneck', {})],
  [('pyramidnet8_a12', {'first_relu': first_relu, 'shortcut': shortcut})
   for first_relu in (False, True) for shortcut in pyramidnet.SHORTCUTS],
  [('shake_shake_8_2x2d', {'shift': shift}) for shift in shake_shake.SHIFTS]
  + [('shake_shake_8_2x2d', {'skip': False})],
  [('vgg11', {}), ('vgg11_lrn', {})],
  [('vgg11_bn', {}), ('vgg11_lrn_bn', {})],
  [('alexnet', {'local_response_norm': norm}) for norm in (False, True)],
  [(f'efficientnet_b0{form}', {'width': 0.25, 'depth': 0.3, 'image_size': 32})
   for form in ('', '_imagenet')],
  [('densenet_10_4', {}), ('densenet_bc_10_4', {})],
  [('wrn_10_1', {}), ('se_wrn_10_1', {})],
  [('resnext_11_2x4d', {}), ('se_resnext_11_2x4d', {})],
]  # fmt: skip
IMAGES = np.random.RandomState(0).standard_normal((2, 32, 32, 3)).astype(np.float32)


def signature(arrays: dict[str, np.ndarray]) -> Any:
  return {name: array.shape for name, array in arrays.items()}


def logits(model: Any, arrays: dict[str, np.ndarray], rules: str) -> Any:
  variables = engine.to_variables(arrays, model, rules)
  return model.apply(variables, IMAGES, train=False)


@pytest.mark.parametrize('nets', NETS, ids=lambda nets: nets[0][0])
@pytest.mark.parametrize('rules', IMPLEMENTATIONS)
def test_nets_with_the_same_names_are_written_only_if_they_compute_the_same(
  rules: str, nets: list[tuple[str, dict[str, Any]]]
) -> None:
  written = []
  for name, fields in nets:
    model = models.create(name, **fields)
    if same_net.family(model) in IMPLEMENTATIONS[rules]:
      try:
        written.append((model, engine.to_state_dict(filled_variables(model), model, rules)))
      except InputError as error:
        assert 'computes what this one does' in str(error)
  for (model, arrays), (other, others) in itertools.combinations(written, 2):
    if signature(arrays) == signature(others):
      expected = logits(model, arrays, rules)
      np.testing.assert_allclose(logits(other, arrays, rules), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
  ('name', 'fields', 'rules', 'words'),
  [
    ('pyramidnet8_a12', {'first_relu': True}, 'pytorchcv', 'model.first_relu'),
    ('preact_resnet8_order_c', {}, 'pytorchcv', 'model.order'),
    ('preact_resnet8', {}, 'pytorchcv', 'activates the input of both paths'),
    ('shake_shake_8_2x2d', {}, 'pytorchcv', 'ReLUs'),
    ('efficientnet_b0_imagenet', {'width': 0.25}, 'torchvision', 'epsilon'),
  ],
)
def test_a_difference_is_refused_in_writing_and_a_warning_in_reading(
  name: str, fields: dict[str, Any], rules: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
  model = models.create(name, **fields)
  variables = jax.device_get(filled_variables(model))
  with pytest.raises(InputError, match=words):
    engine.to_state_dict(variables, model, rules)
  names_alone = IMPLEMENTATIONS[rules][same_net.family(model)]
  arrays = engine.to_state_dict(variables, model, names_alone)
  with caplog.at_level(logging.WARNING, engine.logger.name):
    engine.to_variables(arrays, model, rules)
  assert words in caplog.text and rules in caplog.text


@pytest.mark.parametrize('name', ['resnet8', 'preact_resnet8', 'efficientnet_b0', 'vgg11_lrn'])
def test_our_own_names_have_no_difference(name: str) -> None:
  assert same_net.difference(models.create(name), 'own') == ''
