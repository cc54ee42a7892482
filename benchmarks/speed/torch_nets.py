"""The seven nets in PyTorch, as one would write them to be fast: the opponents.

Each follows its paper and has to the parameter as many as ours. They compute in channels-last,
which `torch_training.py` sees to.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv2d:
  """A convolution without bias that keeps the size at stride 1."""
  return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Classifier(nn.Module):
  """Global average pooling and a linear layer."""

  def __init__(self, width: int, classes: int = 10) -> None:
    """Of `width` channels."""
    super().__init__()
    self.linear = nn.Linear(width, classes)

  def forward(self, x: Tensor) -> Tensor:
    """`[batch, channels, height, width]` to logits."""
    return self.linear(x.mean((2, 3)))


def pad_channels(x: Tensor, width: int) -> Tensor:
  """Channels of zeros behind those of x."""
  return F.pad(x, (0, 0, 0, 0, 0, width - x.shape[1]))


class BasicBlock(nn.Module):
  """He et al. 2015, with the parameter-free shortcut (option A)."""

  def __init__(self, inputs: int, width: int, stride: int) -> None:
    """From `inputs` channels to `width`."""
    super().__init__()
    self.stride, self.width, self.changes = stride, width, stride > 1 or inputs != width
    self.conv1, self.norm1 = conv(inputs, width, stride=stride), nn.BatchNorm2d(width)
    self.conv2, self.norm2 = conv(width, width), nn.BatchNorm2d(width)

  def forward(self, x: Tensor) -> Tensor:
    """Maps a batch of feature maps."""
    y = F.relu(self.norm1(self.conv1(x)), inplace=True)
    y = self.norm2(self.conv2(y))
    if self.changes:
      x = pad_channels(x[:, :, :: self.stride, :: self.stride], self.width)
    return F.relu(y + x, inplace=True)


def resnet(depth: int) -> nn.Module:
  """He et al. 2015, section 4.2: 6n + 2 layers."""
  blocks, inputs = [], 16
  for stage in range(3):
    for block in range((depth - 2) // 6):
      width, stride = 16 * 2**stage, 2 if stage and not block else 1
      blocks.append(BasicBlock(inputs, width, stride))
      inputs = width
  stem = (conv(3, 16), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
  return nn.Sequential(*stem, *blocks, Classifier(inputs))


class WideBlock(nn.Module):
  """Zagoruyko and Komodakis 2016: BN, ReLU, convolution, twice; projected where widths change."""

  def __init__(self, inputs: int, width: int, stride: int) -> None:
    """From `inputs` channels to `width`."""
    super().__init__()
    self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, width, stride=stride)
    self.norm2, self.conv2 = nn.BatchNorm2d(width), conv(width, width)
    self.shortcut = conv(inputs, width, 1, stride) if inputs != width else None

  def forward(self, x: Tensor) -> Tensor:
    """Maps a batch of feature maps."""
    activated = F.relu(self.norm1(x), inplace=True)
    y = self.conv2(F.relu(self.norm2(self.conv1(activated)), inplace=True))
    return y + (x if self.shortcut is None else self.shortcut(activated))


def wide_resnet(depth: int, widen_factor: int) -> nn.Module:
  """6n + 4 layers."""
  blocks, inputs = [], 16
  for stage in range(3):
    for block in range((depth - 4) // 6):
      width, stride = 16 * widen_factor * 2**stage, 2 if stage and not block else 1
      blocks.append(WideBlock(inputs, width, stride))
      inputs = width
  end = (nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), Classifier(inputs))
  return nn.Sequential(conv(3, 16), *blocks, *end)


class PyramidBlock(nn.Module):
  """Han et al. 2017, figure 6d: BN, conv, BN, ReLU, conv, BN."""

  def __init__(self, inputs: int, width: int, stride: int) -> None:
    """From `inputs` channels to `width`."""
    super().__init__()
    self.stride, self.width = stride, width
    self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, width, stride=stride)
    self.norm2, self.conv2 = nn.BatchNorm2d(width), conv(width, width)
    self.norm3 = nn.BatchNorm2d(width)

  def forward(self, x: Tensor) -> Tensor:
    """Maps a batch of feature maps."""
    y = F.relu(self.norm2(self.conv1(self.norm1(x))), inplace=True)
    y = self.norm3(self.conv2(y))
    if self.stride > 1:
      x = F.avg_pool2d(x, self.stride)
    return y + pad_channels(x, self.width)


def pyramidnet(depth: int, alpha: float) -> nn.Module:
  """Additive: alpha channels are added over the 3n blocks of 6n + 2 layers."""
  blocks, inputs, count = [], 16, (depth - 2) // 2
  for index in range(count):
    width = math.floor(16 + alpha * (index + 1) / count + 0.5)
    stride = 2 if index in (count // 3, 2 * count // 3) else 1
    blocks.append(PyramidBlock(inputs, width, stride))
    inputs = width
  end = (nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), Classifier(inputs))
  return nn.Sequential(conv(3, 16), nn.BatchNorm2d(16), *blocks, *end)


class Shake(torch.autograd.Function):
  """Gastaldi 2017: other coefficients in the backward than in the forward pass, by image."""

  @staticmethod
  def forward(context: Any, first: Tensor, second: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """`alpha * first + (1 - alpha) * second`."""
    context.save_for_backward(beta)
    return torch.lerp(second, first, alpha)

  @staticmethod
  def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
    """Beta takes the place of alpha."""
    (beta,) = context.saved_tensors
    to_first = beta * gradient
    return to_first, gradient - to_first, None, None


class ShakeBlock(nn.Module):
  """Two branches, ReLU, convolution, BN, twice; a shortcut of two paths where widths change."""

  def __init__(self, inputs: int, width: int, stride: int) -> None:
    """From `inputs` channels to `width`."""
    super().__init__()
    self.stride = stride
    self.branch1, self.branch2 = (
      nn.Sequential(
        *(conv(inputs, width, stride=stride), nn.BatchNorm2d(width), nn.ReLU(inplace=True)),
        *(conv(width, width), nn.BatchNorm2d(width)),
      )
      for _ in range(2)
    )
    self.paths = None
    if inputs != width:
      self.paths = nn.ModuleList(conv(inputs, width // 2, 1) for _ in range(2))
      self.norm = nn.BatchNorm2d(width)

  def forward(self, x: Tensor) -> Tensor:
    """Maps a batch of feature maps."""
    activated = F.relu(x)
    first, second = self.branch1(activated), self.branch2(activated)
    if self.training:
      alpha, beta = torch.rand(2, len(x), 1, 1, 1, device=x.device, dtype=first.dtype)
      y = Shake.apply(first, second, alpha, beta)
    else:
      y = 0.5 * (first + second)
    if self.paths is None:
      return x + y
    shifted = F.pad(activated, (1, -1, 1, -1))
    halves = [
      path(z[:, :, :: self.stride, :: self.stride])
      for path, z in zip(self.paths, (activated, shifted), strict=True)
    ]
    return self.norm(torch.cat(halves, 1)) + y


def shake_shake(base_width: int) -> nn.Module:
  """26 layers: three stages of four blocks."""
  blocks, inputs = [], 16
  for stage in range(3):
    for block in range(4):
      width, stride = base_width * 2**stage, 2 if stage and not block else 1
      blocks.append(ShakeBlock(inputs, width, stride))
      inputs = width
  end = (nn.ReLU(inplace=True), Classifier(inputs))
  return nn.Sequential(conv(3, 16), nn.BatchNorm2d(16), *blocks, *end)


class DenseLayer(nn.Module):
  """Huang et al. 2017, BC: BN, ReLU, 1x1 convolution to 4k, BN, ReLU, 3x3 to k channels."""

  def __init__(self, inputs: int, growth_rate: int) -> None:
    """From `inputs` channels to `growth_rate`, beside those that came in."""
    super().__init__()
    self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, 4 * growth_rate, 1)
    self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth_rate), conv(4 * growth_rate, growth_rate)

  def forward(self, x: Tensor) -> Tensor:
    """Maps a batch of feature maps, to which the layer's own are added."""
    y = self.conv1(F.relu(self.norm1(x), inplace=True))
    y = self.conv2(F.relu(self.norm2(y), inplace=True))
    return torch.cat([x, y], 1)


