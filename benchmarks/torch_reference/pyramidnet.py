"""PyramidNets: Han et al. 2017, addpyramidnet.lua and mulpyramidnet.lua, in all their variants."""

import math
from collections.abc import Iterator

from torch import nn

from benchmarks.torch_reference.layers import (
  PaddedSkip,
  ResidualBlock,
  conv,
  relu,
  sequence,
  units,
)
from benchmarks.torch_reference.preact_resnet import last_layers


def widths(num_blocks: int, alpha: float, multiply: bool) -> Iterator[int]:
  """Yields the rounded number of channels of each of `3 * num_blocks` blocks."""
  channels, total = 16.0, 3 * num_blocks
  for _ in range(total):
    channels = channels * alpha ** (1 / total) if multiply else channels + alpha / total
    yield math.floor(channels + 0.5)


def pyramidnet(
  depth: int,
  alpha: float,
  *,
  multiply: bool = False,
  bottleneck: bool = False,
  first_relu: bool = False,
  last_norm: bool = True,
  shortcut: str = 'pad',
  death_rate: float = 0.0,
) -> nn.Module:
  """Returns a net of 6n + 2 layers, or 9n + 2 with bottlenecks.

  The default is figure 6d: a norm before the first convolution without a ReLU, and a norm after the
  last.

  Args:
    depth: number of layers.
    alpha: what is added to the width, or its factor, over all blocks.
    multiply: whether alpha is a factor.
    bottleneck: whether a block has a 1x1, a 3x3 and a 1x1 convolution.
    first_relu: whether there is a ReLU before the first convolution of a block.
    last_norm: whether there is a norm after the last convolution of a block.
    shortcut: `pad`, `project` (in each block) or `mixed` (a projection where the map shrinks).
    death_rate: of ShakeDrop in the last block (ShakeDrop.lua); in evaluation a factor.
  """
  inputs, num_blocks = 16, (depth - 2) // (9 if bottleneck else 6)
  layers: dict[str, nn.Module] = {'stem_conv': conv(3, 16), 'stem_norm': nn.BatchNorm2d(16)}
  blocks = zip(units(num_blocks), widths(num_blocks, alpha, multiply), strict=True)
  for index, ((name, _, stride), inner) in enumerate(blocks, 1):
    outer = 4 * inner if bottleneck else inner
    projects = shortcut == 'project' or (shortcut == 'mixed' and stride == 2)
    layers[name] = ResidualBlock(
      pyramid_body(inputs, inner, stride, bottleneck, first_relu, last_norm),
      sequence({'shortcut_conv': conv(inputs, outer, 1, stride)})
      if projects
      else PaddedSkip(outer, stride, pool=True),
      scale=1 - death_rate * index / (3 * num_blocks),
    )
    inputs = outer
  return sequence(layers | last_layers(inputs))


def pyramid_body(
  inputs: int, inner: int, stride: int, bottleneck: bool, first_relu: bool, last_norm: bool
) -> nn.Module:
  """Returns the branch of a block, whose 3x3 convolution, or the first of two, has the stride."""
  convs = [(inner, 3, stride), (inner, 3, 1)]  # width, size, stride
  if bottleneck:
    convs = [(inner, 1, 1), (inner, 3, stride), (4 * inner, 1, 1)]
  layers: dict[str, nn.Module] = {}
  for i, (width, size, conv_stride) in enumerate(convs, 1):
    layers[f'norm{i}'] = nn.BatchNorm2d(inputs)
    if i > 1 or first_relu:
      layers[f'relu{i}'] = relu()
    layers[f'conv{i}'] = conv(inputs, width, size, conv_stride)
    inputs = width
  if last_norm:
    layers[f'norm{len(convs) + 1}'] = nn.BatchNorm2d(inputs)
  return sequence(layers)
