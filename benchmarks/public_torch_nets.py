"""The public Torch nets of `torch_parity.py`, with the changes that make them the papers' nets."""

import importlib
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks.torch_reference.layers import PaddedSkip


class Row(NamedTuple):
  """A model of ours and the public Torch net that it is compared with.

  Attributes:
    name: of our model.
    implementation: the function that makes the Torch net, `package.module:function`.
    fields: of our model.
    change: changes the Torch net in place to the paper's.
    note: describes the change, for the table.
  """

  name: str
  implementation: str
  fields: Mapping[str, Any] = types.MappingProxyType({})
  change: Callable[[nn.Module], None] = lambda net: None
  note: str = ''

  @property
  def rules(self) -> str:
    """The rules of `cifar_jax.convert` for the Torch net's names."""
    return self.implementation.partition('.')[0]

  def torch_net(self) -> nn.Module:
    """Makes the Torch net, with initial weights."""
    module, _, function = self.implementation.partition(':')
    net = getattr(importlib.import_module(module), function)()
    self.change(net)
    return net


def pad_shortcuts(net: nn.Module) -> None:
  """Replaces projections by option A of He et al. 2015: every second pixel, and zeros."""
  for module in net.modules():
    if hasattr(module, 'identity_conv'):
      width = len(next(module.identity_conv.parameters()))
      module.identity_conv = PaddedSkip(width, stride=2)


def activate_both_paths(net: nn.Module) -> None:
  """Activates the input of the first unit for both its paths: appendix of He et al. 2016."""
  unit = net.features.stage1.unit1

  def forward(x: torch.Tensor) -> torch.Tensor:
    y, activated = unit.body.conv1(x)
    return unit.body.conv2(y) + activated

  unit.forward = forward


def activate_both_paths_and_pad(net: nn.Module) -> None:
  """Applies `activate_both_paths` and `pad_shortcuts`."""
  activate_both_paths(net)
  pad_shortcuts(net)


def stride_first(net: nn.Module) -> None:
  """Moves the stride of a bottleneck to its first 1x1 convolution, as in resnet-pre-act.lua."""
  for stage in (net.features.stage2, net.features.stage3):
    body = stage.unit1.body
    body.conv1.conv.stride, body.conv2.conv.stride = (2, 2), (1, 1)


class ShakeUnit(nn.Module):
  """Gastaldi's unit: both branches and a shortcut of new width begin with a ReLU."""

  def __init__(self, unit: nn.Module) -> None:
    """Takes the layers of a unit of pytorchcv."""
    super().__init__()
    self.branch1, self.branch2 = unit.branch1, unit.branch2
    if unit.resize_identity:
      self.identity_branch = unit.identity_branch

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """Maps `[batch, channels, height, width]` to the shape after the unit."""
    activated = torch.relu(x)
    shortcut = self.identity_branch(activated) if hasattr(self, 'identity_branch') else x
    return shortcut + 0.5 * (self.branch1(activated) + self.branch2(activated))


def move_relus(net: nn.Module) -> None:
  """Moves the ReLUs of a Shake-Shake net to where shakeshake.lua has them."""
  net.features.init_block.activ = nn.Identity()
  for stage in (net.features.stage1, net.features.stage2, net.features.stage3):
    for name, unit in list(stage.named_children()):
      setattr(stage, name, ShakeUnit(unit))
  net.features.final_pool = nn.Sequential(nn.ReLU(), net.features.final_pool)


def remove_compression(net: nn.Module) -> None:
  """Gives a DenseNet 16 channels first, and transitions that keep the width.

  This is the form of Huang et al. 2017 without BC.
  """
  from pytorchcv.models.densenet import TransitionBlock
  from pytorchcv.models.densenet_cifar import DenseSimpleUnit
  from pytorchcv.models.preresnet import PreResActivation

  width = 16
  net.features.init_block = nn.Conv2d(3, width, 3, padding=1, bias=False)
  for stage in (net.features.stage1, net.features.stage2, net.features.stage3):
    for name, _ in list(stage.named_children()):
      if name.startswith('trans'):
        setattr(stage, name, TransitionBlock(width, width))
      else:
        setattr(stage, name, DenseSimpleUnit(width, width + 12, dropout_rate=0.0))
        width += 12
  net.features.post_activ = PreResActivation(width)
  net.output = nn.Linear(width, 10)


