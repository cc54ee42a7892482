"""Makes `densenet_torch.json`: logits of small DenseNets in Torch, to compare the Flax models with.

Written from `densenet.lua` and `DenseConnectLayer.lua`, with the paper's stem; weights by name, as
in `torch_nets.py`. Run by hand with PyTorch 2.13 installed: `python tests/data/densenet_torch.py`.
"""

import json
import pathlib

import fill
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, relu
from torch_nets import Layers


def densenet(net: Layers, x: Tensor, depth: int, growth_rate: int, bc: bool) -> Tensor:
  """(L - 4) / 3 layers a block, half as many in BC; the transition has a ReLU too."""
  x = net.conv('stem_conv', x, 2 * growth_rate if bc else 16)
  for stage in (1, 2, 3):
    for layer in range(1, (depth - 4) // (6 if bc else 3) + 1):
      name, y = f'stage{stage}_layer{layer}', x
      if bc:
        y = relu(net.norm(f'{name}/bottleneck_norm', y))
        y = net.conv(f'{name}/bottleneck_conv', y, 4 * growth_rate, size=1)
      y = relu(net.norm(f'{name}/norm', y))
      x = torch.cat([x, net.conv(f'{name}/conv', y, growth_rate)], 1)
    if stage < 3:
      name, width = f'transition{stage}', int(x.shape[1] * (0.5 if bc else 1.0))
      y = relu(net.norm(f'{name}/norm', x))
      x = avg_pool2d(net.conv(f'{name}/conv', y, width, size=1), 2)
  return net.head(relu(net.norm('final_norm', x)))


NETS = {
  'densenet_10_5': (10, 5, False),
  'densenet_bc_16_5': (16, 5, True),  # an odd width is halved
}


def main() -> None:
  """Writes the number of parameters and the logits of each net."""
  x = torch.from_numpy(fill.images()).double().permute(0, 3, 1, 2)
  nets = {}
  for name, fields in NETS.items():
    layers = Layers()
    logits = [[float(f'{y:.8g}') for y in row] for row in densenet(layers, x, *fields).tolist()]
    nets[name] = {'num_params': layers.num_params, 'logits': logits}
  result = {'torch': torch.__version__, 'nets': nets}
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
