"""The structure of each family against Torch nets written from the authors' Lua code.

`data/torch_nets.py` made the logits. Both sides fill their weights by name (`data/fill.py`), norms
and statistics included, so that a wrong stride, ReLU or shortcut changes the logits. Nothing is
random at test time: shake-shake halves each branch, stochastic depth scales it by its survival.
"""

import json
import pathlib

import jax
import numpy as np
import pytest
from data import fill
from data.filled import variables as filled

from cifar_jax import models

TORCH = json.loads((pathlib.Path(__file__).parent.parent / 'data' / 'torch_nets.json').read_text())
TINY = {'stage_sizes': (1, 1, 1, 1), 'base_width': 8}
# Net in `torch_nets.json`: name and fields of ours.
NETS = {
  'resnet8 pad': ('resnet8', {'shortcut': 'pad'}),
  'resnet8 pool_pad': ('resnet8', {'shortcut': 'pool_pad'}),
  'resnet8 project': ('resnet8', {'shortcut': 'project'}),
  'resnet14 pool_pad survival 0.5': (
    'resnet14',
    {'shortcut': 'pool_pad', 'survival_probability': 0.5},
  ),
  'plain14': ('plain14', {}),
  'resnet20_bottleneck': ('resnet20_bottleneck', {}),
  'resnext_20_4x2d': ('resnext_20_4x2d', {}),
  'se_resnext_11_2x4d': ('se_resnext_11_2x4d', {}),
  'resnet18_imagenet tiny': ('resnet18_imagenet', TINY),
  'resnet18_homework tiny': ('resnet18_homework', TINY),
  **{f'preact_resnet14_order_{order}': (f'preact_resnet14_order_{order}', {}) for order in 'abcd'},
  'wrn_10_2_b131': ('wrn_10_2_b131', {}),
  'preact_resnet8': ('preact_resnet8', {'shortcut': 'project'}),
  'preact_resnet14': ('preact_resnet14', {'shortcut': 'project'}),
  'preact_resnet11_bottleneck': ('preact_resnet11_bottleneck', {'shortcut': 'project'}),
  'wrn_10_2': ('wrn_10_2', {}),
  'wrn_16_1': ('wrn_16_1', {}),
  'pyramidnet8_a12': ('pyramidnet8_a12', {}),
  'pyramidnet14_a10': ('pyramidnet14_a10', {}),
  'pyramidnet11_a12_bottleneck': ('pyramidnet11_a12_bottleneck', {}),
  'shake_shake_26_2x4d': ('shake_shake_26_2x4d', {}),
}


def test_every_torch_net_has_a_row():
  assert set(NETS) == set(TORCH['nets'])


@pytest.mark.parametrize('net', NETS)
def test_logits_are_those_of_torch(net):
  name, fields = NETS[net]
  model = models.create(name, **fields)
  expected = TORCH['nets'][net]
  assert models.num_params(model) == expected['num_params']
  forward = jax.jit(lambda variables, images: model.apply(variables, images, train=False))
  logits = forward(filled(model), fill.images())
  np.testing.assert_allclose(logits, np.array(expected['logits']), rtol=2e-4, atol=2e-4)