def densenet_bc(depth: int, growth_rate: int) -> nn.Module:
  """6n + 4 layers; the transitions halve channels and maps."""
  width = 2 * growth_rate
  parts: list[nn.Module] = [conv(3, width)]
  for stage in range(3):
    for _ in range((depth - 4) // 6):
      parts.append(DenseLayer(width, growth_rate))
      width += growth_rate
    parts += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    if stage < 2:
      parts += [conv(width, width // 2, 1), nn.AvgPool2d(2)]
      width //= 2
  return nn.Sequential(*parts, Classifier(width))


NETS = {
  'resnet20': lambda: resnet(20),
  'resnet110': lambda: resnet(110),
  'wrn_16_4': lambda: wide_resnet(16, 4),
  'wrn_28_10': lambda: wide_resnet(28, 10),
  'pyramidnet110_a48': lambda: pyramidnet(110, 48),
  'shake_shake_26_2x32d': lambda: shake_shake(32),
  'densenet_bc_100_12': lambda: densenet_bc(100, 12),
}


def create(name: str) -> nn.Module:
  """A net by its name, its kernels drawn as He et al. 2015 do (arXiv 1502.01852)."""
  net = NETS[name]()
  for module in net.modules():
    if isinstance(module, nn.Conv2d):
      nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
  return net


def count(net: nn.Module) -> int:
  """The number of trainable parameters."""
  return sum(parameter.numel() for parameter in net.parameters())
