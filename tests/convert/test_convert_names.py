"""Rules for the names of public Torch nets.

`tests/reference/make_names.py` wrote down names and shapes in these nets' state_dicts.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from cifar_jax import models
from cifar_jax.config.initialization import RULES
from cifar_jax.convert import engine, names
from cifar_jax.errors import InputError
from tests.support.paths import REFERENCE

TORCH = json.loads((REFERENCE / 'torch_names.json').read_text())
# Nets of `torch_names.json` that are equal to a model of ours: its name and fields.
NETS: dict[str, tuple[str, dict[str, Any]]] = {
  'pytorchcv resnet': ('resnet8', {'shortcut': 'project'}),
  'pytorchcv preact_resnet': ('preact_resnet11_bottleneck', {}),
  'pytorchcv wide_resnet': ('wrn_10_2', {}),
  'pytorchcv pyramidnet': ('pyramidnet8_a12', {}),
  'pytorchcv pyramidnet bottleneck': ('pyramidnet11_a12_bottleneck', {}),
  'pytorchcv shake_shake': ('shake_shake_26_2x4d', {}),
}


def shapes_only(shapes: dict[str, list[int]]) -> dict[str, np.ndarray]:
  """Returns a state_dict of these shapes that takes no memory."""
  return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize('net', NETS)
def test_names_and_shapes_of_the_public_net_match_the_model(net: str) -> None:
  name, fields = NETS[net]
  model, rules = models.create(name, **fields), net.partition(' ')[0]
  outcome = engine.compare(shapes_only(TORCH[net]), model, rules)
  assert outcome.complete and len(outcome.matched) == len(TORCH[net]), outcome


def units(stages: Sequence[int], layers: Sequence[str], word: str = 'block') -> list[str]:
  """Returns the names of the layers of each block; `stages` has the number of blocks of each."""
  return [
    f'stage{stage}_{word}{i}.{layer}'
    for stage, count in enumerate(stages, 1)
    for i in range(1, count + 1)
    for layer in layers
  ]


def convs_and_norms(*numbers: int) -> list[str]:
  return [f'{kind}{i}' for i in numbers for kind in ('conv', 'norm')]


STEM = ['stem_conv', 'stem_norm']
SQUEEZE = ['squeeze_excitation.squeeze', 'squeeze_excitation.excite']
SHORTCUT = ['shortcut_conv', 'shortcut_norm']
PROJECTED = [f'stage{stage}_block1.{layer}' for stage in (2, 3, 4) for layer in SHORTCUT]
WIDE = [f'{part}_{kind}' for part in ('depthwise', 'project') for kind in ('conv', 'norm')]
B0 = [
  *STEM, 'head_conv', 'head_norm', 'head', *units((1, 2, 2, 3, 3, 4, 1), [*WIDE, *SQUEEZE]),
  *(n for n in units((1, 2, 2, 3, 3, 4, 1), ['expand_conv', 'expand_norm']) if n[5] != '1'),
]  # fmt: skip
VGG11 = [f'stage{s}_{k}{i}' for s, n in enumerate((1, 1, 2, 2, 2), 1) for i in range(1, n + 1)
         for k in ('conv', 'norm')] + ['hidden1', 'hidden2', 'head']  # fmt: skip
ALEXNET = [*(f'conv{i}' for i in range(1, 6)), 'hidden1', 'hidden2', 'head']
RESNET18 = [*STEM, *units((2, 2, 2, 2), convs_and_norms(1, 2)), *PROJECTED, 'head']
BRANCHES = {
  'branch1x1': convs_and_norms(1),
  'branch3x3': convs_and_norms(1, 2),
  'branch5x5': convs_and_norms(1, 2),
  'branch_pool': convs_and_norms(1),
}
GOOGLENET = [
  *('stem1.conv1', 'stem1.norm1', 'head'), *(f'stem2.{x}' for x in convs_and_norms(1, 2)),
  *(f'inception{i}.{branch}.{layer}'
    for i in ('3a', '3b', '4a', '4b', '4c', '4d', '4e', '5a', '5b')
    for branch, layers in BRANCHES.items() for layer in layers),
  *(f'auxiliary{i}.{layer}' for i in (1, 2)
    for layer in ('convs.conv1', 'convs.norm1', 'hidden', 'head')),
]  # fmt: skip
# Other nets of `torch_names.json`: family, and the names of its model's layers.
LAYERS = {
  'pytorchcv resnext': (
    'resnext',
    [*STEM, *units((1, 1, 1), [*convs_and_norms(1, 2, 3), *SHORTCUT]), 'head'],
  ),
  'pytorchcv seresnet': (
    'resnet',
    [*STEM, *units((1, 1, 1), convs_and_norms(1, 2) + SQUEEZE), *PROJECTED[:4], 'head'],
  ),
  'pytorchcv resnet18': ('resnet', RESNET18),
  'torchvision resnet': ('resnet', RESNET18),
  'pytorchcv densenet': (
    'densenet',
    [
      *units((2, 2, 2), ['conv', 'norm'], 'layer'),
      *(f'transition{i}.{kind}' for i in (1, 2) for kind in ('conv', 'norm')),
      *('stem_conv', 'final_norm', 'head'),
    ],
  ),
  'pytorchcv densenet_bc': (
    'densenet',
    [
      *units((2, 2, 2), ['conv', 'norm', 'bottleneck_conv', 'bottleneck_norm'], 'layer'),
      *(f'transition{i}.{kind}' for i in (1, 2) for kind in ('conv', 'norm')),
      *('stem_conv', 'final_norm', 'head'),
    ],
  ),
  'torchvision densenet': (
    'densenet',
    [
      *units((2, 2, 2, 2), ['conv', 'norm', 'bottleneck_conv', 'bottleneck_norm'], 'layer'),
      *(f'transition{i}.{kind}' for i in (1, 2, 3) for kind in ('conv', 'norm')),
      *(*STEM, 'final_norm', 'head'),
    ],
  ),
  'pytorchcv vgg': ('vgg', VGG11),
  'torchvision vgg': ('vgg', VGG11),
  'pytorchcv alexnet': ('alexnet', ALEXNET),
  'torchvision alexnet': ('alexnet', ALEXNET),
  'torchvision googlenet': ('googlenet', GOOGLENET),
  'pytorchcv efficientnet': ('efficientnet', B0),
  'torchvision efficientnet': ('efficientnet', B0),
}


def test_every_public_net_is_tested() -> None:
  assert set(TORCH) == set(NETS) | set(LAYERS)


@pytest.mark.parametrize('net', LAYERS)
def test_every_layer_has_a_partner_in_the_public_net(net: str) -> None:
  family, layers = LAYERS[net]
  renamed = engine.IMPLEMENTATIONS[net.partition(' ')[0]][family].rename(layers)
  assert len(set(renamed.values())) == len(layers)
  assert set(renamed.values()) == {name.rpartition('.')[0] for name in TORCH[net]}


def test_every_rule_of_the_configuration_is_known_and_no_other() -> None:
  assert set(RULES) == {'own', *engine.IMPLEMENTATIONS}


def test_a_resnet18_of_weiaicunzai_has_partners_for_all_its_layers() -> None:
  blocks = [f'conv{stage}_x.{i}' for stage in (2, 3, 4, 5) for i in (0, 1)]
  layers = ['conv1.0', 'conv1.1', 'fc']  # as models/resnet.py of the repository builds them
  layers += [f'{block}.residual_function.{i}' for block in blocks for i in (0, 1, 3, 4)]
  layers += [f'conv{stage}_x.0.shortcut.{i}' for stage in (3, 4, 5) for i in (0, 1)]
  _, targets = engine._targets(models.create('resnet18'), 'weiaicunzai')
  assert {name.rpartition('.')[0] for name in targets} == set(layers)
  _, targets = engine._targets(models.create('resnet50'), 'weiaicunzai')
  assert targets['conv2_x.0.residual_function.6.weight'].layout.torch_shape == (256, 64, 1, 1)
  assert targets['conv2_x.0.shortcut.1.running_var'].layout.shape == (256,)


def test_a_table_renames_by_the_first_row_that_applies() -> None:
  rename = names.table(
    (r'block(\d+)\.(conv|norm)', 'layer{1-1}.{2}', 'block{1}.wide'),
    (r'block(\d+)\.conv', 'after{1+1}'),
  )
  layers = ['block1.conv', 'block1.wide', 'block2.conv', 'other']
  assert list(rename(layers).values()) == ['layer0.conv', 'block1.wide', 'after3', 'other']


def test_rules_that_give_the_same_name_to_two_layers_are_refused() -> None:
  rules = names.Rules(names.table((r'stage\d_block1\.conv1', 'conv')))
  with pytest.raises(
    InputError, match=r'both stage1_block1.conv1 and stage2_block1.conv1 are conv'
  ):
    engine.compare({}, models.create('resnet8'), rules)
