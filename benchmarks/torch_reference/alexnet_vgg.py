"""AlexNet and VGG.

AlexNet is that of Krizhevsky et al. 2012, figure 2 and section 3.3, and VGG that of Simonyan and
Zisserman 2015, table 1. Hidden layers and the stages of VGG are narrower than in the papers, as in
the tests' Flax models.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.torch_reference.layers import FlattenChannelsLast, relu, sequence

HIDDEN_WIDTH = 64
VGG_WIDTHS = (8, 16, 32, 64, 64)
VGG_PAPER = (64, 128, 256, 512, 512)  # table 1
VGG16 = ('33', '33', '333', '333', '333')  # configuration D


class LocalResponseNorm(nn.Module):
  """AlexNet's normalisation (section 3.3), written out channel by channel."""

  def forward(self, x: Tensor) -> Tensor:
    """Divides each channel of `[batch, channels, height, width]` by its neighbours' activity."""
    squares = [(x[:, max(0, i - 2) : i + 3] ** 2).sum(1) for i in range(x.shape[1])]
    return x / (2 + 1e-4 * torch.stack(squares, 1)) ** 0.75


def multilayer_head(inputs: int) -> dict[str, nn.Module]:
  """Returns two hidden layers and ten logits."""
  return {
    'hidden1': nn.Linear(inputs, HIDDEN_WIDTH),
    'hidden1_relu': relu(),
    'hidden2': nn.Linear(HIDDEN_WIDTH, HIDDEN_WIDTH),
    'hidden2_relu': relu(),
    'head': nn.Linear(HIDDEN_WIDTH, 10),
  }


def alexnet_cifar(local_response_norm: bool = False) -> nn.Module:
  """Returns the net of bearpaw's models/cifar/alexnet.py, for 32x32 pixels."""
  layers: dict[str, nn.Module] = {}
  for name, convolution in (
    ('1', nn.Conv2d(3, 64, 11, 4, 5)),
    ('2', nn.Conv2d(64, 192, 5, padding=2)),
  ):
    layers |= {f'conv{name}': convolution, f'relu{name}': relu()}
    if local_response_norm:
      layers[f'norm{name}'] = LocalResponseNorm()
    layers[f'pool{name}'] = nn.MaxPool2d(2)
  layers |= last_convolutions(192, groups=1)
  layers |= {'pool5': nn.MaxPool2d(2), 'flatten': FlattenChannelsLast()}
  return sequence(layers | {'head': nn.Linear(256, 10)})


def alexnet_imagenet() -> nn.Module:
  """Returns the two towers of figure 2, for 63x63 pixels, which leave a last map of one pixel."""
  layers: dict[str, nn.Module] = {
    'conv1': nn.Conv2d(3, 96, 11, 4, 2),
    'relu1': relu(),
    'norm1': LocalResponseNorm(),
    'pool1': nn.MaxPool2d(3, 2),
    'conv2': nn.Conv2d(96, 256, 5, padding=2, groups=2),
    'relu2': relu(),
    'norm2': LocalResponseNorm(),
    'pool2': nn.MaxPool2d(3, 2),
    **last_convolutions(256, groups=2),
    'pool5': nn.MaxPool2d(3, 2),
    'flatten': FlattenChannelsLast(),
  }
  return sequence(layers | multilayer_head(256))


def last_convolutions(inputs: int, groups: int) -> dict[str, nn.Module]:
  """Returns convolutions 3 to 5; the towers meet in the third, where `groups` does not apply."""
  return {
    'conv3': nn.Conv2d(inputs, 384, 3, padding=1),
    'relu3': relu(),
    'conv4': nn.Conv2d(384, 384 if groups > 1 else 256, 3, padding=1, groups=groups),
    'relu4': relu(),
    'conv5': nn.Conv2d(384 if groups > 1 else 256, 256, 3, padding=1, groups=groups),
    'relu5': relu(),
  }


def vgg(
  stages: Sequence[str],
  *,
  local_response_norm: bool = False,
  multilayer: bool = False,
  image_size: int = 32,
  widths: Sequence[int] = VGG_WIDTHS,
) -> nn.Module:
  """Returns a net of table 1 with batch normalisation.

  Args:
    stages: kernel size of each convolution; `331` is a stage with a 1x1 convolution at its end.
    local_response_norm: whether the first stage ends with AlexNet's normalisation.
    multilayer: whether there are hidden layers before the logits.
    image_size: height and width of the images.
    widths: channels of each stage.
  """
  layers: dict[str, nn.Module] = {}
  inputs = 3
  for stage, (sizes, width) in enumerate(zip(stages, widths, strict=True), 1):
    for i, size in enumerate(map(int, sizes), 1):
      layers |= {
        f'stage{stage}_conv{i}': nn.Conv2d(inputs, width, size, padding=size // 2),
        f'stage{stage}_norm{i}': nn.BatchNorm2d(width),
        f'stage{stage}_relu{i}': relu(),
      }
      inputs = width
    if local_response_norm and stage == 1:
      layers['local_response_norm'] = LocalResponseNorm()
    layers[f'pool{stage}'] = nn.MaxPool2d(2)
  layers['flatten'] = FlattenChannelsLast()
  features = inputs * (image_size // 2 ** len(stages)) ** 2
  return sequence(
    layers | (multilayer_head(features) if multilayer else {'head': nn.Linear(features, 10)})
  )
