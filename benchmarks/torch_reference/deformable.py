"""A ResNet-8 with deformable convolutions in its third stage, as torchvision computes them."""

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from benchmarks.torch_reference.layers import conv
from benchmarks.torch_reference.resnet import resnet

TAPS = 9  # of a 3x3 kernel


class DeformableConv(nn.Module):
  """A 3x3 convolution at learnt offsets (Dai et al. 2017), modulated or not (Zhu et al. 2019)."""

  def __init__(self, inputs: int, outputs: int, stride: int, modulated: bool) -> None:
    """Makes a convolution from `inputs` to `outputs` channels with one group of offsets."""
    super().__init__()
    self.stride, self.modulated = stride, modulated
    numbers = (3 if modulated else 2) * TAPS
    self.offset_conv = conv(inputs, numbers, stride=stride, bias=True)
    self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, inputs, height, width]` to `[batch, outputs, ...]`."""
    learnt = self.offset_conv(x)
    offsets, mask = learnt[:, : 2 * TAPS], learnt[:, 2 * TAPS :].sigmoid()
    return deform_conv2d(
      x, offsets, self.weight, None, self.stride, 1, mask=mask if self.modulated else None
    )


def deformable_resnet8(modulated: bool) -> nn.Module:
  """Returns a `resnet(8)` whose third stage is deformable and has no values in its kernels yet."""
  net = resnet(8)
  body = net.get_submodule('stage3_block1.body')
  for name in ('conv1', 'conv2'):
    plain = getattr(body, name)
    deformable = DeformableConv(plain.in_channels, plain.out_channels, plain.stride[0], modulated)
    setattr(body, name, deformable)
  return net
