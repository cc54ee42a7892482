"""Makes `torch_names.json`: names and shapes in the state_dicts of small public Torch nets.

Run by hand from the root, with PyTorch 2.13, pytorchcv 0.0.74 and torchvision 0.28 or 0.29:
`python -m tests.reference.make_names`.
"""

import importlib
import json
import pathlib

import torchvision
from torch import nn

FILE = pathlib.Path(__file__).parent / 'torch_names.json'


def pytorchcv(module: str, function: str, *arguments: object) -> nn.Module:
  """Returns a net of pytorchcv; nets for CIFAR take the number of classes first."""
  return getattr(importlib.import_module(f'pytorchcv.models.{module}'), function)(*arguments)


def make_nets() -> dict[str, nn.Module]:
  """Returns the nets, by the implementation and the test's name for the net."""
  models = torchvision.models
  return {
    'pytorchcv resnet': pytorchcv('resnet_cifar', 'get_resnet_cifar', 10, 8, False),
    'pytorchcv preact_resnet': pytorchcv('preresnet_cifar', 'get_preresnet_cifar', 10, 11, True),
    'pytorchcv wide_resnet': pytorchcv('wrn_cifar', 'get_wrn_cifar', 10, 10, 2),
    'pytorchcv pyramidnet': pytorchcv('pyramidnet_cifar', 'get_pyramidnet_cifar', 10, 8, 12, False),
    'pytorchcv pyramidnet bottleneck': pytorchcv(
      'pyramidnet_cifar', 'get_pyramidnet_cifar', 10, 11, 12, True
    ),
    'pytorchcv shake_shake': pytorchcv(
      'shakeshakeresnet_cifar', 'get_shakeshakeresnet_cifar', 10, 26, False, 4
    ),
    'pytorchcv resnext': pytorchcv('resnext_cifar', 'get_resnext_cifar', 10, 11, 2, 4),
    'pytorchcv seresnet': pytorchcv('seresnet_cifar', 'get_seresnet_cifar', 10, 8, False),
    'pytorchcv resnet18': pytorchcv('resnet', 'resnet18'),
    'pytorchcv densenet': pytorchcv('densenet_cifar', 'get_densenet_cifar', 10, 10, 4, False),
    'pytorchcv densenet_bc': pytorchcv('densenet_cifar', 'get_densenet_cifar', 10, 16, 4, True),
    'pytorchcv vgg': pytorchcv('vgg', 'bn_vgg11b'),
    'pytorchcv alexnet': pytorchcv('alexnet', 'alexnetb'),
    'pytorchcv efficientnet': pytorchcv('efficientnet', 'efficientnet_b0b'),
    'torchvision resnet': models.resnet18(),
    'torchvision vgg': models.vgg11_bn(),
    'torchvision alexnet': models.alexnet(),
    'torchvision googlenet': models.googlenet(init_weights=False),
    'torchvision densenet': models.DenseNet(4, (2, 2, 2, 2), 8),
    'torchvision efficientnet': models.efficientnet_b0(),
  }


def main() -> None:
  """Writes a line per net; each norm has a counter of batches, which is left out."""
  lines = []
  for name, net in make_nets().items():
    shapes = {
      key: list(tensor.shape)
      for key, tensor in net.state_dict().items()
      if not key.endswith('num_batches_tracked')
    }
    lines.append(f'{json.dumps(name)}: {json.dumps(shapes, separators=(",", ":"))}')
  FILE.write_text('{\n' + ',\n'.join(lines) + '\n}\n')


if __name__ == '__main__':
  main()
