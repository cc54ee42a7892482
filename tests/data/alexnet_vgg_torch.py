"""Makes `alexnet_vgg_torch.json`: logits of AlexNet and VGG in Torch, to compare ours with.

Written from the papers (AlexNet's figure 2 and section 3.3, VGG's table 1) and not from
`cifar_jax`; the weights are filled by the names of the Flax layers. In evaluation mode. Hidden
layers and the stages of VGG are narrower than the papers', as the tests then make ours.

Run by hand with PyTorch 2.13 installed: `python tests/data/alexnet_vgg_torch.py`.
"""

import json
import pathlib

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, relu
from torch_nets import Layers

HIDDEN_WIDTH = 64
VGG_WIDTHS = (8, 16, 32, 64, 64)


class Biased(Layers):
  """Layers with biases."""

  def conv(self, name: str, x: Tensor, width: int, stride=1, size=3, pad=None, groups=1) -> Tensor:
    kernel = self._fill(f'{name}/kernel', size, size, x.shape[1] // groups, width)
    bias = self._fill(f'{name}/bias', width)
    pad = size // 2 if pad is None else pad
    return conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride, pad, groups=groups)

  def dense(self, name: str, x: Tensor, width: int) -> Tensor:
    return x @ self._fill(f'{name}/kernel', x.shape[1], width) + self._fill(f'{name}/bias', width)


def flat(x: Tensor) -> Tensor:
  """A map as a vector, channels last, as Flax has it."""
  return x.permute(0, 2, 3, 1).flatten(1)


def normalized(x: Tensor) -> Tensor:
  """AlexNet, section 3.3, written out channel by channel."""
  last = x.shape[1] - 1
  sums = [(x[:, max(0, i - 2) : min(last, i + 2) + 1] ** 2).sum(1) for i in range(last + 1)]
  return x / (2 + 1e-4 * torch.stack(sums, 1)) ** 0.75


def alexnet_cifar(net: Biased, x: Tensor, norm=lambda x: x) -> Tensor:
  """As bearpaw's models/cifar/alexnet.py."""
  x = max_pool2d(norm(relu(net.conv('conv1', x, 64, 4, 11, pad=5))), 2)
  x = max_pool2d(norm(relu(net.conv('conv2', x, 192, size=5))), 2)
  for name, width in (('conv3', 384), ('conv4', 256), ('conv5', 256)):
    x = relu(net.conv(name, x, width))
  return net.dense('head', flat(max_pool2d(x, 2)), 10)


def alexnet_imagenet(net: Biased, x: Tensor) -> Tensor:
  """Figure 2: two towers."""
  x = max_pool2d(normalized(relu(net.conv('conv1', x, 96, 4, 11, pad=2))), 3, 2)
  x = max_pool2d(normalized(relu(net.conv('conv2', x, 256, size=5, groups=2))), 3, 2)
  x = relu(net.conv('conv3', x, 384))
  x = relu(net.conv('conv4', x, 384, groups=2))
  x = max_pool2d(relu(net.conv('conv5', x, 256, groups=2)), 3, 2)
  x = relu(net.dense('hidden1', flat(x), HIDDEN_WIDTH))
  x = relu(net.dense('hidden2', x, HIDDEN_WIDTH))
  return net.dense('head', x, 10)


def vgg(net: Biased, x: Tensor, stages: tuple[str, ...], lrn=False, mlp=False) -> Tensor:
  """Table 1 with batch normalisation; '331' is a stage with a 1x1 last."""
  for stage, (sizes, width) in enumerate(zip(stages, VGG_WIDTHS, strict=True), 1):
    for i, size in enumerate(sizes, 1):
      x = net.conv(f'stage{stage}_conv{i}', x, width, size=int(size))
      x = relu(net.norm(f'stage{stage}_norm{i}', x))
    if lrn and stage == 1:
      x = normalized(x)
    x = max_pool2d(x, 2)
  x = flat(x)
  if mlp:
    x = relu(net.dense('hidden2', relu(net.dense('hidden1', x, HIDDEN_WIDTH)), HIDDEN_WIDTH))
  return net.dense('head', x, 10)


# Id: the net, our name and fields, pixels. 63 leave AlexNet's last map one pixel.
NETS = {
  'alexnet': (alexnet_cifar, 'alexnet', {}, 32),
  'alexnet local_response_norm': (
    lambda net, x: alexnet_cifar(net, x, normalized),
    'alexnet',
    {'local_response_norm': True},
    32,
  ),
  'alexnet_imagenet': (alexnet_imagenet, 'alexnet_imagenet', {}, 63),
  'vgg11_lrn_bn': (
    lambda net, x: vgg(net, x, ('3', '3', '33', '33', '33'), lrn=True),
    'vgg11_lrn_bn',
    {},
    32,
  ),
  'vgg16_c_bn': (
    lambda net, x: vgg(net, x, ('33', '33', '331', '331', '331')),
    'vgg16_c_bn',
    {},
    32,
  ),
  'vgg13_bn head mlp': (
    lambda net, x: vgg(net, x, ('33', '33', '33', '33', '33'), mlp=True),
    'vgg13_bn',
    {'head': 'mlp'},
    64,  # so that the order of the flattened map matters
  ),
}


def main() -> None:
  """Writes the number of parameters and the logits of each net."""
  nets = {}
  for key, (net, name, fields, size) in NETS.items():
    images = np.random.RandomState(0).standard_normal((2, size, size, 3)).astype(np.float32)
    layers = Biased()
    logits = net(layers, torch.from_numpy(images).double().permute(0, 3, 1, 2)).tolist()
    nets[key] = {
      'name': name,
      'fields': fields,
      'image_size': size,
      'num_params': layers.num_params,
      'logits': [[float(f'{y:.8g}') for y in row] for row in logits],
    }
  result = {'torch': torch.__version__, 'nets': nets}
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
