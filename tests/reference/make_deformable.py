"""Makes `deformable_torch.json`: deformable convolutions and small nets as torchvision has them.

  python -m tests.reference.make_deformable [--check]

Run by hand from the root, with PyTorch 2.13, torchvision 0.28 and NumPy. `--check` writes nothing
and compares with the file that is there.
"""

import argparse
import sys
from typing import Any

import numpy as np
import torch
import torchvision
from torchvision.ops import deform_conv2d

from benchmarks.torch_reference.deformable import deformable_resnet
from tests.reference.make_logits import describe, rounded, write_or_check
from tests.reference.nets import Reference

# Of each: stride, groups of offsets, whether there is a mask, the spread of the offsets in pixels.
# Where the offsets are zero the gradient is one-sided, and every training starts there.
CASES = {
  'v1': (1, 1, False, 2.0),
  'v2, stride 2, two groups': (2, 2, True, 2.0),
  'v2, not moved': (1, 1, True, 0.0),
}


def case(stride: int, groups: int, modulated: bool, spread: float) -> dict[str, list[Any]]:
  """Returns inputs, result and gradients of one convolution, all with channels last.

  The gradients are those of the sum of the result times `cotangent`.
  """
  random = np.random.RandomState(0)
  height, width = ((n - 1) // stride + 1 for n in (4, 3))
  shapes = {'x': (2, 4, 3, 4), 'kernel': (3, 3, 4, 2), 'cotangent': (2, height, width, 2)}
  arrays = {name: random.standard_normal(shape) for name, shape in shapes.items()}
  arrays['offsets'] = spread * random.standard_normal((2, height, width, groups * 18))
  if modulated:
    arrays['mask'] = random.uniform(size=(2, height, width, groups * 9))
  arrays = {name: array.round(3) for name, array in arrays.items()}

  inputs = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
  cotangent, kernel = inputs.pop('cotangent'), inputs['kernel'].permute(3, 2, 0, 1)
  x, offsets, *mask = (
    inputs[name].permute(0, 3, 1, 2) for name in ('x', 'offsets', 'mask') if name in inputs
  )
  y = deform_conv2d(x, offsets, kernel, None, stride, 1, mask=mask[0] if mask else None)
  y = y.permute(0, 2, 3, 1)
  gradients = torch.autograd.grad((y * cotangent).sum(), list(inputs.values()))
  results = {'y': y} | {f'to_{name}': g for name, g in zip(inputs, gradients, strict=True)}
  return {name: array.tolist() for name, array in arrays.items()} | {
    name: rounded(result) for name, result in results.items()
  }


def main() -> None:
  """Reads the command line, and makes or checks the file."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--check', action='store_true', help='compare and write nothing')
  arguments = parser.parse_args()
  content = {
    'torch': torch.__version__,
    'torchvision': torchvision.__version__,
    'nets': {
      'v1': describe(Reference(lambda: deformable_resnet(8, modulated=False))),
      'v2': describe(Reference(lambda: deformable_resnet(8, modulated=True))),
    },
    'cases': {name: case(*arguments) for name, arguments in CASES.items()},
  }
  if not write_or_check('deformable_torch', content, arguments.check, indent=None):
    sys.exit('some numbers differ')


if __name__ == '__main__':
  main()
