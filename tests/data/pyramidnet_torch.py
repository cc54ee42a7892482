"""Makes `pyramidnet_torch.json`: logits of small PyramidNets in Torch, in all their variants.

As `torch_nets.py`, whose layers these are: written from the paper and its authors' Lua code, and
for ShakeDrop from its authors' `ShakeDrop.lua`, not from `cifar_jax`. Run by hand with PyTorch 2.13
installed: `python tests/data/pyramidnet_torch.py`.
"""

import json
import math
import pathlib
from typing import Any

import fill
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, relu
from torch_nets import Layers, units, zeros_behind


def pyramidnet(
  net: Layers,
  x: Tensor,
  n: int,
  alpha: float,
  *,
  mul: bool = False,
  bottleneck: bool = False,
  first_relu: bool = False,
  last_norm: bool = True,
  shortcut: str = 'pad',
  death_rate: float = 0.0,
) -> Tensor:
  """addpyramidnet.lua and mulpyramidnet.lua; `death_rate` is the last block's, at test time."""
  x = net.norm('stem_norm', net.conv('stem_conv', x, 16))
  channels = 16.0
  for number, (name, _, stride) in enumerate(units(n), 1):
    channels = channels * alpha ** (1 / (3 * n)) if mul else channels + alpha / (3 * n)
    inner = math.floor(channels + 0.5)
    outer = 4 * inner if bottleneck else inner
    convs = [(inner, 1, 1), (inner, stride, 3), (outer, 1, 1)]  # width, stride, size
    if not bottleneck:
      convs = [(inner, stride, 3), (outer, 1, 3)]
    y = x
    for i, (width, conv_stride, size) in enumerate(convs, 1):
      y = net.norm(f'{name}/norm{i}', y)
      if i > 1 or first_relu:
        y = relu(y)
      y = net.conv(f'{name}/conv{i}', y, width, conv_stride, size)
    if last_norm:
      y = net.norm(f'{name}/norm{len(convs) + 1}', y)
    if shortcut == 'project' or (shortcut == 'mixed' and stride == 2):
      x = net.conv(f'{name}/shortcut_conv', x, outer, stride, size=1)
    else:
      x = zeros_behind(avg_pool2d(x, 2) if stride == 2 else x, outer)
    x = x + (1 - death_rate * number / (3 * n)) * y
  return net.head(relu(net.norm('final_norm', x)))


# Our name and fields, and the arguments above.
NETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
  'pyramidnet14_mul_4': ({}, {'n': 2, 'alpha': 4, 'mul': True}),
  'pyramidnet11_mul_2.5_bottleneck': (
    {'first_relu': True, 'last_norm': False},  # figure 6a
    {
      'n': 1,
      'alpha': 2.5,
      'mul': True,
      'bottleneck': True,
      'first_relu': True,
      'last_norm': False,
    },
  ),
  'pyramidnet8_a9': (
    {'last_norm': False, 'shortcut': 'project'},  # figure 6b
    {'n': 1, 'alpha': 9, 'last_norm': False, 'shortcut': 'project'},
  ),
  'pyramidnet14_a9': (
    {'first_relu': True, 'shortcut': 'mixed'},  # figure 6c
    {'n': 2, 'alpha': 9, 'first_relu': True, 'shortcut': 'mixed'},
  ),
  'pyramidnet8_a6': (
    {'shake_drop': 'image', 'survival_probability': 0.5},
    {'n': 1, 'alpha': 6, 'death_rate': 0.5},
  ),
}


def main() -> None:
  """Writes the number of parameters and the logits of each net."""
  x = torch.from_numpy(fill.images()).double().permute(0, 3, 1, 2)
  nets = {}
  for name, (fields, arguments) in NETS.items():
    layers = Layers()
    logits = [
      [float(f'{y:.8g}') for y in row] for row in pyramidnet(layers, x, **arguments).tolist()
    ]
    nets[name] = {'fields': fields, 'num_params': layers.num_params, 'logits': logits}
  result = {'torch': torch.__version__, 'nets': nets}
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
