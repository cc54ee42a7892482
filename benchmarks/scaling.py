"""What the devices of a training step tell each other: collectives of the compiled program.

  python benchmarks/scaling.py --models resnet20 wrn_28_10 --devices 8 64 256 --output FILE.json

Nothing is trained and no cluster is needed: XLA compiles the step for virtual devices, one program
for all of them, and its text says what is sent. On real ones XLA merges neighbours further, so the
numbers of collectives are upper bounds; their bytes are not changed by that.
"""

import argparse
import collections
import functools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
from typing import Any

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
  """Kind, bytes of the result and origin of each collective in a compiled program's text."""
  found = []
  for match in _INSTRUCTION.finditer(text):
    name = _NAME.search(match['rest'])
    found.append(
      {
        'kind': match['kind'],
        'bytes': sum(_bytes(*array) for array in _ARRAY.findall(match['result'])),
        'origin': origin(name[1] if name else ''),
      }
    )
  return found


def _bytes(dtype: str, shape: str) -> int:
  size = BYTES[dtype]
  for length in filter(None, shape.split(',')):
    size *= int(length)
  return size


def origin(name: str) -> str:
  """What a collective is for, by the name of the operation that it is part of."""
  if 'conv_general_dilated' in name or 'dot_general' in name:
    return 'gradient'  # and what XLA has merged with it: the metrics, the last norm's backward
  if re.search(r'norm\d*/', name):
    return 'batch norm, backward' if 'transpose(' in name else 'batch norm, forward'
  return 'other'


def compile_text(model_name: str, num_devices: int) -> str:
  """The text of the project's training step, compiled for all devices of this process."""
  import jax
  import jax.numpy as jnp

  from cifar_jax import augment, losses, models, optimizer, order, sharding, state, step

  mesh = sharding.make_mesh(num_devices=num_devices)
  model = models.create(model_name)
  tx = optimizer.make(optimizer.make_schedule(1000, 1))
  train_step: Any = step.make_train_step(
    model=model,
    tx=tx,
    loss_fn=losses.make(),
    normalize=functools.partial(augment.normalize, mean=(0.5,) * 3, std=(0.25,) * 3),
    augment_fn=augment.make(),
    batch_size=GLOBAL_BATCH,
    mesh=mesh,
  )
  key = jax.eval_shape(jax.random.key, 0)
  start = jax.eval_shape(functools.partial(state.create, model, tx, image_shape=(32, 32, 3)), key)
  images = jax.ShapeDtypeStruct((50_000, 32, 32, 3), jnp.uint8)
  labels = jax.ShapeDtypeStruct((50_000,), jnp.int32)
  epoch = jax.eval_shape(functools.partial(order.of_epoch, num_images=50_000), key, 0)
  replicated = sharding.replicated(mesh)
  arguments = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=replicated),
    (start, key, images, labels, epoch),
  )
  unoptimized = {  # machine code that never runs
    'xla_backend_optimization_level': 0,
    'xla_llvm_disable_expensive_passes': True,
  }
  return train_step.lower(*arguments).compile(compiler_options=unoptimized).as_text()


def summary(model_name: str, num_devices: int, found: list[dict[str, Any]]) -> dict[str, Any]:
  """Numbers and bytes of the collectives by kind and origin."""
  groups: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0])
  for one in found:
    group = groups[f'{one["kind"]}: {one["origin"]}']
    group[0] += 1
    group[1] += one['bytes']
  return {
    'model': model_name,
    'devices': num_devices,
    'global_batch': GLOBAL_BATCH,
    'collectives': len(found),
    'bytes': sum(one['bytes'] for one in found),
    'groups': {name: dict(zip(('count', 'bytes'), groups[name], strict=True)) for name in groups},
  }


def measure(model_name: str, num_devices: int) -> dict[str, Any]:
  """The same from a process of its own, as devices are counted once for each."""
  flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={num_devices}'
  command = [sys.executable, __file__, '--one', model_name, str(num_devices)]
  environment = os.environ | {'XLA_FLAGS': flags, 'JAX_PLATFORMS': 'cpu'}
  done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
  return json.loads(done.stdout)


def main() -> None:
  """Prints the result as JSON, and writes it to a file if one is named."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--models', nargs='+', default=['resnet20', 'resnet110', 'wrn_28_10'])
  parser.add_argument('--devices', nargs='+', type=int, default=[8, 64, 256])
  parser.add_argument('--output', type=pathlib.Path, help='JSON file')
  parser.add_argument('--one', nargs=2, metavar=('MODEL', 'DEVICES'), help=argparse.SUPPRESS)
  options = parser.parse_args()
  if options.one:
    model_name, num_devices = options.one[0], int(options.one[1])
    found = collectives(compile_text(model_name, num_devices))
    print(json.dumps(summary(model_name, num_devices, found)))
    return

  from cifar_jax import provenance

  where = provenance.describe(num_devices=1)
  result = {
    'programs': [measure(name, count) for name in options.models for count in options.devices],
    **where,
    'device': 'virtual CPU devices',
    'command': shlex.join(['python', 'benchmarks/scaling.py', *sys.argv[1:]]),
  }
  text = json.dumps(result, indent=2)
  print(text)
  if options.output:
    options.output.write_text(text + '\n')


if __name__ == '__main__':
  main()
