"""Makes `deformable_torch.json`: deformable convolutions and small nets as torchvision has them.

Run by hand with PyTorch 2.13 and torchvision 0.28: `python tests/data/deformable_torch.py`.
"""

import json
import pathlib

import fill
import numpy as np
import torch
import torch_nets
import torchvision
from torch import Tensor
from torchvision.ops import deform_conv2d

# Of each: stride, groups of offsets, whether there is a mask, the spread of the offsets in pixels.
# Where they are zero the gradient is one-sided, and that is where every training starts.
CASES = {
  'v1': (1, 1, False, 2.0),
  'v2, stride 2, two groups': (2, 2, True, 2.0),
  'v2, not moved': (1, 1, True, 0.0),
}


def rounded(result: Tensor) -> list:
  """To eight digits, as nested lists."""
  return np.vectorize(lambda value: float(f'{value:.8g}'))(result.detach().numpy()).tolist()


def case(stride: int, groups: int, modulated: bool, spread: float) -> dict[str, list]:
  """The inputs, the result and its gradients under `cotangent`, with channels last."""
  random = np.random.RandomState(0)
  height, width = ((n - 1) // stride + 1 for n in (4, 3))
  shapes = {'x': (2, 4, 3, 4), 'kernel': (3, 3, 4, 2), 'cotangent': (2, height, width, 2)}
  arrays = {name: random.standard_normal(shape) for name, shape in shapes.items()}
  arrays['offsets'] = spread * random.standard_normal((2, height, width, groups * 18))
  if modulated:
    arrays['mask'] = random.uniform(size=(2, height, width, groups * 9))
  arrays = {name: array.round(3) for name, array in arrays.items()}

  first = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
  cotangent, kernel = first.pop('cotangent'), first['kernel'].permute(3, 2, 0, 1)
  x, offsets, *mask = (
    first[name].permute(0, 3, 1, 2) for name in ('x', 'offsets', 'mask') if name in first
  )
  y = deform_conv2d(x, offsets, kernel, None, stride, 1, mask=mask[0] if mask else None)
  y = y.permute(0, 2, 3, 1)
  gradients = torch.autograd.grad((y * cotangent).sum(), list(first.values()))
  results = {'y': y} | {f'to_{name}': g for name, g in zip(first, gradients, strict=True)}
  return {name: array.tolist() for name, array in arrays.items()} | {
    name: rounded(result) for name, result in results.items()
  }


class DeformableLayers(torch_nets.Layers):
  """The layers of a net whose third stage is deformable."""

  def __init__(self, modulated: bool) -> None:
    super().__init__()
    self.modulated = modulated

  def conv(self, name: str, x: Tensor, width: int, stride: int = 1, size: int = 3) -> Tensor:
    """A 3x3 convolution of the third stage after that of its offsets; as ever elsewhere."""
    if not name.startswith('stage3'):
      return super().conv(name, x, width, stride, size)
    numbers = 27 if self.modulated else 18
    bias = self._fill(f'{name}/offset_conv/bias', numbers)[:, None, None]
    learnt = super().conv(f'{name}/offset_conv', x, numbers, stride) + bias
    kernel = self._fill(f'{name}/kernel', 3, 3, x.shape[1], width).permute(3, 2, 0, 1)
    mask = learnt[:, 18:].sigmoid() if self.modulated else None
    return deform_conv2d(x, learnt[:, :18], kernel, None, stride, 1, mask=mask)


def main() -> None:
  """Writes the cases, and the parameters and logits of the nets."""
  x = torch.from_numpy(fill.images()).double().permute(0, 3, 1, 2)
  nets = {}
  for modulated in (False, True):
    net = DeformableLayers(modulated)
    logits = rounded(torch_nets.resnet(net, x, 1, 'pad'))
    nets['v2' if modulated else 'v1'] = {'num_params': net.num_params, 'logits': logits}
  result = {
    'torch': torch.__version__,
    'torchvision': torchvision.__version__,
    'nets': nets,
    'cases': {name: case(*arguments) for name, arguments in CASES.items()},
  }
  pathlib.Path(__file__).with_suffix('.json').write_text(json.dumps(result) + '\n')


if __name__ == '__main__':
  main()
