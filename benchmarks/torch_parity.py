"""Compares the logits of our nets and of public PyTorch nets with the same weights.

  python -m benchmarks.torch_parity [MODEL ...]

The rows are those of `public_torch_nets.py`, by default all. Each Torch net gets random weights and
random batch statistics, and `cifar_jax.convert` converts them. Both nets then classify random
images in evaluation mode, in float32. The conversion back must give the same arrays to the bit.
Prints a table and writes `results/torch_parity.json`.

Needs PyTorch and pytorchcv (`pip install torch pytorchcv`), and torchvision for the rows that name
it.
"""

import importlib.metadata
import sys
from typing import Any

import jax
import numpy as np
import torch
from torch import nn

from benchmarks import result_file
from benchmarks.public_torch_nets import ROWS, Row
from cifar_jax import models
from cifar_jax.convert import engine, same_net
from cifar_jax.convert.implementations import IMPLEMENTATIONS
from cifar_jax.models import classifier

TOLERANCE = 1e-4
RESULT = result_file.FOLDER / 'torch_parity.json'


def main() -> None:
  """Compares the rows of the models of the command line, by default all."""
  origin = result_file.origin('torch_parity')
  names = sys.argv[1:] or [row.name for row in ROWS]
  if unknown := set(names) - {row.name for row in ROWS}:
    sys.exit(f'no row for {", ".join(sorted(unknown))}')
  rows = [row for row in ROWS if row.name in names]
  results = []
  print(f'{"model":32}{"implementation":76}{"largest difference":>20}{"largest logit":>16}')
  for row in rows:
    result = compare(row)
    results.append(result)
    print(
      f'{result["model"]:32}{result["implementation"]:76}'
      f'{result["largest_difference"]:20.1e}{result["largest_logit"]:16.1f}'
      f'  {row.note}{"" if result["round_trip_exact"] else "  ROUND TRIP DIFFERS"}',
      flush=True,
    )
  packages = {row.rules for row in rows} | {'torch', 'safetensors'}
  origin['versions'] |= {name: importlib.metadata.version(name) for name in sorted(packages)}
  result_file.write(RESULT, origin | {'tolerance': TOLERANCE, 'nets': results})
  if not all(r['largest_difference'] <= TOLERANCE and r['round_trip_exact'] for r in results):
    sys.exit('the logits or the arrays of some net differ')


def compare(row: Row) -> dict[str, Any]:
  """Returns the row of the result, with the largest difference of the logits."""
  model = models.create(row.name, **row.fields)
  size = classifier.image_size(model)
  images = np.random.RandomState(0).standard_normal((4, size, size, 3)).astype(np.float32)
  batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
  net = row.torch_net()
  randomize(net, batch)
  with torch.no_grad():
    expected = net(batch).numpy()
  state_dict = {name: tensor.numpy() for name, tensor in net.state_dict().items()}

  variables = engine.to_variables(state_dict, model, row.rules)
  apply = jax.jit(lambda variables, images: model.apply(variables, images, train=False))
  logits = np.asarray(apply(variables, images))
  names = IMPLEMENTATIONS[row.rules][
    same_net.family(model)
  ]  # alone, as some Torch nets are changed
  back = engine.to_state_dict(variables, model, names)
  counters = {name for name in back if name.endswith('num_batches_tracked')}
  return {
    'model': row.name,
    'fields': dict(row.fields),
    'implementation': row.implementation,
    'note': row.note,
    'largest_difference': float(np.max(np.abs(logits - expected))),
    'largest_logit': float(np.max(np.abs(expected))),
    'round_trip_exact': back.keys() == state_dict.keys()
    and all(np.array_equal(back[name], state_dict[name]) for name in back.keys() - counters),
  }


@torch.no_grad()
def randomize(net: nn.Module, batch: torch.Tensor) -> None:
  """Draws weights, and statistics that are near those of a batch so that no logit explodes.

  Args:
    net: a net, which is put into evaluation mode.
    batch: float32 `[batch, 3, height, width]`.
  """
  torch.manual_seed(0)
  net.eval()
  hooks = []
  for module in net.modules():
    if isinstance(module, nn.Conv2d | nn.Linear):
      nn.init.kaiming_normal_(module.weight)
      if module.bias is not None:
        nn.init.uniform_(module.bias, -0.5, 0.5)
    elif isinstance(module, nn.BatchNorm2d):
      nn.init.uniform_(module.weight, 0.5, 1.5)
      nn.init.uniform_(module.bias, -0.5, 0.5)
      hooks.append(module.register_forward_pre_hook(draw_statistics))
  net(batch)
  for hook in hooks:
    hook.remove()


def draw_statistics(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
  """Sets a norm's statistics to those of its inputs, changed at random.

  The mean is off by up to half a standard deviation, the variance by up to half of itself.
  """
  variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
  shift = torch.empty_like(mean).uniform_(-0.5, 0.5)
  norm.running_mean.copy_(mean + shift * variance.sqrt())
  norm.running_var.copy_(variance * torch.empty_like(variance).uniform_(0.5, 1.5))


if __name__ == '__main__':
  main()
