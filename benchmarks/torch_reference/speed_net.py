"""The speed run's net: cifar10-airbench's README and the constants of its airbench94.py."""

from collections.abc import Sequence

from torch import Tensor, nn

from benchmarks.torch_reference.layers import conv, sequence

WHITENING_FILTERS = 24  # twelve of 2x2 patches of three channels, and their negatives


class UnscaledNorm(nn.BatchNorm2d):
  """A norm with a bias and no scale."""

  def __init__(self, channels: int) -> None:
    """Makes a norm for `channels` channels."""
    super().__init__(channels, eps=1e-12)
    self.register_parameter('weight', None)


class Divide(nn.Module):
  """Divides by a constant."""

  def __init__(self, divisor: float) -> None:
    """Makes the layer."""
    super().__init__()
    self.divisor = divisor

  def forward(self, x: Tensor) -> Tensor:
    """Returns an array of the shape of `x`."""
    return x / self.divisor


def speed_net(widths: Sequence[int]) -> nn.Module:
  """Returns a net of three groups, each of which halves the map, of `widths` channels.

  The whitening kernel is not trained; its bias is.
  """
  whitening = nn.Conv2d(3, WHITENING_FILTERS, 2)
  whitening.weight.requires_grad_(False)
  layers: dict[str, nn.Module] = {'whitening': whitening, 'whitening_gelu': nn.GELU()}
  inputs = WHITENING_FILTERS
  for i, width in enumerate(widths, 1):
    layers |= {
      f'group{i}_conv1': conv(inputs, width),
      f'group{i}_pool': nn.MaxPool2d(2),
      f'group{i}_norm1': UnscaledNorm(width),
      f'group{i}_gelu1': nn.GELU(),
      f'group{i}_conv2': conv(width, width),
      f'group{i}_norm2': UnscaledNorm(width),
      f'group{i}_gelu2': nn.GELU(),
    }
    inputs = width
  layers |= {'pool': nn.MaxPool2d(3), 'flatten': nn.Flatten()}
  return sequence(layers | {'head': nn.Linear(inputs, 10, bias=False), 'scale': Divide(9)})
