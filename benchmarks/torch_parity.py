"""The same weights, the same logits: our nets beside public PyTorch implementations of them.

  python benchmarks/torch_parity.py [MODEL ...]

Each Torch net gets random weights and random batch statistics, `cifar_jax.convert` carries them
over, and both nets classify random images in evaluation, in float32; the way back must give the
same arrays to the bit. Prints a table and writes `results/torch_parity.json` next to this file.

Needs PyTorch and pytorchcv (`pip install torch pytorchcv`; torchvision for the rows that name it),
which nothing else here does.
"""

import importlib
import importlib.metadata
import json
import pathlib
import shlex
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad

from cifar_jax import backend, convert, models, provenance

TOLERANCE = 1e-4
RESULT = pathlib.Path(__file__).parent / 'results' / 'torch_parity.json'


class Row(NamedTuple):
  """A net on both sides.

  Attributes:
    name: of our model.
    implementation: the function that makes the Torch net, `package.module:function`.
    fields: of our model.
    change: what has to differ in the Torch net, applied in place.
    note: says so in the table.
  """

  name: str
  implementation: str
  fields: Mapping[str, Any] = types.MappingProxyType({})
  change: Callable[[nn.Module], None] = lambda net: None
  note: str = ''

  @property
  def rules(self) -> str:
    """Whose names the Torch net has."""
    return self.implementation.partition('.')[0]


class PadShortcut(nn.Module):
  """Option A of He et al. 2015: every second pixel, and zeros for the new channels."""

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, x.shape[1]))


def pad_shortcuts(net: nn.Module) -> None:
  for module in net.modules():
    if hasattr(module, 'identity_conv'):
      module.identity_conv = PadShortcut()


def activate_both_paths(net: nn.Module) -> None:
  """The appendix of He et al. 2016: the first unit activates before its paths part."""
  unit = net.features.stage1.unit1

  def forward(x: torch.Tensor) -> torch.Tensor:
    y, activated = unit.body.conv1(x)
    return unit.body.conv2(y) + activated

  unit.forward = forward


def stride_first(net: nn.Module) -> None:
  """resnet-pre-act.lua: the 1x1 convolution of a bottleneck has the stride, not the 3x3."""
  for stage in (net.features.stage2, net.features.stage3):
    body = stage.unit1.body
    body.conv1.conv.stride, body.conv2.conv.stride = (2, 2), (1, 1)


class ShakeUnit(nn.Module):
  """Gastaldi's unit: both branches and a shortcut of new width begin with a ReLU, none ends it."""

  def __init__(self, unit: nn.Module) -> None:
    super().__init__()
    self.branch1, self.branch2 = unit.branch1, unit.branch2
    if unit.resize_identity:
      self.identity_branch = unit.identity_branch

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    activated = torch.relu(x)
    shortcut = self.identity_branch(activated) if hasattr(self, 'identity_branch') else x
    return shortcut + 0.5 * (self.branch1(activated) + self.branch2(activated))


def move_relus(net: nn.Module) -> None:
  net.features.init_block.activ = nn.Identity()
  for stage in (net.features.stage1, net.features.stage2, net.features.stage3):
    for name, unit in list(stage.named_children()):
      setattr(stage, name, ShakeUnit(unit))
  net.features.final_pool = nn.Sequential(nn.ReLU(), net.features.final_pool)


