"""DenseNets: Huang et al. 2017, densenet.lua and DenseConnectLayer.lua, with the paper's stem."""

import torch
from torch import Tensor, nn

from benchmarks.torch_reference.layers import conv, pool_and_classify, relu, sequence


class DenseLayer(nn.Module):
  """Appends `growth_rate` new channels to its input."""

  def __init__(self, inputs: int, growth_rate: int, bottleneck: bool) -> None:
    """Makes a layer for `inputs` channels; with a bottleneck a 1x1 convolution comes first."""
    super().__init__()
    layers: dict[str, nn.Module] = {}
    if bottleneck:
      width = 4 * growth_rate
      layers = {'bottleneck_norm': nn.BatchNorm2d(inputs), 'bottleneck_relu': relu()}
      layers['bottleneck_conv'] = conv(inputs, width, 1)
      inputs = width
    layers |= {'norm': nn.BatchNorm2d(inputs), 'relu': relu(), 'conv': conv(inputs, growth_rate)}
    self.body = sequence(layers)

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, inputs, height, width]` to `[batch, inputs + growth_rate, height, width]`."""
    return torch.cat([x, self.body(x)], 1)


def densenet(depth: int, growth_rate: int, bc: bool) -> nn.Module:
  """Returns a net of 3n + 4 layers, or 6n + 4 in the form BC.

  Args:
    depth: number of layers.
    growth_rate: the paper's k.
    bc: whether there are bottlenecks, transitions that halve the width and a wider stem.
  """
  width = 2 * growth_rate if bc else 16
  layers: dict[str, nn.Module] = {'stem_conv': conv(3, width)}
  for stage in (1, 2, 3):
    for index in range((depth - 4) // (6 if bc else 3)):
      layers[f'stage{stage}_layer{index + 1}'] = DenseLayer(width, growth_rate, bottleneck=bc)
      width += growth_rate
    if stage < 3:
      outputs = width // 2 if bc else width
      layers[f'transition{stage}'] = transition(width, outputs)
      width = outputs
  layers |= {'final_norm': nn.BatchNorm2d(width), 'final_relu': relu()}
  return sequence(layers | pool_and_classify(width))


def transition(inputs: int, outputs: int) -> nn.Module:
  """Returns the layers that halve the map, from `inputs` to `outputs` channels."""
  return sequence(
    {
      'norm': nn.BatchNorm2d(inputs),
      'relu': relu(),
      'conv': conv(inputs, outputs, 1),
      'pool': nn.AvgPool2d(2),
    }
  )
