"""Shake-Shake with ResNet and ResNeXt blocks: Gastaldi 2017, his shakeshake.lua and its blocks."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.torch_reference.layers import conv, pool_and_classify, relu, sequence, units
from benchmarks.torch_reference.resnet import bottleneck_body, stem

MakeNorm = Callable[[int], nn.Module]


class Shake(torch.autograd.Function):
  """Mixes two branches, with other coefficients in the backward than in the forward pass."""

  @staticmethod
  def forward(context: Any, first: Tensor, second: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Returns `alpha * first + (1 - alpha) * second`."""
    context.save_for_backward(beta)
    return torch.lerp(second, first, alpha)

  @staticmethod
  def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
    """Returns the gradients of both branches, with beta in the place of alpha."""
    (beta,) = context.saved_tensors
    to_first = beta * gradient
    return to_first, gradient - to_first, None, None


def mix(branches: list[Tensor], training: bool) -> Tensor:
  """Returns the mean of the branches; in training a random mixture of two, per image."""
  if not training:
    return sum(branches[1:], branches[0]) / len(branches)
  first, second = branches
  coefficients = torch.rand(2, len(first), 1, 1, 1, device=first.device, dtype=first.dtype)
  return Shake.apply(first, second, *coefficients)


class TwoPathShortcut(nn.Module):
  """The shortcut where the width changes: two 1x1 convolutions, one of them of a shifted map."""

  def __init__(self, inputs: int, width: int, stride: int, make_norm: MakeNorm) -> None:
    """Makes the layers from `inputs` to `width` channels."""
    super().__init__()
    self.stride = stride
    self.conv1, self.conv2 = conv(inputs, width // 2, 1), conv(inputs, width // 2, 1)
    self.norm = make_norm(width)

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, inputs, height, width]` to the shape after the block."""
    shifted = functional.pad(x, (1, -1, 1, -1))  # down and right by a pixel, without a stride too
    first = self.conv1(x[:, :, :: self.stride, :: self.stride])
    second = self.conv2(shifted[:, :, :: self.stride, :: self.stride])
    return self.norm(torch.cat([first, second], 1))


class ShakeBlock(nn.Module):
  """Branches of ReLU, convolution and norm, once or twice; a ReLU begins a shortcut of new width.

  Only blocks of two branches can be trained.
  """

  def __init__(
    self,
    inputs: int,
    width: int,
    stride: int,
    *,
    num_branches: int = 2,
    has_skip: bool = True,
    num_convs: int = 2,
    make_norm: MakeNorm = nn.BatchNorm2d,
  ) -> None:
    """Makes a block from `inputs` to `width` channels."""
    super().__init__()
    for index in range(1, num_branches + 1):
      branch = {'conv1': conv(inputs, width, stride=stride), 'norm1': make_norm(width)}
      if num_convs == 2:
        branch |= {'relu1': relu(), 'conv2': conv(width, width), 'norm2': make_norm(width)}
      self.add_module(f'branch{index}', sequence(branch))
    self.branches = [getattr(self, f'branch{index + 1}') for index in range(num_branches)]
    self.has_skip = has_skip
    self.shortcut = None
    if has_skip and inputs != width:
      self.shortcut = TwoPathShortcut(inputs, width, stride, make_norm)

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, inputs, height, width]` to the shape after the block."""
    activated = functional.relu(x)
    y = mix([branch(activated) for branch in self.branches], self.training)
    if not self.has_skip:
      return y
    return y + (x if self.shortcut is None else self.shortcut(activated))


def shake_shake(
  base_width: int,
  depth: int = 26,
  *,
  num_branches: int = 2,
  has_skip: bool = True,
  num_convs: int = 2,
  norms: bool = True,
) -> nn.Module:
  """Returns a net of three stages.

  Args:
    base_width: number of channels of the first stage.
    depth: number of layers, 6n + 2, counted for two convolutions per branch.
    num_branches: of a block.
    has_skip: whether there are shortcuts.
    num_convs: number of convolutions of a branch, 1 or 2.
    norms: whether there is batch normalisation.
  """
  make_norm = nn.BatchNorm2d if norms else nn.Identity
  inputs = 16
  layers: dict[str, nn.Module] = {'stem_conv': conv(3, inputs), 'stem_norm': make_norm(inputs)}
  for name, stage, stride in units((depth - 2) // 6):
    width = base_width * 2**stage
    layers[name] = ShakeBlock(
      inputs,
      width,
      stride,
      num_branches=num_branches,
      has_skip=has_skip,
      num_convs=num_convs,
      make_norm=make_norm,
    )
    inputs = width
  return sequence(layers | {'final_relu': relu()} | pool_and_classify(inputs))


class ShakeResNeXtBlock(nn.Module):
  """Two branches of shakeshake.lua's `resnext_bottleneck_C`, with a ReLU after the sum."""

  def __init__(self, inputs: int, inner: int, outer: int, stride: int, groups: int) -> None:
    """Makes a block from `inputs` to `outer` channels."""
    super().__init__()
    self.branch1 = sequence(bottleneck_body(inputs, inner, outer, stride, groups))
    self.branch2 = sequence(bottleneck_body(inputs, inner, outer, stride, groups))
    self.shortcut = None
    if inputs != outer:
      layers = {'conv': conv(inputs, outer, 1, stride), 'norm': nn.BatchNorm2d(outer)}
      self.shortcut = sequence(layers)

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, inputs, height, width]` to the shape after the block."""
    y = mix([self.branch1(x), self.branch2(x)], self.training)
    return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)), inplace=True)


def shake_shake_resnext(depth: int, groups: int, width: int) -> nn.Module:
  """Returns a net of 9n + 2 layers with `groups` groups of `width` channels in the first stage."""
  layers, inputs = stem(64), 64
  for name, stage, stride in units((depth - 2) // 9):
    inner, outer = groups * width * 2**stage, 256 * 2**stage
    layers[name] = ShakeResNeXtBlock(inputs, inner, outer, stride, groups)
    inputs = outer
  return sequence(layers | pool_and_classify(inputs))
