"""Makes the reference logits `*_torch.json` and `torch_nets.json`, to compare the Flax models with.

  python -m tests.reference.make_logits [--check] [FILE ...]

Run by hand from the root, with PyTorch 2.13 and NumPy. FILE is a name such as `densenet_torch`; by
default all are made. `--check` writes nothing and compares with the files that are there.

The nets are those of `nets.py`. Their weights are filled by `tests/support/fill.py` from the names
of the Flax layers, and they compute in double precision and in evaluation mode, so that the
rounding of Flax is all that differs.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.torch_reference.layers import CONTAINERS
from tests.reference.nets import EXTRA, FILES, Reference
from tests.support import fill

FOLDER = pathlib.Path(__file__).parent
DIGITS = 8  # of a number in the files
TOLERANCE = 1e-7  # relative: a last digit that is rounded the other way
NORM_LEAVES = {'bias': 'bias', 'weight': 'scale', 'running_mean': 'mean', 'running_var': 'var'}


def flax_path(name: str, ndim: int) -> str:
  """Returns the path of a variable in the Flax model, such as `stage1_block1/conv1/kernel`.

  Args:
    name: of the tensor in the state_dict of a reference net.
    ndim: its number of axes.
  """
  *layers, leaf = [part for part in name.split('.') if part not in CONTAINERS]
  return '/'.join([*layers, 'kernel' if leaf == 'weight' and ndim > 1 else NORM_LEAVES[leaf]])


@torch.no_grad()
def fill_weights(net: nn.Module) -> None:
  """Fills a net's parameters and statistics by their names, and makes them double precision."""
  net.double()
  for name, tensor in net.state_dict().items():
    if name.endswith('num_batches_tracked'):
      continue
    path, shape = flax_path(name, tensor.ndim), tuple(tensor.shape)
    if tensor.ndim == 4:
      outputs, inputs, height, width = shape
      array = fill.array(path, (height, width, inputs, outputs)).transpose(3, 2, 0, 1)
    elif tensor.ndim == 2:
      array = fill.array(path, shape[::-1]).T
    else:
      array = fill.array(path, shape)
    tensor.copy_(torch.from_numpy(np.ascontiguousarray(array)))


def describe(reference: Reference) -> dict[str, Any]:
  """Returns what a file says of a net, with its number of trained parameters and its logits."""
  net = reference.make().eval()
  fill_weights(net)
  size = reference.image_size
  images = np.random.RandomState(0).standard_normal((2, size, size, 3)).astype(np.float32)
  with torch.no_grad():
    logits = net(torch.from_numpy(images).double().permute(0, 3, 1, 2))
  num_params = sum(weights.numel() for weights in net.parameters() if weights.requires_grad)
  return dict(reference.entry) | {'num_params': num_params, 'logits': rounded(logits)}


def rounded(tensor: torch.Tensor) -> list[Any]:
  """Returns a tensor as nested lists of numbers with `DIGITS` digits."""
  round_one = np.vectorize(lambda value: float(f'{value:.{DIGITS}g}'))
  return round_one(tensor.detach().numpy()).tolist()


def make(file: str) -> dict[str, Any]:
  """Returns the content of a file of `FILES`."""
  nets = {name: describe(reference) for name, reference in FILES[file].items()}
  return {'torch': torch.__version__} | EXTRA.get(file, {}) | {'nets': nets}


def differences(new: Any, old: Any) -> Iterator[float]:
  """Yields the relative difference of each float, and infinity for a difference of any other kind.

  The versions of the packages may differ.
  """
  if isinstance(new, dict) and isinstance(old, dict) and new.keys() == old.keys():
    for key in new.keys() - {'torch', 'torchvision'}:
      yield from differences(new[key], old[key])
  elif isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
    for one, other in zip(new, old, strict=True):
      yield from differences(one, other)
  elif isinstance(new, float) and isinstance(old, float):
    yield abs(new - old) / max(abs(old), 1e-30)
  else:
    yield 0.0 if new == old else float('inf')


def write_or_check(file: str, content: dict[str, Any], check: bool, indent: int | None = 1) -> bool:
  """Writes a file, or prints how far it is from new content; returns whether both are equal.

  Args:
    file: name of the file, without its suffix.
    content: new content.
    check: whether to compare instead of writing.
    indent: of the JSON.
  """
  path = FOLDER / f'{file}.json'
  if not check:
    path.write_text(json.dumps(content, indent=indent) + '\n')
    return True
  largest = max(differences(content, json.loads(path.read_text())))
  print(f'{file}: largest relative difference {largest:.1e}', flush=True)
  return largest <= TOLERANCE


def main() -> None:
  """Reads the command line, and makes or checks the files."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('files', nargs='*', metavar='FILE', help=', '.join(FILES))
  parser.add_argument('--check', action='store_true', help='compare and write nothing')
  arguments = parser.parse_args()
  if unknown := set(arguments.files) - FILES.keys():
    parser.error(f'no file {", ".join(sorted(unknown))}; there are {", ".join(FILES)}')
  files = arguments.files or FILES
  if not all([write_or_check(file, make(file), arguments.check) for file in files]):
    sys.exit('some numbers differ')


if __name__ == '__main__':
  main()
