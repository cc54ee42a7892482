"""Narrow GoogLeNets: Szegedy et al. 2015, table 1, in the forms that are in use.

`3x3` is torchvision's (3x3 convolutions for the 5x5 ones, pools in ceiling mode, the last of 2x2
pixels, epsilon 1e-3), `5x5` is the paper's with the same epsilon, and `3x3_3x3` is kuangliu's for
CIFAR.
"""

import torch
from torch import Tensor, nn

from benchmarks.torch_reference.layers import conv, pool_and_classify, relu, sequence

# Widths of 1x1; 3x3 reduction, 3x3; 5x5 reduction, 5x5; pool projection: a sixteenth of table 1.
TABLE = {
  '3a': (4, 6, 8, 1, 2, 2),
  '3b': (8, 8, 12, 2, 6, 4),
  '4a': (12, 6, 13, 1, 3, 4),
  '4b': (10, 7, 14, 2, 4, 4),
  '4c': (8, 8, 16, 2, 4, 4),
  '4d': (7, 9, 18, 2, 4, 4),
  '4e': (16, 10, 20, 2, 8, 8),
  '5a': (16, 10, 20, 2, 8, 8),
  '5b': (24, 12, 24, 3, 8, 8),
}
KERNELS = {'3x3_3x3': (3, 3), '3x3': (3,), '5x5': (5,)}  # of the branch that is 5x5 in the paper


def chain(inputs: int, layers: tuple[tuple[int, int], ...], epsilon: float) -> dict[str, nn.Module]:
  """Returns convolutions with norms and ReLUs; `layers` gives size and width of each.

  A convolution of 7x7 pixels has stride 2.
  """
  result: dict[str, nn.Module] = {}
  for i, (size, width) in enumerate(layers, 1):
    result |= {
      f'conv{i}': conv(inputs, width, size, 2 if size == 7 else 1),
      f'norm{i}': nn.BatchNorm2d(width, eps=epsilon),
      f'relu{i}': relu(),
    }
    inputs = width
  return result


class Inception(nn.Module):
  """Four branches whose channels are concatenated."""

  def __init__(self, name: str, inputs: int, kernels: tuple[int, ...], epsilon: float) -> None:
    """Makes the module of a row of `TABLE`; `kernels` is a value of `KERNELS`."""
    super().__init__()
    one, three_reduce, three, five_reduce, five, projection = TABLE[name]
    self.outputs = one + three + five + projection
    fives = tuple((size, five) for size in kernels)
    self.branch1x1 = sequence(chain(inputs, ((1, one),), epsilon))
    self.branch3x3 = sequence(chain(inputs, ((1, three_reduce), (3, three)), epsilon))
    self.branch5x5 = sequence(chain(inputs, ((1, five_reduce), *fives), epsilon))
    pooled = chain(inputs, ((1, projection),), epsilon)
    self.branch_pool = sequence({'pool': nn.MaxPool2d(3, 1, 1)} | pooled)

  def forward(self, x: Tensor) -> Tensor:
    """Maps `[batch, inputs, height, width]` to `[batch, self.outputs, height, width]`."""
    branches = (self.branch1x1, self.branch3x3, self.branch5x5, self.branch_pool)
    return torch.cat([branch(x) for branch in branches], 1)


def googlenet(form: str) -> nn.Module:
  """Returns a net in one of the forms of `KERNELS`."""
  cifar = form == '3x3_3x3'
  epsilon = 1e-5 if cifar else 1e-3
  if cifar:
    layers: dict[str, nn.Module] = {'stem': sequence(chain(3, ((3, 12),), epsilon))}
  else:
    layers = {
      'stem1': sequence(chain(3, ((7, 4),), epsilon)),
      'pool1': nn.MaxPool2d(3, 2, ceil_mode=True),
      'stem2': sequence(chain(4, ((1, 4), (3, 12)), epsilon)),
      'pool2': nn.MaxPool2d(3, 2, ceil_mode=True),
    }
  inputs = 12
  for name in TABLE:
    if name in ('4a', '5a'):
      if cifar:
        pool = nn.MaxPool2d(3, 2, 1)
      else:
        size = 2 if name == '5a' and form == '3x3' else 3
        pool = nn.MaxPool2d(size, 2, ceil_mode=True)
      layers[f'pool_before_{name}'] = pool
    module = Inception(name, inputs, KERNELS[form], epsilon)
    layers[f'inception{name}'] = module
    inputs = module.outputs
  return sequence(layers | pool_and_classify(inputs))
