"""What rematerialisation saves: temporary memory of a compiled training step, with and without.

  python benchmarks/remat_memory.py --model densenet_bc_100_12 --batch-size 64 --output FILE.json
  python benchmarks/remat_memory.py --model densenet_bc_190_40 --batch-size 128 --fits 16
  python benchmarks/remat_memory.py --model pyramidnet272_a200_bottleneck --batch-size 128 --fits 16

Nothing is trained: XLA says what its buffers need. `total_bytes` are those of the state and the
training images too; `kept_bytes` the activations that the backward pass is handed by the forward
one, before any compiler. With `--fits` only the step with rematerialisation is measured, and the
command fails where it needs more than so many gigabytes (of 1e9 bytes).
"""

import argparse
import functools
import json
import pathlib
import shlex
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

from cifar_jax import (
  augment,
  backend,
  losses,
  models,
  optimizer,
  order,
  provenance,
  sharding,
  state,
  step,
)
from cifar_jax.models import cost

NUM_IMAGES, IMAGE_SHAPE = 50_000, (32, 32, 3)  # CIFAR's training images
UNOPTIMIZED = {  # machine code that never runs; buffers are assigned before it is made
  'xla_backend_optimization_level': 0,
  'xla_llvm_disable_expensive_passes': True,
}


def lowered_step(model: Any, batch_size: int) -> jax.stages.Lowered:
  """The project's training step on one device, for arrays of CIFAR's shapes."""
  tx = optimizer.make(optimizer.make_schedule(1000, 1))
  train_step = step.make_train_step(
    model=model,
    tx=tx,
    loss_fn=losses.make(),
    augment_fn=augment.make(augment.Settings(), augment.Statistics(num_classes=10)),
    batch_size=batch_size,
    mesh=sharding.make_mesh(num_devices=1),
  )
  key = jax.eval_shape(jax.random.key, 0)
  start = jax.eval_shape(functools.partial(state.create, model, tx, image_shape=IMAGE_SHAPE), key)
  images = jax.ShapeDtypeStruct((NUM_IMAGES, *IMAGE_SHAPE), jnp.uint8)
  labels = jax.ShapeDtypeStruct((NUM_IMAGES,), jnp.int32)
  epoch = jax.eval_shape(functools.partial(order.of_epoch, num_images=NUM_IMAGES), key, 0)
  return train_step.lower(start, key, images, labels, epoch)


def measure(name: str, batch_size: int, remat: bool) -> dict[str, Any]:
  """Memory, and the processor seconds that tracing takes."""
  model = models.create(name, remat=remat)
  started = time.process_time()
  lowered = lowered_step(model, batch_size)
  lower_seconds = time.process_time() - started
  compiled = lowered.compile(compiler_options=UNOPTIMIZED)
  memory = compiled.memory_analysis()
  passed = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
  return {
    'total_bytes': memory.temp_size_in_bytes + passed,
    'temp_bytes': memory.temp_size_in_bytes,
    'kept_bytes': batch_size * cost.measure(model).training_bytes,
    'lower_cpu_seconds': round(lower_seconds, 1),
  }


def main() -> None:
  """Prints the result as JSON, and writes it to a file if one is named."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model', default='densenet_bc_100_12', help='a name with the field remat')
  parser.add_argument('--batch-size', type=int, default=64)
  parser.add_argument('--fits', type=float, metavar='GB', help='with rematerialisation')
  parser.add_argument('--output', type=pathlib.Path, help='JSON file')
  options = parser.parse_args()
  backend.prepare()
  measured = functools.partial(measure, options.model, options.batch_size)
  rows = {} if options.fits else {'without_remat': measured(remat=False)}
  rows['with_remat'] = measured(remat=True)
  result = {
    'model': options.model,
    'batch_size': options.batch_size,
    **rows,
    **provenance.describe(num_devices=1),
    'command': shlex.join(['python', 'benchmarks/remat_memory.py', *sys.argv[1:]]),
  }
  text = json.dumps(result, indent=2)
  print(text)
  if options.output:
    options.output.write_text(text + '\n')
  if options.fits and rows['with_remat']['total_bytes'] > options.fits * 1e9:
    sys.exit(f'{options.model} does not fit into {options.fits:g} GB')


if __name__ == '__main__':
  main()
