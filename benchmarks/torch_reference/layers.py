"""Layers and small builders that several reference nets share."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping

from torch import Tensor, nn
from torch.nn import functional

# Attributes that group layers and do not appear in the names of the Flax layers.
CONTAINERS = ('start', 'body', 'skip', 'end')


def sequence(layers: Mapping[str, nn.Module]) -> nn.Sequential:
  """Returns the layers one after the other, under their names."""
  return nn.Sequential(OrderedDict(layers))


def conv(
  inputs: int, outputs: int, size: int = 3, stride: int = 1, *, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
  """Returns a convolution that keeps the size of a map at stride 1."""
  return nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=bias)


def relu() -> nn.ReLU:
  """Returns a ReLU that overwrites its input."""
  return nn.ReLU(inplace=True)


def units(num_blocks: int) -> Iterator[tuple[str, int, int]]:
  """Yields name, stage (0 to 2) and stride of each residual block of a net for CIFAR.

  Args:
    num_blocks: number of blocks in each of the three stages.
  """
  for stage in range(3):
    for block in range(num_blocks):
      yield f'stage{stage + 1}_block{block + 1}', stage, 2 if stage > 0 and block == 0 else 1


def pad_channels(x: Tensor, width: int) -> Tensor:
  """Appends channels of zeros, up to `width` channels."""
  return functional.pad(x, (0, 0, 0, 0, 0, width - x.shape[1]))


class PaddedSkip(nn.Module):
  """A shortcut without parameters: a smaller map, and zeros for the new channels."""

  def __init__(self, width: int, stride: int, *, pool: bool = False) -> None:
    """Makes the shortcut.

    Args:
      width: number of channels after it.
      stride: of the block.
      pool: whether to average `stride` x `stride` pixels instead of taking the first of them.
    """
    super().__init__()
    self.width, self.stride, self.pool = width, stride, pool

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, channels, height, width]` to `[batch, self.width, ...]`."""
    if self.stride > 1 and self.pool:
      x = functional.avg_pool2d(x, self.stride)
    elif self.stride > 1:
      x = x[:, :, :: self.stride, :: self.stride]
    return pad_channels(x, self.width)


class ResidualBlock(nn.Module):
  """Computes `end(body(start(x)) + skip(x))`.

  Attributes:
    body: the residual branch.
    skip: the shortcut; None for the identity.
    start: layers before the branch; None for none.
    end: layers after the sum; None for none.
    skip_after_start: whether the shortcut begins after `start` as the branch does.
    scale: factor of the branch, for stochastic depth in evaluation.
  """

  def __init__(
    self,
    body: nn.Module,
    skip: nn.Module | None = None,
    *,
    start: nn.Module | None = None,
    end: nn.Module | None = None,
    skip_after_start: bool = False,
    scale: float = 1.0,
  ) -> None:
    """Makes a block; the arguments are its attributes."""
    super().__init__()
    self.body, self.skip, self.start, self.end = body, skip, start, end
    self.skip_after_start, self.scale = skip_after_start, scale

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, channels, height, width]` to the shape that `body` returns."""
    started = x if self.start is None else self.start(x)
    y = self.body(started)
    if self.scale != 1.0:
      y = self.scale * y
    shortcut = started if self.skip_after_start else x
    y = y + (shortcut if self.skip is None else self.skip(shortcut))
    return y if self.end is None else self.end(y)


class SqueezeExcitation(nn.Module):
  """Hu et al. 2018, figure 3, with 1x1 convolutions as its linear layers."""

  def __init__(self, channels: int, squeezed: int, activation: nn.Module) -> None:
    """Makes the layer for `channels` channels, with `squeezed` channels in between."""
    super().__init__()
    self.squeeze = conv(channels, squeezed, 1, bias=True)
    self.excite = conv(squeezed, channels, 1, bias=True)
    self.activation = activation

  def forward(self, x: Tensor) -> Tensor:
    """Scales each channel of `[batch, channels, height, width]` by a factor from 0 to 1."""
    y = self.activation(self.squeeze(x.mean((2, 3), keepdim=True)))
    return x * self.excite(y).sigmoid()


class GlobalPool(nn.Module):
  """Averages a whole map."""

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, channels, height, width]` to `[batch, channels]`."""
    return x.mean((2, 3))


class FlattenChannelsLast(nn.Module):
  """Flattens a map in the order of Flax: height, width, channel."""

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, channels, height, width]` to `[batch, height * width * channels]`."""
    return x.permute(0, 2, 3, 1).flatten(1)


def pool_and_classify(channels: int, num_classes: int = 10) -> dict[str, nn.Module]:
  """Returns the last layers of most nets: global average pooling and a linear layer."""
  return {'pool': GlobalPool(), 'head': nn.Linear(channels, num_classes)}
