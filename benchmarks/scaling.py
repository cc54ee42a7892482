"""Counts the collectives of a training step that is compiled for several devices.

  python -m benchmarks.scaling --models resnet20 wrn_28_10 --devices 8 64 256 --output FILE.json

Nothing is trained and no cluster is needed: XLA compiles the step for virtual devices, one program
for all of them, and the program's text shows what the devices send. For real devices XLA merges
neighbouring collectives further, so the numbers are upper bounds; the bytes stay the same.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import jax

from benchmarks import result_file
from benchmarks.random_images import UNOPTIMIZED, make_experiment
from cifar_jax import models
from cifar_jax.experiment.train_step import abstract_inputs, make_train_step
from cifar_jax.models import layers
from cifar_jax.runtime.devices import replicated_sharding

GLOBAL_BATCH = 1024
KINDS = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute')
BYTES = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 'f16': 2, 's32': 4, 'u32': 4, 'f32': 4, 's64': 8}
_INSTRUCTION = re.compile(
  rf'^\s*(?:ROOT )?%?[\w.-]+ = (?P<result>.*?) (?P<kind>{"|".join(KINDS)})(?:-start)?\('
  r'(?P<rest>.*)$',
  re.MULTILINE,
)
_ARRAY = re.compile(r'(\w+)\[([\d,]*)\]')
_NAME = re.compile(r'op_name="([^"]*)"')


def collectives(text: str) -> list[dict[str, Any]]:
  """Returns kind, bytes of the result and origin of each collective in a program's text."""
  rows = []
  for match in _INSTRUCTION.finditer(text):
    name = _NAME.search(match['rest'])
    rows.append(
      {
        'kind': match['kind'],
        'bytes': sum(_bytes(*array) for array in _ARRAY.findall(match['result'])),
        'origin': origin_of(name[1] if name else ''),
      }
    )
  return rows


def _bytes(dtype: str, shape: str) -> int:
  size = BYTES[dtype]
  for length in filter(None, shape.split(',')):
    size *= int(length)
  return size


def origin_of(name: str) -> str:
  """Returns the purpose of a collective, from the name of the operation that it belongs to."""
  if 'conv_general_dilated' in name or 'dot_general' in name:
    return 'gradient'  # XLA merges the metrics and the last norm's backward pass with it
  if re.search(r'norm\d*/', name):
    return 'batch norm, backward' if 'transpose(' in name else 'batch norm, forward'
  return 'other'


def compile_text(model_name: str, num_devices: int) -> str:
  """Returns the text of the training step, compiled for all devices of this process."""
  model = models.create(model_name)
  experiment = make_experiment(model, GLOBAL_BATCH, num_images=50_000, num_devices=num_devices)
  train_step: Any = make_train_step(experiment)
  replicated = replicated_sharding(experiment.mesh)
  arguments = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=replicated),
    abstract_inputs(experiment),
  )
  # The forms of a GPU, which `origin_of` knows: XLA cannot see into oneDNN's foreign functions.
  with layers.forms_for('gpu'):
    lowered = train_step.lower(*arguments)
  return lowered.compile(compiler_options=UNOPTIMIZED).as_text()


def summarize(model_name: str, num_devices: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
  """Returns numbers and bytes of the collectives by kind and origin."""
  groups: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
  for row in rows:
    group = groups[f'{row["kind"]}: {row["origin"]}']
    group[0] += 1
    group[1] += row['bytes']
  return {
    'model': model_name,
    'devices': num_devices,
    'global_batch': GLOBAL_BATCH,
    'collectives': len(rows),
    'bytes': sum(row['bytes'] for row in rows),
    'groups': {name: dict(zip(('count', 'bytes'), groups[name], strict=True)) for name in groups},
  }


def measure(model_name: str, num_devices: int) -> dict[str, Any]:
  """Returns the summary from a new process, as a process has one number of devices."""
  flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={num_devices}'
  command = [sys.executable, '-m', 'benchmarks.scaling', '--one', model_name, str(num_devices)]
  environment = os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}
  done = subprocess.run(
    command, cwd=result_file.ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
  )
  return json.loads(done.stdout)


def main() -> None:
  """Prints the result as JSON, and writes it to `--output` if given."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--models', nargs='+', default=['resnet20', 'resnet110', 'wrn_28_10'])
  parser.add_argument('--devices', nargs='+', type=int, default=[8, 64, 256])
  parser.add_argument('--output', type=pathlib.Path, help='JSON file')
  parser.add_argument('--one', nargs=2, metavar=('MODEL', 'DEVICES'), help=argparse.SUPPRESS)
  options = parser.parse_args()
  if options.one:
    model_name, num_devices = options.one[0], int(options.one[1])
    rows = collectives(compile_text(model_name, num_devices))
    print(json.dumps(summarize(model_name, num_devices, rows)))
    return
  origin = result_file.origin('scaling') | {'device': 'virtual CPU devices'}
  programs = [measure(name, count) for name in options.models for count in options.devices]
  result = {'programs': programs, **origin}
  print(json.dumps(result, indent=2))
  if options.output:
    result_file.write(options.output, result)


if __name__ == '__main__':
  main()
