"""Evaluates the published weights of akamaster/pytorch_resnet_cifar10 in our ResNets.

  python -m benchmarks.pretrained_resnets REPOSITORY --data-dir DATA

REPOSITORY is a clone: its `resnet.py` is imported, and what `pretrained_models` has is read. DATA
holds the test images as `cifar-10-batches-bin/test_batch.bin`. Both nets classify them, normalised
as in `trainer.py`, and their logits are compared. Exits with 1 unless they agree. Writes
`results/pretrained_resnets.json`. Needs PyTorch.
"""

import argparse
import importlib.util
import pathlib
import sys
import types
from typing import Any

import jax
import numpy as np
import torch

from benchmarks import result_file
from cifar_jax import models
from cifar_jax.convert import engine

RESULT = result_file.FOLDER / 'pretrained_resnets.json'
MEAN = np.array((0.485, 0.456, 0.406), np.float32)  # of trainer.py
STD = np.array((0.229, 0.224, 0.225), np.float32)
PUBLISHED = {  # test errors in percent, of the table in README.md
  'resnet20': 8.27, 'resnet32': 7.37, 'resnet44': 6.90, 'resnet56': 6.61, 'resnet110': 6.32,
}  # fmt: skip
TOLERANCE = 1e-3  # of logits of up to 30
_BATCH = 113  # divides neither 10,000 images nor a part of them by chance; memory stays small


def main() -> None:
  """Compares the nets of all weights that the repository has."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('repository', type=pathlib.Path, metavar='REPOSITORY')
  parser.add_argument('--data-dir', type=pathlib.Path, required=True)
  arguments = parser.parse_args()
  words = {str(arguments.repository): 'REPOSITORY', str(arguments.data_dir): 'DATA'}
  origin = result_file.origin('pretrained_resnets', words)
  theirs = _import(arguments.repository / 'resnet.py')
  images, labels = read_test_images(arguments.data_dir)
  rows = []
  for name, published in PUBLISHED.items():
    for weights in sorted((arguments.repository / 'pretrained_models').glob(f'{name}-*.th')):
      row = compare(name, getattr(theirs, name)(), weights, images, labels)
      rows.append(row | {'published_error_percent': published})
      result_file.print_row(rows[-1])
  origin['versions'] |= {'torch': torch.__version__}
  result_file.write(RESULT, origin | {'num_images': len(labels), 'rows': rows})
  if not rows or any(row['largest_difference'] > TOLERANCE for row in rows):
    sys.exit('there are no weights, or the logits differ')


def compare(
  name: str,
  torch_net: torch.nn.Module,
  weights: pathlib.Path,
  images: np.ndarray,
  labels: np.ndarray,
) -> dict[str, Any]:
  """The errors of both nets with some weights, and the largest difference of their logits.

  Args:
    name: of our model.
    torch_net: the repository's net.
    weights: a file of the repository.
    images: float32 `[n, 32, 32, 3]`, normalised.
    labels: int `[n]`.
  """
  state_dict = torch.load(weights, map_location='cpu', weights_only=True)['state_dict']
  state_dict = {key.removeprefix('module.'): tensor for key, tensor in state_dict.items()}
  torch_net.load_state_dict(state_dict)
  torch_net.eval()
  model = models.create(name)
  arrays = {key: tensor.numpy() for key, tensor in state_dict.items()}
  variables = engine.to_variables(arrays, model, 'akamaster')
  back = engine.to_state_dict(variables, model, 'akamaster')
  apply = jax.jit(lambda variables, images: model.apply(variables, images, train=False))
  ours, expected = [], []
  with torch.no_grad():
    for begin in range(0, len(images), _BATCH):
      batch = images[begin : begin + _BATCH]
      ours.append(np.asarray(apply(variables, batch)))
      expected.append(torch_net(torch.from_numpy(batch.transpose(0, 3, 1, 2).copy())).numpy())
  logits, torch_logits = np.concatenate(ours), np.concatenate(expected)
  return {
    'model': name,
    'error_percent': error(logits, labels),
    'torch_error_percent': error(torch_logits, labels),
    'largest_difference': float(np.abs(logits - torch_logits).max()),
    'largest_logit': float(np.abs(torch_logits).max()),
    'round_trip_exact': all(np.array_equal(back[key], arrays[key]) for key in arrays),
  }


def error(logits: np.ndarray, labels: np.ndarray) -> float:
  """The share of wrong predictions in percent, of logits `[n, classes]` and labels `[n]`."""
  return round(100 * float(np.mean(logits.argmax(axis=1) != labels)), 2)


def read_test_images(data_dir: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
  """The test images, normalised, float32 `[n, 32, 32, 3]`, and their labels, uint8 `[n]`."""
  path = data_dir / 'cifar-10-batches-bin' / 'test_batch.bin'
  records = np.fromfile(path, np.uint8).reshape(-1, 3073)
  pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
  images = (pixels.astype(np.float32) / 255 - MEAN) / STD
  return images, records[:, 0]


def _import(path: pathlib.Path) -> types.ModuleType:
  spec = importlib.util.spec_from_file_location('their_resnet', path)
  assert spec and spec.loader
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


if __name__ == '__main__':
  main()
