"""Makes `googlenet_torch.json`: logits of narrow GoogLeNets in Torch, as `torch_nets.py` does.

Written from the paper's table 1 and from what is known of the two forms in use: torchvision's
(pools in ceiling mode, the last 2x2, a 3x3 for the 5x5, epsilon 1e-3) and kuangliu's for CIFAR.

Run by hand with PyTorch 2.13 installed: `python tests/data/googlenet_torch.py`.
"""

import json
import pathlib

import fill
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, max_pool2d, relu
from torch_nets import Layers

# 1x1; 3x3 reduce, 3x3; 5x5 reduce, 5x5; pool projection: a sixteenth of table 1.
TABLE = {
  '3a': (4, 6, 8, 1, 2, 2),
  '3b': (8, 8, 12, 2, 6, 4),
  '4a': (12, 6, 13, 1, 3, 4),
  '4b': (10, 7, 14, 2, 4, 4),
  '4c': (8, 8, 16, 2, 4, 4),
  '4d': (7, 9, 18, 2, 4, 4),
  '4e': (16, 10, 20, 2, 8, 8),
  '5a': (16, 10, 20, 2, 8, 8),
  '5b': (24, 12, 24, 3, 8, 8),
}


def unit(net: Layers, path: str, i: int, x: Tensor, size: int, width: int, eps: float) -> Tensor:
  """The i-th convolution of a path, of stride 2 if 7x7, with its norm and ReLU."""
  x = net.conv(f'{path}/conv{i}', x, width, 2 if size == 7 else 1, size)
  mean, var, scale, bias = (
    net._fill(f'{path}/norm{i}/{kind}', width) for kind in ('mean', 'var', 'scale', 'bias')
  )
  return relu(batch_norm(x, mean, var, scale, bias, training=False, eps=eps))


def inception(net: Layers, name: str, x: Tensor, sizes: tuple[int, ...], eps: float) -> Tensor:
  """The module of a row of the table; `sizes` are those of what the paper has as one 5x5."""
  one, three_reduce, three, five_reduce, five, projection = TABLE[name]
  path = f'inception{name}'
  a = unit(net, f'{path}/branch1x1', 1, x, 1, one, eps)
  b = unit(net, f'{path}/branch3x3', 1, x, 1, three_reduce, eps)
  b = unit(net, f'{path}/branch3x3', 2, b, 3, three, eps)
  c = unit(net, f'{path}/branch5x5', 1, x, 1, five_reduce, eps)
  for i, size in enumerate(sizes, 2):
    c = unit(net, f'{path}/branch5x5', i, c, size, five, eps)
  d = unit(net, f'{path}/branch_pool', 1, max_pool2d(x, 3, 1, 1), 1, projection, eps)
  return torch.cat([a, b, c, d], 1)


def googlenet(net: Layers, x: Tensor, five: str) -> Tensor:
  """Kuangliu's net for `3x3_3x3`, else ImageNet's."""
  cifar = five == '3x3_3x3'
  eps = 1e-5 if cifar else 1e-3
  sizes = {'3x3_3x3': (3, 3), '3x3': (3,), '5x5': (5,)}[five]
  if cifar:
    x = unit(net, 'stem', 1, x, 3, 12, eps)
  else:
    x = max_pool2d(unit(net, 'stem1', 1, x, 7, 4, eps), 3, 2, ceil_mode=True)
    x = unit(net, 'stem2', 2, unit(net, 'stem2', 1, x, 1, 4, eps), 3, 12, eps)
    x = max_pool2d(x, 3, 2, ceil_mode=True)
  for name in TABLE:
    if name in ('4a', '5a') and cifar:
      x = max_pool2d(x, 3, 2, 1)
    elif name == '5a' and five == '3x3':
      x = max_pool2d(x, 2, 2, ceil_mode=True)
    elif name in ('4a', '5a'):
      x = max_pool2d(x, 3, 2, ceil_mode=True)
    x = inception(net, name, x, sizes, eps)
  x = x.mean((2, 3))
  return x @ net._fill('head/kernel', x.shape[1], 10) + net._fill('head/bias', 10)


def main() -> None:
  """Writes the number of parameters and the logits of each form."""
  x = torch.from_numpy(fill.images()).double().permute(0, 3, 1, 2)
  nets = {}
  for five in ('3x3_3x3', '3x3', '5x5'):
    layers = Layers()
    logits = [[float(f'{y:.8g}') for y in row] for row in googlenet(layers, x, five).tolist()]
    nets[five] = {'num_params': layers.num_params, 'logits': logits}
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text(json.dumps({'torch': torch.__version__, 'nets': nets}, indent=1) + '\n')


if __name__ == '__main__':
  main()
