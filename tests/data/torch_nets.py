"""Makes `torch_nets.json`: logits of small nets in Torch, to compare the Flax models with.

Written from the papers and their authors' Lua code, not from `cifar_jax`: what both do alike is
then no shared mistake. Only the names of the layers are those of the Flax models, as the weights
are filled by name. All nets are in evaluation mode.

Run by hand with PyTorch 2.13 installed: `python tests/data/torch_nets.py`.
"""

import json
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import fill
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, max_pool2d, pad, relu


class Layers:
  """The layers of a net, each with the weights of its name; counts the trainable parameters."""

  def __init__(self) -> None:
    self.num_params = 0

  def _fill(self, path: str, *shape: int) -> Tensor:
    if not path.endswith(('/mean', '/var')):
      self.num_params += math.prod(shape)
    # In double precision, so that what differs is Flax's rounding alone.
    return torch.from_numpy(fill.array(path, shape)).double()

  def conv(
    self, name: str, x: Tensor, width: int, stride: int = 1, size: int = 3, **fields: Any
  ) -> Tensor:
    """A convolution, padded to keep its size; `fields`: groups, padding, bias (none)."""
    kernel = self._fill(f'{name}/kernel', size, size, x.shape[1] // fields.get('groups', 1), width)
    if fields.pop('bias', False):
      fields['bias'] = self._fill(f'{name}/bias', width)
    fields = {'padding': size // 2} | fields
    return conv2d(x, kernel.permute(3, 2, 0, 1), stride=stride, **fields)

  def norm(self, name: str, x: Tensor) -> Tensor:
    """Batch normalisation by running statistics."""
    mean, var, scale, bias = (
      self._fill(f'{name}/{kind}', x.shape[1]) for kind in ('mean', 'var', 'scale', 'bias')
    )
    return batch_norm(x, mean, var, scale, bias, training=False, eps=1e-5)

  def dense(self, name: str, x: Tensor, width: int) -> Tensor:
    """A linear layer."""
    return x @ self._fill(f'{name}/kernel', x.shape[1], width) + self._fill(f'{name}/bias', width)

  def head(self, x: Tensor) -> Tensor:
    """Average pooling over the whole map and ten classes."""
    return self.dense('head', x.mean((2, 3)), 10)

  def squeeze_excitation(self, name: str, x: Tensor, reduction: int) -> Tensor:
    """Hu et al. 2018, figure 3: the linear layers as 1x1 convolutions with biases."""
    y = x.mean((2, 3), keepdim=True)
    y = relu(self.conv(f'{name}/squeeze', y, x.shape[1] // reduction, size=1, bias=True))
    return x * self.conv(f'{name}/excite', y, x.shape[1], size=1, bias=True).sigmoid()


def units(n: int) -> Iterator[tuple[str, int, int]]:
  """Name, stage and stride of each of 3n residual units."""
  for stage in (1, 2, 3):
    for block in range(1, n + 1):
      yield f'stage{stage}_block{block}', stage, 2 if stage > 1 and block == 1 else 1


def zeros_behind(x: Tensor, width: int) -> Tensor:
  """Channels of zeros after those of x."""
  return pad(x, (0, 0, 0, 0, 0, width - x.shape[1]))


def resnet(net: Layers, x: Tensor, n: int, shortcut: str, survival: float = 1.0) -> Tensor:
  """He et al. 2015; with pool_pad and survival, Huang et al. 2016 (ResidualDrop.lua) at test."""
  x = relu(net.norm('stem_norm', net.conv('stem_conv', x, 16)))
  for index, (name, stage, stride) in enumerate(units(n), 1):
    width = 16 * 2 ** (stage - 1)
    y = relu(net.norm(f'{name}/norm1', net.conv(f'{name}/conv1', x, width, stride)))
    y = net.norm(f'{name}/norm2', net.conv(f'{name}/conv2', y, width))
    if x.shape[1] != width:
      if shortcut == 'pad':  # SpatialAveragePooling(1, 1, stride, stride), then zeros
        x = zeros_behind(avg_pool2d(x, 1, stride), width)
      elif shortcut == 'pool_pad':
        x = zeros_behind(avg_pool2d(x, 2), width)
      else:
        x = net.conv(f'{name}/shortcut_conv', x, width, stride, size=1)
        x = net.norm(f'{name}/shortcut_norm', x)
    x = relu(x + (1 - index / (3 * n) * (1 - survival)) * y)
  return net.head(x)


def plain(net: Layers, x: Tensor, n: int) -> Tensor:
  """He et al. 2015, section 4.2: no shortcuts."""
  x = relu(net.norm('stem_norm', net.conv('stem_conv', x, 16)))
  for name, stage, stride in units(n):
    for i, s in ((1, stride), (2, 1)):
      x = net.conv(f'{name}/conv{i}', x, 16 * 2 ** (stage - 1), s)
      x = relu(net.norm(f'{name}/norm{i}', x))
  return net.head(x)


def bottlenecks(
  net: Layers, x: Tensor, n: int, inner: int, outer: int, groups: int = 1, reduction: int = 0
) -> Tensor:
  """The units of fb.resnet.torch and of ResNeXt (figure 3c), projected where widths change."""
  for name, stage, stride in units(n):
    grow = 2 ** (stage - 1)
    y = relu(net.norm(f'{name}/norm1', net.conv(f'{name}/conv1', x, inner * grow, size=1)))
    y = net.conv(f'{name}/conv2', y, inner * grow, stride, groups=groups)
    y = net.conv(f'{name}/conv3', relu(net.norm(f'{name}/norm2', y)), outer * grow, size=1)
    y = net.norm(f'{name}/norm3', y)
    if reduction:
      y = net.squeeze_excitation(f'{name}/squeeze_excitation', y, reduction)
    if x.shape[1] != outer * grow:
      x = net.conv(f'{name}/shortcut_conv', x, outer * grow, stride, size=1)
      x = net.norm(f'{name}/shortcut_norm', x)
    x = relu(x + y)
  return net.head(x)


def resnet_bottleneck(net: Layers, x: Tensor, n: int) -> Tensor:
  """The post-activation 164 and 1001 of He et al. 2016, but 9n + 2 layers."""
  x = relu(net.norm('stem_norm', net.conv('stem_conv', x, 16)))
  return bottlenecks(net, x, n, 16, 64)


def resnext(net: Layers, x: Tensor, n: int, groups: int, width: int, reduction: int = 0) -> Tensor:
  """Xie et al. 2017, section 5.4."""
  x = relu(net.norm('stem_norm', net.conv('stem_conv', x, 64)))
  return bottlenecks(net, x, n, groups * width, 256, groups, reduction)


def resnet_of_stems(net: Layers, x: Tensor, stem: str) -> Tensor:
  """Four stages of one basic block from 8 channels, as torchvision; or as the homework has it."""
  homework = stem == 'homework'
  x = net.conv('stem_conv', x, 8, 2, size=7, padding=5 if homework else 3, bias=homework)
  x = relu(net.norm('stem_norm', x))
  x = max_pool2d(x, 2) if homework else max_pool2d(x, 3, 2, 1)
  for stage in range(4):
    name, width, stride = f'stage{stage + 1}_block1', 8 * 2**stage, 2 if stage else 1
    y = relu(net.norm(f'{name}/norm1', net.conv(f'{name}/conv1', x, width, stride)))
    y = net.norm(f'{name}/norm2', net.conv(f'{name}/conv2', y, width))
    if stage:
      x = net.conv(f'{name}/shortcut_conv', x, width, stride, size=1)
      x = net.norm(f'{name}/shortcut_norm', x)
    x = relu(x + y)
  if homework:
    return net.dense('head', relu(net.dense('hidden', x.mean((2, 3)), 128)), 10)
  return net.head(x)


def preact_order(net: Layers, x: Tensor, n: int, order: str) -> Tensor:
  """He et al. 2016, figure 4a to 4d, each unit written out."""
  x = net.norm('stem_norm', net.conv('stem_conv', x, 16))
  x = x if order == 'd' else relu(x)  # 4d: the first unit does, for both its paths
  for name, stage, stride in units(n):
    width = 16 * 2 ** (stage - 1)
    new = x.shape[1] != width
    y = relu(x) if order == 'd' else x
    if order == 'd' and (new or name == 'stage1_block1'):
      x = y
    if new:
      x = net.conv(f'{name}/shortcut_conv', x, width, stride, size=1)
      x = x if order == 'b' else net.norm(f'{name}/shortcut_norm', x)
    y = relu(net.norm(f'{name}/norm1', net.conv(f'{name}/conv1', y, width, stride)))
    y = net.conv(f'{name}/conv2', y, width)
    if order == 'a':
      x = relu(x + net.norm(f'{name}/norm2', y))
    elif order == 'b':
      x = relu(net.norm(f'{name}/norm_sum', x + y))
    elif order == 'c':
      x = x + relu(net.norm(f'{name}/norm2', y))
    else:
      x = x + net.norm(f'{name}/norm2', y)
  return net.head(relu(x) if order == 'd' else x)


def preact_resnet(net: Layers, x: Tensor, n: int, bottleneck: bool = False) -> Tensor:
  """He et al. 2016, resnet-pre-act.lua: the stride is the first convolution's, 1x1 or 3x3."""
  x = net.conv('stem_conv', x, 16)
  for name, stage, stride in units(n):
    inner = 16 * 2 ** (stage - 1)
    outer = 4 * inner if bottleneck else inner
    activated = relu(net.norm(f'{name}/norm1', x))
    if x.shape[1] != outer:
      x = net.conv(f'{name}/shortcut_conv', activated, outer, stride, size=1)
    elif name == 'stage1_block1':
      x = activated  # the appendix: activated before the paths split, whatever the widths
    y = net.conv(f'{name}/conv1', activated, inner, stride, size=1 if bottleneck else 3)
    y = net.conv(f'{name}/conv2', relu(net.norm(f'{name}/norm2', y)), inner)
    if bottleneck:
      y = net.conv(f'{name}/conv3', relu(net.norm(f'{name}/norm3', y)), outer, size=1)
    x = x + y
  return net.head(relu(net.norm('final_norm', x)))


def wide_resnet(net: Layers, x: Tensor, n: int, k: int, kernels: str = '33') -> Tensor:
  """Zagoruyko and Komodakis 2016, wide-resnet.lua: activates for both paths at new widths only."""
  x = net.conv('stem_conv', x, 16)
  for name, stage, stride in units(n):
    width = 16 * k * 2 ** (stage - 1)
    activated = relu(net.norm(f'{name}/norm1', x))
    if x.shape[1] != width:
      x = net.conv(f'{name}/shortcut_conv', activated, width, stride, size=1)
    y = net.conv(f'{name}/conv1', activated, width, stride, size=int(kernels[0]))
    for i, size in enumerate(kernels[1:], 2):
      y = net.conv(f'{name}/conv{i}', relu(net.norm(f'{name}/norm{i}', y)), width, size=int(size))
    x = x + y
  return net.head(relu(net.norm('final_norm', x)))


def pyramidnet(net: Layers, x: Tensor, n: int, alpha: int, bottleneck: bool = False) -> Tensor:
  """Han et al. 2017, addpyramidnet.lua: the stride is the (first) 3x3 convolution's."""
  x = net.norm('stem_norm', net.conv('stem_conv', x, 16))
  running = 16.0
  for name, _, stride in units(n):
    running += alpha / (3 * n)
    inner = math.floor(running + 0.5)
    outer = 4 * inner if bottleneck else inner
    y = net.norm(f'{name}/norm1', x)
    if bottleneck:
      y = relu(net.norm(f'{name}/norm2', net.conv(f'{name}/conv1', y, inner, size=1)))
      y = relu(net.norm(f'{name}/norm3', net.conv(f'{name}/conv2', y, inner, stride)))
      y = net.norm(f'{name}/norm4', net.conv(f'{name}/conv3', y, outer, size=1))
    else:
      y = relu(net.norm(f'{name}/norm2', net.conv(f'{name}/conv1', y, inner, stride)))
      y = net.norm(f'{name}/norm3', net.conv(f'{name}/conv2', y, inner))
    if stride == 2:
      x = avg_pool2d(x, 2)
    x = zeros_behind(x, outer) + y
  return net.head(relu(net.norm('final_norm', x)))


def shake_shake(net: Layers, x: Tensor, base_width: int) -> Tensor:
  """Gastaldi 2017, shakeshakeblock.lua, with 26 layers: each branch counts half at test time."""
  x = net.norm('stem_norm', net.conv('stem_conv', x, 16))
  for name, stage, stride in units(4):
    width = base_width * 2 ** (stage - 1)
    activated = relu(x)  # at the start of both branches and of a shortcut of new width
    y = torch.zeros(())
    for branch in (f'{name}/branch1', f'{name}/branch2'):
      z = relu(net.norm(f'{branch}/norm1', net.conv(f'{branch}/conv1', activated, width, stride)))
      y = y + 0.5 * net.norm(f'{branch}/norm2', net.conv(f'{branch}/conv2', z, width))
    if x.shape[1] != width:
      # SpatialZeroPadding(1, -1, 1, -1): down and right by a pixel, without stride too.
      paths = (activated, pad(activated, (1, -1, 1, -1)))
      halves = [
        net.conv(f'{name}/shortcut/conv{i}', avg_pool2d(path, 1, stride), width // 2, size=1)
        for i, path in enumerate(paths, 1)
      ]
      x = net.norm(f'{name}/shortcut/norm', torch.cat(halves, 1))
    x = x + y
  return net.head(relu(x))


# The ids of the test. Nets with two units a stage have identity shortcuts in each stage too.
NETS: dict[str, Callable[[Layers, Tensor], Tensor]] = {
  'resnet8 pad': lambda net, x: resnet(net, x, 1, 'pad'),
  'resnet8 pool_pad': lambda net, x: resnet(net, x, 1, 'pool_pad'),
  'resnet8 project': lambda net, x: resnet(net, x, 1, 'project'),
  'resnet14 pool_pad survival 0.5': lambda net, x: resnet(net, x, 2, 'pool_pad', 0.5),
  'plain14': lambda net, x: plain(net, x, 2),
  'resnet20_bottleneck': lambda net, x: resnet_bottleneck(net, x, 2),
  'resnext_20_4x2d': lambda net, x: resnext(net, x, 2, 4, 2),
  'se_resnext_11_2x4d': lambda net, x: resnext(net, x, 1, 2, 4, reduction=16),
  'resnet18_imagenet tiny': lambda net, x: resnet_of_stems(net, x, 'imagenet'),
  'resnet18_homework tiny': lambda net, x: resnet_of_stems(net, x, 'homework'),
  **{
    f'preact_resnet14_order_{order}': lambda net, x, order=order: preact_order(net, x, 2, order)
    for order in 'abcd'
  },
  'wrn_10_2_b131': lambda net, x: wide_resnet(net, x, 1, 2, '131'),
  'preact_resnet8': lambda net, x: preact_resnet(net, x, 1),
  'preact_resnet14': lambda net, x: preact_resnet(net, x, 2),
  'preact_resnet11_bottleneck': lambda net, x: preact_resnet(net, x, 1, bottleneck=True),
  'wrn_10_2': lambda net, x: wide_resnet(net, x, 1, 2),
  'wrn_16_1': lambda net, x: wide_resnet(net, x, 2, 1),
  'pyramidnet8_a12': lambda net, x: pyramidnet(net, x, 1, 12),
  'pyramidnet14_a10': lambda net, x: pyramidnet(net, x, 2, 10),  # widths that need rounding
  'pyramidnet11_a12_bottleneck': lambda net, x: pyramidnet(net, x, 1, 12, bottleneck=True),
  'shake_shake_26_2x4d': lambda net, x: shake_shake(net, x, 4),
}


def main() -> None:
  """Writes the number of parameters and the logits of each net."""
  x = torch.from_numpy(fill.images()).double().permute(0, 3, 1, 2)
  nets = {}
  for name, net in NETS.items():
    layers = Layers()
    logits = [[float(f'{y:.8g}') for y in row] for row in net(layers, x).tolist()]
    nets[name] = {'num_params': layers.num_params, 'logits': logits}
  result = {'torch': torch.__version__, 'nets': nets}
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
