"""FractalNets without drop-path and dropout: Larsson et al. 2017, section 3.

The expansion rule is a recursion here; `cifar_jax` computes the same row by row.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from benchmarks.torch_reference.layers import conv, relu, sequence

NARROW = (4, 8, 16, 32, 32)
PAPER = (64, 128, 256, 512, 512)  # section 4.2


class FractalBlock(nn.Module):
  """f_1(z) = conv(z); f_{C+1}(z) = [f_C(f_C(z))] joined with [conv(z)]; joins that meet are one."""

  def __init__(self, inputs: int, width: int, num_columns: int, deepest_only: bool) -> None:
    """Makes a block; a column has twice the layers of the column before it, the first has one."""
    super().__init__()
    self.num_columns, self.deepest_only = num_columns, deepest_only
    for column in range(1, num_columns + 1):
      for index in range(1, 2 ** (column - 1) + 1):
        layer = {
          'conv': conv(inputs if index == 1 else width, width),
          'norm': nn.BatchNorm2d(width),
          'relu': relu(),
        }
        self.add_module(f'column{column}_layer{index}', sequence(layer))

  def forward(self, x: Tensor) -> Tensor:
    """Pools the columns before they are joined (section 4.2)."""
    outputs = self._expand(x, self.num_columns, Counter())
    return self._join([max_pool2d(z, 2) for z in outputs])

  def _expand(self, z: Tensor, num_columns: int, applied: Counter[int]) -> list[Tensor]:
    """Returns the inputs of the join that ends f_num_columns, the deepest last.

    Args:
      z: input of the expansion.
      num_columns: number of its columns.
      applied: how many layers of each column have been applied.
    """
    if num_columns == 1:
      return [self._layer(z, self.num_columns, applied)]
    shallow = self._layer(z, self.num_columns - num_columns + 1, applied)
    joined = self._join(self._expand(z, num_columns - 1, applied))
    return [shallow, *self._expand(joined, num_columns - 1, applied)]

  def _layer(self, z: Tensor, column: int, applied: Counter[int]) -> Tensor:
    applied[column] += 1
    return self.get_submodule(f'column{column}_layer{applied[column]}')(z)

  def _join(self, inputs: list[Tensor]) -> Tensor:
    return inputs[-1] if self.deepest_only else torch.stack(inputs).mean(0)


def fractalnet(num_columns: int, deepest_only: bool, widths: Sequence[int] = NARROW) -> nn.Module:
  """Returns a net of five blocks.

  Args:
    num_columns: number of columns of each block.
    deepest_only: whether the deepest column alone is used.
    widths: channels of each block.
  """
  layers: dict[str, nn.Module] = {}
  inputs = 3
  for index, width in enumerate(widths, 1):
    layers[f'block{index}'] = FractalBlock(inputs, width, num_columns, deepest_only)
    inputs = width
  return sequence(layers | {'flatten': nn.Flatten(), 'head': nn.Linear(inputs, 10)})
