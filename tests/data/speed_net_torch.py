"""Makes `speed_net_torch.json`: logits of a small speed net in Torch, to compare the Flax one with.

Written from the description in cifar10-airbench's README and the constants of its airbench94.py;
weights by name, as in `torch_nets.py`. Run by hand with PyTorch 2.13 installed:
`python tests/data/speed_net_torch.py`.
"""

import json
import pathlib

import fill
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, gelu, max_pool2d
from torch_nets import Layers


class UnscaledNorms(Layers):
  """Layers whose norms have no scale, and whose whitening kernel is not counted."""

  def norm(self, name: str, x: Tensor) -> Tensor:
    """Batch normalisation by running statistics, with a bias alone."""
    mean, var, bias = (self._fill(f'{name}/{kind}', x.shape[1]) for kind in ('mean', 'var', 'bias'))
    return batch_norm(x, mean, var, None, bias, training=False, eps=1e-12)

  def whitening(self, x: Tensor) -> Tensor:
    """2x2 patches without padding, twelve filters and their negatives, 24 trained biases."""
    y = self.conv('whitening', x, 24, size=2, padding=0, bias=True)
    self.num_params -= 2 * 2 * 3 * 24
    return y


def speed_net(net: UnscaledNorms, x: Tensor, widths: tuple[int, ...]) -> Tensor:
  """Three groups, each of which halves the map between its two convolutions' norms."""
  x = gelu(net.whitening(x))
  for i, width in enumerate(widths, 1):
    x = max_pool2d(net.conv(f'group{i}_conv1', x, width), 2)
    x = gelu(net.norm(f'group{i}_norm1', x))
    x = gelu(net.norm(f'group{i}_norm2', net.conv(f'group{i}_conv2', x, width)))
  x = max_pool2d(x, 3).flatten(1)
  kernel = net._fill('head/kernel', x.shape[1], 10)
  return x @ kernel / 9


NETS = {'speed_net_30_4_8': (30, 4, 8)}


def main() -> None:
  """Writes the number of parameters and the logits of each net."""
  x = torch.from_numpy(fill.images()).double().permute(0, 3, 1, 2)
  nets = {}
  for name, widths in NETS.items():
    layers = UnscaledNorms()
    logits = [[float(f'{y:.8g}') for y in row] for row in speed_net(layers, x, widths).tolist()]
    nets[name] = {'num_params': layers.num_params, 'logits': logits}
  result = {'torch': torch.__version__, 'nets': nets}
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
