"""Makes `shake_shake_torch.json`: logits of the Shake-Shake nets that `torch_nets.py` has not.

Written, as there, from the paper and the author's Lua code (`shakeshake.lua`), not from
`cifar_jax`; weights are filled by name and all nets are in evaluation mode.

Run by hand with PyTorch 2.13 installed: `python tests/data/shake_shake_torch.py`.
"""

import json
import pathlib
from collections.abc import Callable

import fill
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad, relu
from torch_nets import Layers


class Net(Layers):
  """Layers that may be grouped, or lack their norms."""

  def __init__(self, norms: bool) -> None:
    super().__init__()
    self._norms = norms

  def norm(self, name: str, x: Tensor) -> Tensor:
    """Batch normalisation, or nothing."""
    return super().norm(name, x) if self._norms else x

  def grouped(self, name: str, x: Tensor, stride: int, groups: int) -> Tensor:
    """A 3x3 convolution within groups of channels, as many out as in."""
    width = x.shape[1]
    kernel = self._fill(f'{name}/kernel', 3, 3, width // groups, width).permute(3, 2, 0, 1)
    return conv2d(x, kernel, stride=stride, padding=1, groups=groups)


def resnet(
  net: Net, x: Tensor, n: int, width: int, branches: int = 2, skip: bool = True, convs: int = 2
) -> Tensor:
  """3n blocks of as many branches, of one or two convolutions, each with its ReLU before it."""
  x = net.norm('stem_norm', net.conv('stem_conv', x, 16))
  for stage in range(3):
    for block in range(n):
      name, stride = f'stage{stage + 1}_block{block + 1}', 2 if stage > 0 and block == 0 else 1
      outs = []
      for branch in (f'{name}/branch{i + 1}' for i in range(branches)):
        y = net.conv(f'{branch}/conv1', relu(x), width * 2**stage, stride)
        y = net.norm(f'{branch}/norm1', y)
        if convs == 2:
          y = net.conv(f'{branch}/conv2', relu(y), width * 2**stage)
          y = net.norm(f'{branch}/norm2', y)
        outs.append(y)
      mixed = torch.stack(outs).mean(0)
      if not skip:
        x = mixed
      elif x.shape == mixed.shape:
        x = x + mixed
      else:
        paths = (relu(x), pad(relu(x), (1, -1, 1, -1)))
        halves = [
          net.conv(f'{name}/shortcut/conv{i}', avg_pool2d(path, 1, stride), y.shape[1] // 2, size=1)
          for i, path in enumerate(paths, 1)
        ]
        x = net.norm(f'{name}/shortcut/norm', torch.cat(halves, 1)) + mixed
  return net.head(relu(x))


def resnext(net: Net, x: Tensor, n: int, groups: int, width: int) -> Tensor:
  """`resnext_bottleneck_C`, twice a block: ReLU after the stem and after each addition."""
  x = relu(net.norm('stem_norm', net.conv('stem_conv', x, 64)))
  for stage in range(3):
    for block in range(n):
      name, stride = f'stage{stage + 1}_block{block + 1}', 2 if stage > 0 and block == 0 else 1
      inner, outer = width * groups * 2**stage, 4 * 64 * 2**stage
      total = x
      if x.shape[1] != outer:
        total = net.conv(f'{name}/shortcut/conv', x, outer, stride, size=1)
        total = net.norm(f'{name}/shortcut/norm', total)
      for branch in (f'{name}/branch1', f'{name}/branch2'):
        y = relu(net.norm(f'{branch}/norm1', net.conv(f'{branch}/conv1', x, inner, size=1)))
        y = relu(net.norm(f'{branch}/norm2', net.grouped(f'{branch}/conv2', y, stride, groups)))
        y = net.norm(f'{branch}/norm3', net.conv(f'{branch}/conv3', y, outer, size=1))
        total = total + 0.5 * y
      x = relu(total)
  return net.head(x)


# The ids of the test: whether there are norms, and the net.
NETS: dict[str, tuple[bool, Callable[[Net, Tensor], Tensor]]] = {
  'three branches': (True, lambda net, x: resnet(net, x, 1, 4, branches=3)),
  'no shortcuts, one convolution a branch': (
    True,
    lambda net, x: resnet(net, x, 2, 4, skip=False, convs=1),
  ),
  'no shortcuts, no norms': (False, lambda net, x: resnet(net, x, 1, 4, skip=False)),
  'resnext': (True, lambda net, x: resnext(net, x, 1, 2, 4)),
}


def main() -> None:
  """Writes the number of parameters and the logits of each net."""
  x = torch.from_numpy(fill.images()).double().permute(0, 3, 1, 2)
  nets = {}
  for name, (norms, apply) in NETS.items():
    net = Net(norms)
    logits = [[float(f'{y:.8g}') for y in row] for row in apply(net, x).tolist()]
    nets[name] = {'num_params': net.num_params, 'logits': logits}
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text(json.dumps({'torch': torch.__version__, 'nets': nets}, indent=1) + '\n')


if __name__ == '__main__':
  main()