PYTORCHCV = 'pytorchcv.models.'
TORCHVISION = 'torchvision.models:'
IMAGENET = {'num_classes': 1000}
ROWS = (
  Row('alexnet_one_tower_imagenet', f'{TORCHVISION}alexnet', IMAGENET),
  Row('alexnet_one_tower_imagenet', f'{PYTORCHCV}alexnet:alexnetb', IMAGENET),
  Row('vgg11_bn_imagenet', f'{PYTORCHCV}vgg:bn_vgg11b', IMAGENET),
  Row('vgg11_bn_imagenet', f'{TORCHVISION}vgg11_bn', IMAGENET),
  Row('vgg16_imagenet', f'{TORCHVISION}vgg16', IMAGENET),
  Row('googlenet_imagenet', f'{TORCHVISION}googlenet', IMAGENET | {'auxiliary': True}),
  Row('resnet20', f'{PYTORCHCV}resnet_cifar:resnet20_cifar10', {}, pad_shortcuts, 'with option A'),
  Row('resnet20', f'{PYTORCHCV}resnet_cifar:resnet20_cifar10', {'shortcut': 'project'}),
  Row('resnet50_imagenet', f'{PYTORCHCV}resnet:resnet50b', IMAGENET),
  Row('resnet50_imagenet', f'{TORCHVISION}resnet50', IMAGENET),
  Row(
    'preact_resnet110',
    f'{PYTORCHCV}preresnet_cifar:preresnet110_cifar10',
    {'shortcut': 'pad'},
    activate_both_paths_and_pad,
    'first unit activated for both paths, option A',
  ),
  Row(
    'preact_resnet110',
    f'{PYTORCHCV}preresnet_cifar:preresnet110_cifar10',
    change=activate_both_paths,
    note='first unit activated for both paths',
  ),
  Row(
    'preact_resnet164',
    f'{PYTORCHCV}preresnet_cifar:preresnet164bn_cifar10',
    {},
    stride_first,
    'stride in the first convolution of a unit',
  ),
  Row('wrn_16_10', f'{PYTORCHCV}wrn_cifar:wrn16_10_cifar10', {'dropout': 0.3}),
  Row('pyramidnet110_a48', f'{PYTORCHCV}pyramidnet_cifar:pyramidnet110_a48_cifar10'),
  Row(
    'pyramidnet164_a270_bottleneck', f'{PYTORCHCV}pyramidnet_cifar:pyramidnet164_a270_bn_cifar10'
  ),
  Row(
    'shake_shake_26_2x32d',
    f'{PYTORCHCV}shakeshakeresnet_cifar:shakeshakeresnet26_2x32d_cifar10',
    change=move_relus,
    note='ReLUs where shakeshake.lua has them',
  ),
  Row('resnext_29_32x4d', f'{PYTORCHCV}resnext_cifar:resnext29_32x4d_cifar10'),
  Row('se_resnet20', f'{PYTORCHCV}seresnet_cifar:seresnet20_cifar10'),
  Row(
    'densenet_40_12',
    f'{PYTORCHCV}densenet_cifar:densenet40_k12_cifar10',
    change=remove_compression,
    note='16 channels first, no compression',
  ),
  Row('densenet_bc_100_12', f'{PYTORCHCV}densenet_cifar:densenet100_k12_bc_cifar10'),
  Row('efficientnet_b0_imagenet', f'{PYTORCHCV}efficientnet:efficientnet_b0b', IMAGENET),
)
