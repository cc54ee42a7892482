"""Measures the temporary memory of a compiled training step with and without rematerialisation.

  python -m benchmarks.remat_memory --model densenet_bc_100_12 --batch-size 64 --output FILE.json
  python -m benchmarks.remat_memory --model densenet_bc_190_40 --batch-size 128 --fits 16
  python -m benchmarks.remat_memory --model pyramidnet272_a200_bottleneck --batch-size 128 --fits 16

Nothing is trained: XLA reports the size of its buffers. `total_bytes` includes the state and the
training images; `kept_bytes` counts the activations that the forward pass keeps for the backward
pass, before any compiler. With `--fits` only the step with rematerialisation is measured, and the
command fails if the step needs more than this number of gigabytes (1e9 bytes each).
"""

import argparse
import functools
import json
import pathlib
import sys
import time
from typing import Any

import flax.linen as nn
import jax

from benchmarks import result_file
from benchmarks.random_images import UNOPTIMIZED, make_experiment
from cifar_jax import models
from cifar_jax.experiment.train_step import abstract_inputs, make_train_step
from cifar_jax.models.cost import counting

NUM_IMAGES = 50_000  # CIFAR's training images


def lower_step(model: nn.Module, batch_size: int) -> jax.stages.Lowered:
  """Returns the training step on one device, for arrays of CIFAR's shapes."""
  experiment = make_experiment(model, batch_size, num_images=NUM_IMAGES)
  train_step: Any = make_train_step(experiment)
  return train_step.lower(*abstract_inputs(experiment))


def measure(name: str, batch_size: int, remat: bool) -> dict[str, Any]:
  """Returns the memory in bytes, and the processor time of tracing in seconds.

  Args:
    name: of a model with the field `remat`.
    batch_size: number of images of a step.
    remat: value of the field.
  """
  model = models.create(name, remat=remat)
  start = time.process_time()
  lowered = lower_step(model, batch_size)
  lower_seconds = time.process_time() - start
  memory: Any = lowered.compile(compiler_options=UNOPTIMIZED).memory_analysis()
  arguments = memory.argument_size_in_bytes - memory.alias_size_in_bytes
  return {
    'total_bytes': memory.temp_size_in_bytes + arguments + memory.output_size_in_bytes,
    'temp_bytes': memory.temp_size_in_bytes,
    'kept_bytes': batch_size * counting.measure(model).training_bytes,
    'lower_cpu_seconds': round(lower_seconds, 1),
  }


def main() -> None:
  """Prints the result as JSON, and writes it to `--output` if given."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model', default='densenet_bc_100_12', help='a name with the field remat')
  parser.add_argument('--batch-size', type=int, default=64)
  parser.add_argument('--fits', type=float, metavar='GB', help='fail if it needs more')
  parser.add_argument('--output', type=pathlib.Path, help='JSON file')
  options = parser.parse_args()
  origin = result_file.origin('remat_memory')
  measure_model = functools.partial(measure, options.model, options.batch_size)
  rows = {} if options.fits else {'without_remat': measure_model(remat=False)}
  rows['with_remat'] = measure_model(remat=True)
  result = {'model': options.model, 'batch_size': options.batch_size, **rows, **origin}
  print(json.dumps(result, indent=2))
  if options.output:
    result_file.write(options.output, result)
  if options.fits and rows['with_remat']['total_bytes'] > options.fits * 1e9:
    sys.exit(f'{options.model} does not fit into {options.fits:g} GB')


if __name__ == '__main__':
  main()
