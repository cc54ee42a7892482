"""The nets of the race in PyTorch, by the names of `nets.py`."""

from torch import nn

from benchmarks.torch_reference.alexnet_vgg import VGG16, VGG_PAPER, alexnet_cifar, vgg
from benchmarks.torch_reference.densenet import densenet
from benchmarks.torch_reference.efficientnet import B0, efficientnet
from benchmarks.torch_reference.fractalnet import PAPER, fractalnet
from benchmarks.torch_reference.preact_resnet import wide_resnet
from benchmarks.torch_reference.pyramidnet import pyramidnet
from benchmarks.torch_reference.resnet import resnet
from benchmarks.torch_reference.shake_shake import shake_shake, shake_shake_resnext


def deformable_resnet20() -> nn.Module:
  """Returns a ResNet-20 with a deformable third stage; needs torchvision."""
  from benchmarks.torch_reference import deformable

  return deformable.deformable_resnet(20, modulated=False)


NETS = {
  'resnet20': lambda: resnet(20),
  'resnet110': lambda: resnet(110),
  'wrn_16_4': lambda: wide_resnet(16, 4),
  'wrn_28_10': lambda: wide_resnet(28, 10),
  'pyramidnet110_a48': lambda: pyramidnet(110, 48),
  'shake_shake_26_2x32d': lambda: shake_shake(32),
  'densenet_bc_100_12': lambda: densenet(100, 12, bc=True),
  'vgg16_bn': lambda: vgg(VGG16, widths=VGG_PAPER),
  'alexnet': alexnet_cifar,
  'fractalnet20': lambda: fractalnet(3, deepest_only=False, widths=PAPER),
  'efficientnet_b0': lambda: efficientnet(imagenet=False, factors=B0),
  'shake_shake_resnext_29_2x4x64d': lambda: shake_shake_resnext(29, 4, 64),
  'deformable_resnet20': deformable_resnet20,
}


def create(name: str) -> nn.Module:
  """Returns a net with initial weights, the kernels by He et al. 2015 (arXiv 1502.01852).

  The convolutions that learn offsets begin with zeros.
  """
  net = NETS[name]()
  for path, module in net.named_modules():
    if isinstance(module, nn.Conv2d) and not path.endswith('offset_conv'):
      nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
  return net


def count(net: nn.Module) -> int:
  """Returns the number of trainable parameters."""
  return sum(parameter.numel() for parameter in net.parameters())
