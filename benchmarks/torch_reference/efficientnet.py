"""EfficientNets without dropout and drop-connect: Tan and Le 2019, table 1.

The rules are those of the authors' TensorFlow code. Padding is SAME: as little as makes the output
ceil(size / stride), with the odd pixel below and to the right. Widths are multiples of 8, and at
most a tenth too small. Blocks are squeezed to a quarter of their input's channels.
"""

import math

from torch import Tensor, nn
from torch.nn import functional

from benchmarks.torch_reference.layers import (
  ResidualBlock,
  SqueezeExcitation,
  pool_and_classify,
  sequence,
)

B0, NARROW = (1.0, 1.0), (0.25, 0.6)  # factors of the widths and of the depths of `TABLE`
# Expansion, kernel size, stride, channels and number of blocks of each stage.
TABLE = (
  (1, 3, 1, 16, 1),
  (6, 3, 2, 24, 2),
  (6, 5, 2, 40, 2),
  (6, 3, 2, 80, 3),
  (6, 5, 1, 112, 3),
  (6, 5, 2, 192, 4),
  (6, 3, 1, 320, 1),
)


class SameConv(nn.Conv2d):
  """A convolution without bias that is padded as TensorFlow does."""

  def __init__(
    self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1
  ) -> None:
    """Makes a convolution from `inputs` to `outputs` channels."""
    super().__init__(inputs, outputs, size, stride, groups=groups, bias=False)

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, inputs, size, size]` to `[batch, outputs, ceil(size / stride), ...]`."""
    size, stride = self.kernel_size[0], self.stride[0]
    total = max(0, (math.ceil(x.shape[2] / stride) - 1) * stride + size - x.shape[2])
    before, after = total // 2, total - total // 2
    return super().forward(functional.pad(x, (before, after, before, after)))


def norm(channels: int) -> nn.BatchNorm2d:
  """Returns a norm with the authors' epsilon."""
  return nn.BatchNorm2d(channels, eps=1e-3)


def scaled(channels: int, factor: float) -> int:
  """Returns a width times a factor: the nearest multiple of 8, or the next one above it.

  It is the next one if the nearest would lose more than 10 %.
  """
  wanted = channels * factor
  nearest = max(8, 8 * math.floor(wanted / 8 + 0.5))
  return nearest if nearest >= 0.9 * wanted else nearest + 8


def mbconv(inputs: int, outputs: int, expansion: int, size: int, stride: int) -> nn.Module:
  """Returns an inverted bottleneck, with a shortcut if it keeps its input's shape."""
  layers: dict[str, nn.Module] = {}
  width = expansion * inputs
  if expansion > 1:
    layers = {'expand_conv': SameConv(inputs, width, 1), 'expand_norm': norm(width)}
    layers['expand_swish'] = nn.SiLU()
  layers |= {
    'depthwise_conv': SameConv(width, width, size, stride, groups=width),
    'depthwise_norm': norm(width),
    'depthwise_swish': nn.SiLU(),
    'squeeze_excitation': SqueezeExcitation(width, inputs // 4, nn.SiLU()),
    'project_conv': SameConv(width, outputs, 1),
    'project_norm': norm(outputs),
  }
  body = sequence(layers)
  return ResidualBlock(body) if stride == 1 and inputs == outputs else body


def efficientnet(imagenet: bool, factors: tuple[float, float] = NARROW) -> nn.Module:
  """Returns the net; for CIFAR its stem and second stage have no stride."""
  wider, deeper = factors
  width = scaled(32, wider)
  layers: dict[str, nn.Module] = {
    'stem_conv': SameConv(3, width, 3, 2 if imagenet else 1),
    'stem_norm': norm(width),
    'stem_swish': nn.SiLU(),
  }
  for stage, (expansion, size, stride, channels, repeats) in enumerate(TABLE, 1):
    if stage == 2 and not imagenet:
      stride = 1
    for block in range(1, math.ceil(repeats * deeper) + 1):
      block_stride, outputs = stride if block == 1 else 1, scaled(channels, wider)
      layers[f'stage{stage}_block{block}'] = mbconv(width, outputs, expansion, size, block_stride)
      width = outputs
  final = scaled(1280, wider)
  layers |= {
    'head_conv': SameConv(width, final, 1),
    'head_norm': norm(final),
    'head_swish': nn.SiLU(),
  }
  return sequence(layers | pool_and_classify(final))