CV = 'pytorchcv.models.'
ROWS = (
  Row('resnet20', f'{CV}resnet_cifar:resnet20_cifar10', {}, pad_shortcuts, 'with option A'),
  Row('resnet20', f'{CV}resnet_cifar:resnet20_cifar10', {'shortcut': 'project'}),
  Row(
    'preact_resnet110',
    f'{CV}preresnet_cifar:preresnet110_cifar10',
    {'shortcut': 'pad'},
    lambda net: (activate_both_paths(net), pad_shortcuts(net)),
    'first unit activated for both paths, option A',
  ),
  Row(
    'preact_resnet110',
    f'{CV}preresnet_cifar:preresnet110_cifar10',
    change=activate_both_paths,
    note='first unit activated for both paths',
  ),
  Row(
    'preact_resnet164',
    f'{CV}preresnet_cifar:preresnet164bn_cifar10',
    {},
    stride_first,
    'stride in the first convolution of a unit',
  ),
  Row('wrn_16_10', f'{CV}wrn_cifar:wrn16_10_cifar10', {'dropout': 0.3}),
  Row('pyramidnet110_a48', f'{CV}pyramidnet_cifar:pyramidnet110_a48_cifar10'),
  Row('pyramidnet164_a270_bottleneck', f'{CV}pyramidnet_cifar:pyramidnet164_a270_bn_cifar10'),
  Row(
    'shake_shake_26_2x32d',
    f'{CV}shakeshakeresnet_cifar:shakeshakeresnet26_2x32d_cifar10',
    change=move_relus,
    note='ReLUs where shakeshake.lua has them',
  ),
)


def main() -> None:
  """Compares every row, or those of the models that are named."""
  backend.prepare()
  told = provenance.describe(1)
  rows = [row for row in ROWS if not sys.argv[1:] or row.name in sys.argv[1:]]
  results = []
  print(f'{"model":32}{"implementation":56}{"largest difference":>20}{"largest logit":>16}')
  for row in rows:
    result = compare(row)
    results.append(result)
    print(
      f'{result["model"]:32}{result["implementation"]:56}'
      f'{result["largest_difference"]:20.1e}{result["largest_logit"]:16.1f}'
      f'  {row.note}{"" if result["round_trip_exact"] else "  ROUND TRIP DIFFERS"}',
      flush=True,
    )
  packages = {row.rules for row in rows} | {'torch', 'safetensors'}
  told['command'] = shlex.join(['python', 'benchmarks/torch_parity.py', *sys.argv[1:]])
  told['versions'] |= {name: importlib.metadata.version(name) for name in sorted(packages)}
  RESULT.write_text(json.dumps(told | {'tolerance': TOLERANCE, 'nets': results}, indent=2) + '\n')
  if not all(r['largest_difference'] <= TOLERANCE and r['round_trip_exact'] for r in results):
    sys.exit('some net is not the same')


def compare(row: Row) -> dict[str, Any]:
  """The largest difference between the logits of both nets, and what the way back gives."""
  model = models.create(row.name, **row.fields)
  size = getattr(model, 'image_size', 32)
  images = np.random.RandomState(0).standard_normal((4, size, size, 3)).astype(np.float32)
  batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
  net = torch_net(row)
  randomize(net, batch)
  with torch.no_grad():
    expected = net(batch).numpy()
  state_dict = {name: tensor.numpy() for name, tensor in net.state_dict().items()}

  variables = convert.to_variables(state_dict, model, row.rules)
  apply = jax.jit(lambda variables, images: model.apply(variables, images, train=False))
  logits = np.asarray(apply(variables, images))
  back = convert.to_state_dict(variables, model, row.rules)
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


def torch_net(row: Row) -> nn.Module:
  """The Torch net of a row, with its own initial weights."""
  module, _, function = row.implementation.partition(':')
  net = getattr(importlib.import_module(module), function)()
  row.change(net)
  return net


@torch.no_grad()
def randomize(net: nn.Module, batch: torch.Tensor) -> None:
  """Random weights and statistics, the latter around the batch's own so that no logit explodes.

  Args:
    net: put into evaluation mode.
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
  """Statistics of the inputs, off by up to half a deviation and half the variance."""
  variance, mean = torch.var_mean(inputs[0], (0, 2, 3))
  shift = torch.empty_like(mean).uniform_(-0.5, 0.5)
  norm.running_mean.copy_(mean + shift * variance.sqrt())
  norm.running_var.copy_(variance * torch.empty_like(variance).uniform_(0.5, 1.5))


if __name__ == '__main__':
  main()
