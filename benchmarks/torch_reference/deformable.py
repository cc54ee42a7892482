"""ResNets with deformable convolutions in their third stage, as torchvision computes them."""

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from benchmarks.torch_reference.layers import conv
from benchmarks.torch_reference.resnet import resnet

TAPS = 9  # of a 3x3 kernel


class DeformableConv(nn.Module):
  """A 3x3 convolution at learnt offsets (Dai et al. 2017), modulated or not (Zhu et al. 2019)."""

  def __init__(self, inputs: int, outputs: int, stride: int, modulated: bool) -> None:
    """Makes a convolution with one group of offsets, all of which are zero at first."""
    super().__init__()
    self.stride, self.modulated = stride, modulated
    numbers = (3 if modulated else 2) * TAPS
    self.offset_conv = conv(inputs, numbers, stride=stride, bias=True)
    nn.init.zeros_(self.offset_conv.weight)
    nn.init.zeros_(self.offset_conv.bias)
    self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
    nn.init.kaiming_normal_(self.weight, mode='fan_out', nonlinearity='relu')

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, inputs, height, width]` to `[batch, outputs, ...]`."""
    learnt = self.offset_conv(x)
    offsets, mask = learnt[:, : 2 * TAPS], learnt[:, 2 * TAPS :].sigmoid()
    return deform_conv2d(
      x, offsets, self.weight, None, self.stride, 1, mask=mask if self.modulated else None
    )


def deformable_resnet(depth: int, modulated: bool) -> nn.Module:
  """Returns a `resnet(depth)` whose third stage is deformable."""
  net = resnet(depth)
  blocks = [block for name, block in net.named_children() if name.startswith('stage3_')]
  for body in (block.get_submodule('body') for block in blocks):
    for name in ('conv1', 'conv2'):
      plain = body.get_submodule(name)
      deformable = DeformableConv(plain.in_channels, plain.out_channels, plain.stride[0], modulated)
      setattr(body, name, deformable)
  return net
