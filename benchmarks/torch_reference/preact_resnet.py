"""Pre-activation ResNets, Wide ResNets, and the orders of activation of He et al. 2016."""

from collections.abc import Sequence

from torch import nn

from benchmarks.torch_reference.layers import (
  ResidualBlock,
  conv,
  pool_and_classify,
  relu,
  sequence,
  units,
)
from benchmarks.torch_reference.resnet import basic_body, projection


def preact_block(
  inputs: int, widths: Sequence[int], sizes: Sequence[int], stride: int, *, first: bool = False
) -> ResidualBlock:
  """Returns a block with a norm and a ReLU before each convolution.

  A block that changes the width projects its activated input.

  Args:
    inputs: number of channels before the block.
    widths: number of channels after each convolution.
    sizes: kernel size of each convolution.
    stride: of the first convolution.
    first: whether to activate the input for the shortcut too, whatever the widths.
  """
  channels = inputs
  body: dict[str, nn.Module] = {}
  for i, (width, size) in enumerate(zip(widths, sizes, strict=True), 1):
    if i > 1:
      body |= {f'norm{i}': nn.BatchNorm2d(channels), f'relu{i}': relu()}
    body[f'conv{i}'] = conv(channels, width, size, stride if i == 1 else 1)
    channels = width
  widens = inputs != channels
  return ResidualBlock(
    sequence(body),
    sequence({'shortcut_conv': conv(inputs, channels, 1, stride)}) if widens else None,
    start=sequence({'norm1': nn.BatchNorm2d(inputs), 'relu1': relu()}),
    skip_after_start=widens or first,
  )


def last_layers(channels: int) -> dict[str, nn.Module]:
  """Returns the layers after the last block."""
  final = {'final_norm': nn.BatchNorm2d(channels), 'final_relu': relu()}
  return final | pool_and_classify(channels)


def preact_resnet(depth: int, bottleneck: bool = False) -> nn.Module:
  """Returns a net of 6n + 2 layers, or 9n + 2 with bottlenecks: He et al. 2016.

  As resnet-pre-act.lua: the first convolution of a block has the stride, 1x1 or 3x3, and the first
  block activates its input for both paths (the paper's appendix).
  """
  inputs = 16
  layers: dict[str, nn.Module] = {'stem_conv': conv(3, inputs)}
  for name, stage, stride in units((depth - 2) // (9 if bottleneck else 6)):
    inner = 16 * 2**stage
    widths, sizes = ((inner, inner, 4 * inner), (1, 3, 1)) if bottleneck else ((inner,) * 2, (3, 3))
    layers[name] = preact_block(inputs, widths, sizes, stride, first=name == 'stage1_block1')
    inputs = widths[-1]
  return sequence(layers | last_layers(inputs))


def wide_resnet(depth: int, widen_factor: int, sizes: Sequence[int] = (3, 3)) -> nn.Module:
  """Returns a net of 6n + 4 layers: Zagoruyko and Komodakis 2016, wide-resnet.lua.

  Args:
    depth: number of layers for two convolutions per block.
    widen_factor: the paper's k.
    sizes: kernel size of each convolution of a block.
  """
  inputs = 16
  layers: dict[str, nn.Module] = {'stem_conv': conv(3, inputs)}
  for name, stage, stride in units((depth - 4) // 6):
    width = 16 * widen_factor * 2**stage
    layers[name] = preact_block(inputs, (width,) * len(sizes), sizes, stride)
    inputs = width
  return sequence(layers | last_layers(inputs))


def ordered_resnet(depth: int, order: str) -> nn.Module:
  """Returns a ResNet with projections and one of the orders of He et al. 2016, figure 4a to 4d.

  Args:
    depth: number of layers, 6n + 2.
    order: `a` (the ResNet of 2015), `b` (norm after the sum), `c` (ReLU before the sum) or `d`
      (ReLU before the convolutions).
  """
  layers: dict[str, nn.Module] = {'stem_conv': conv(3, 16), 'stem_norm': nn.BatchNorm2d(16)}
  if order != 'd':  # in 4d the first block activates for both of its paths
    layers['stem_relu'] = relu()
  inputs = 16
  for name, stage, stride in units((depth - 2) // 6):
    width = 16 * 2**stage
    layers[name] = ordered_block(order, inputs, width, stride, first=name == 'stage1_block1')
    inputs = width
  if order == 'd':
    layers['final_relu'] = relu()
  return sequence(layers | pool_and_classify(inputs))


def ordered_block(
  order: str, inputs: int, width: int, stride: int, *, first: bool
) -> ResidualBlock:
  """Returns a block of `ordered_resnet`; `first` says whether it is the first of the net."""
  body = basic_body(inputs, width, stride)
  end: dict[str, nn.Module] = {}
  if order == 'a':
    end['relu2'] = relu()
  elif order == 'b':
    del body['norm2']
    end = {'norm_sum': nn.BatchNorm2d(width), 'relu2': relu()}
  elif order == 'c':
    body['relu2'] = relu()
  skip: nn.Module | None = None
  if inputs != width:
    skip = projection(inputs, width, stride)
    if order == 'b':
      skip = sequence({'shortcut_conv': conv(inputs, width, 1, stride)})
  return ResidualBlock(
    sequence(body),
    skip,
    start=nn.ReLU() if order == 'd' else None,
    end=sequence(end) if end else None,
    skip_after_start=order == 'd' and (first or inputs != width),
  )
