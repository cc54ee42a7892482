"""Makes `efficientnet_torch.json`: logits of narrow EfficientNets in Torch, as `torch_nets.py`.

Written from the paper's table 1 and the rules of the authors' TensorFlow code: SAME padding (as
little as gives ceil(size / stride), the odd pixel below and to the right), widths in multiples of 8
but no more than a tenth too small, squeezing to a quarter of the block's input.

Run by hand with PyTorch 2.13 installed: `python tests/data/efficientnet_torch.py`.
"""

import json
import math
import pathlib

import fill
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, pad, silu
from torch_nets import Layers

WIDTH, DEPTH = 0.25, 0.6
# MBConv1 or 6, kernel, stride, channels, layers.
TABLE = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3),
         (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))  # fmt: skip


def scaled(channels: int) -> int:
  """The channels of a narrow net: the nearest 8k, or the next above if that loses over 10 %."""
  wanted = channels * WIDTH
  nearest = max(8, 8 * math.floor(wanted / 8 + 0.5))
  return nearest if nearest >= 0.9 * wanted else nearest + 8


def same_conv(net: Layers, name: str, x: Tensor, width: int, stride: int, size: int) -> Tensor:
  """A convolution padded as TensorFlow does; of each channel by itself where `width` is 0."""
  groups = 1 if width else x.shape[1]
  kernel = net._fill(f'{name}/kernel', size, size, x.shape[1] // groups, width or x.shape[1])
  total = max(0, (math.ceil(x.shape[2] / stride) - 1) * stride + size - x.shape[2])
  before, after = total // 2, total - total // 2
  x = pad(x, (before, after, before, after))
  return conv2d(x, kernel.permute(3, 2, 0, 1), stride=stride, groups=groups)


def norm(net: Layers, name: str, x: Tensor) -> Tensor:
  """Batch normalisation of epsilon 1e-3 by running statistics."""
  mean, var, scale, bias = (
    net._fill(f'{name}/{kind}', x.shape[1]) for kind in ('mean', 'var', 'scale', 'bias')
  )
  return batch_norm(x, mean, var, scale, bias, training=False, eps=1e-3)


def dense(net: Layers, name: str, x: Tensor, width: int) -> Tensor:
  """A linear layer of [batch, features]."""
  return x @ net._fill(f'{name}/kernel', x.shape[1], width) + net._fill(f'{name}/bias', width)


def mbconv(
  net: Layers, name: str, x: Tensor, expand: int, size: int, stride: int, width: int
) -> Tensor:
  """An inverted bottleneck, added to its input where both have one shape by design."""
  y = x
  if expand > 1:
    y = same_conv(net, f'{name}/expand_conv', y, expand * x.shape[1], 1, 1)
    y = silu(norm(net, f'{name}/expand_norm', y))
  y = silu(
    norm(
      net, f'{name}/depthwise_norm', same_conv(net, f'{name}/depthwise_conv', y, 0, stride, size)
    )
  )
  path = f'{name}/squeeze_excitation'
  z = silu(dense(net, f'{path}/squeeze', y.mean((2, 3)), x.shape[1] // 4))
  y = y * torch.sigmoid(dense(net, f'{path}/excite', z, y.shape[1]))[:, :, None, None]
  y = norm(net, f'{name}/project_norm', same_conv(net, f'{name}/project_conv', y, width, 1, 1))
  return x + y if stride == 1 and x.shape[1] == width else y


def efficientnet(net: Layers, x: Tensor, imagenet: bool) -> Tensor:
  """The net; for CIFAR its stem and second stage have no stride."""
  x = same_conv(net, 'stem_conv', x, scaled(32), 2 if imagenet else 1, 3)
  x = silu(norm(net, 'stem_norm', x))
  for stage, (expand, size, stride, channels, repeats) in enumerate(TABLE, 1):
    if stage == 2 and not imagenet:
      stride = 1
    for block in range(1, math.ceil(repeats * DEPTH) + 1):
      name = f'stage{stage}_block{block}'
      x = mbconv(net, name, x, expand, size, stride if block == 1 else 1, scaled(channels))
  x = silu(norm(net, 'head_norm', same_conv(net, 'head_conv', x, scaled(1280), 1, 1)))
  return dense(net, 'head', x.mean((2, 3)), 10)


def main() -> None:
  """Writes the number of parameters and the logits of both forms."""
  x = torch.from_numpy(fill.images()).double().permute(0, 3, 1, 2)
  nets = {}
  for name in ('efficientnet_b0', 'efficientnet_b0_imagenet'):
    layers = Layers()
    rows = efficientnet(layers, x, name.endswith('imagenet')).tolist()
    logits = [[float(f'{y:.8g}') for y in row] for row in rows]
    nets[name] = {'num_params': layers.num_params, 'logits': logits}
  result = {'torch': torch.__version__, 'width': WIDTH, 'depth': DEPTH, 'nets': nets}
  path = pathlib.Path(__file__).with_suffix('.json')
  path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
  main()
