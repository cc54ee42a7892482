"""Makes `fractalnet_torch.json`: logits of small FractalNets in Torch, to compare Flax with.

Written from the paper's expansion rule (section 3), a recursion, where `cifar_jax` goes row by row.
Weights by name, as in `torch_nets.py`. Run by hand with PyTorch 2.13 installed:
`python tests/data/fractalnet_torch.py`.
"""

import json
import pathlib
from collections import Counter

import fill
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, relu
from torch_nets import Layers

WIDTHS = (4, 8, 16, 32, 32)


class FractalNet:
  """f_1(z) = conv(z); f_{C+1}(z) = [f_C(f_C(z))] joined with [conv(z)]; joins that meet are one."""

  def __init__(self, net: Layers, num_columns: int, deepest: bool) -> None:
    self.net, self.num_columns, self.deepest = net, num_columns, deepest
    self.block, self.width, self.seen = '', 0, Counter[int]()

  def layer(self, z: Tensor, column: int) -> Tensor:
    """The column's next layer: convolution, BN, ReLU."""
    self.seen[column] += 1
    name = f'{self.block}/column{column}_layer{self.seen[column]}'
    return relu(self.net.norm(f'{name}/norm', self.net.conv(f'{name}/conv', z, self.width)))

  def expand(self, z: Tensor, columns: int) -> list[Tensor]:
    """The inputs of the join that f_columns ends with, the deepest last."""
    if columns == 1:
      return [self.layer(z, self.num_columns)]
    shallow = self.layer(z, self.num_columns - columns + 1)
    deep = self.expand(self.mean(self.expand(z, columns - 1)), columns - 1)
    return [shallow, *deep]

  def mean(self, inputs: list[Tensor]) -> Tensor:
    """The join."""
    return inputs[-1] if self.deepest else torch.stack(inputs).mean(0)

  def __call__(self, x: Tensor) -> Tensor:
    """Logits; a block pools its columns before it joins them (section 4.2)."""
    for index, width in enumerate(WIDTHS, 1):
      self.block, self.width, self.seen = f'block{index}', width, Counter()
      x = self.mean([max_pool2d(z, 2) for z in self.expand(x, self.num_columns)])
    x = x.flatten(1)
    return x @ self.net._fill('head/kernel', x.shape[1], 10) + self.net._fill('head/bias', 10)


# Columns, and whether the deepest alone is used.
NETS = {
  'fractalnet20_w4 all': (3, False),
  'fractalnet20_w4 deepest': (3, True),
  'fractalnet40_w4 all': (4, False),
}


def main() -> None:
  """Writes the number of parameters and the logits of each net."""
  x = torch.from_numpy(fill.images()).double().permute(0, 3, 1, 2)
  nets = {}
  for name, (num_columns, deepest) in NETS.items():
    layers = Layers()
    logits = FractalNet(layers, num_columns, deepest)(x).tolist()
    logits = [[float(f'{y:.8g}') for y in row] for row in logits]
    nets[name] = {'num_params': layers.num_params, 'logits': logits}
  result = {'torch': torch.__version__, 'nets': nets}
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
