"""Makes `torch_names.json`: names and shapes in the state_dicts of small public Torch nets.

Run by hand with PyTorch 2.13, pytorchcv 0.0.74 and torchvision 0.29:
`python tests/data/torch_names.py`.
"""

import importlib
import json
import pathlib

import torchvision
from torch import nn


def cv(module: str, function: str, *arguments: object, **fields: object) -> nn.Module:
  """A net of pytorchcv; CIFAR nets take the number of classes first."""
  package = importlib.import_module(f'pytorchcv.models.{module}')
  return getattr(package, function)(*arguments, **fields)


def nets() -> dict[str, nn.Module]:
  """By the implementation and the test's own name for the net."""
  tv = torchvision.models
  return {
    'pytorchcv resnet': cv('resnet_cifar', 'get_resnet_cifar', 10, 8, False),
    'pytorchcv preact_resnet': cv('preresnet_cifar', 'get_preresnet_cifar', 10, 11, True),
    'pytorchcv wide_resnet': cv('wrn_cifar', 'get_wrn_cifar', 10, 10, 2),
    'pytorchcv pyramidnet': cv('pyramidnet_cifar', 'get_pyramidnet_cifar', 10, 8, 12, False),
    'pytorchcv pyramidnet bottleneck': cv(
      'pyramidnet_cifar', 'get_pyramidnet_cifar', 10, 11, 12, True
    ),
    'pytorchcv shake_shake': cv(
      'shakeshakeresnet_cifar', 'get_shakeshakeresnet_cifar', 10, 26, False, 4
    ),
    'pytorchcv resnext': cv('resnext_cifar', 'get_resnext_cifar', 10, 11, 2, 4),
    'pytorchcv seresnet': cv('seresnet_cifar', 'get_seresnet_cifar', 10, 8, False),
    'pytorchcv resnet18': cv('resnet', 'resnet18'),
    'pytorchcv densenet': cv('densenet_cifar', 'get_densenet_cifar', 10, 10, 4, False),
    'pytorchcv densenet_bc': cv('densenet_cifar', 'get_densenet_cifar', 10, 16, 4, True),
    'pytorchcv vgg': cv('vgg', 'bn_vgg11b'),
    'pytorchcv alexnet': cv('alexnet', 'alexnetb'),
    'pytorchcv efficientnet': cv('efficientnet', 'efficientnet_b0b'),
    'torchvision resnet': tv.resnet18(),
    'torchvision vgg': tv.vgg11_bn(),
    'torchvision alexnet': tv.alexnet(),
    'torchvision googlenet': tv.googlenet(init_weights=False),
    'torchvision densenet': tv.DenseNet(4, (2, 2, 2, 2), 8),
    'torchvision efficientnet': tv.efficientnet_b0(),
  }


def main() -> None:
  """Writes a line a net; counters of batches are left out, as every norm has one."""
  lines = []
  for name, net in nets().items():
    shapes = {
      key: list(tensor.shape)
      for key, tensor in net.state_dict().items()
      if not key.endswith('num_batches_tracked')
    }
    lines.append(f'{json.dumps(name)}: {json.dumps(shapes, separators=(",", ":"))}')
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text('{\n' + ',\n'.join(lines) + '\n}\n')


if __name__ == '__main__':
  main()
