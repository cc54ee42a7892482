"""Measures the time to trace, compile and run a training step, with deep stages scanned or not.

  python -m benchmarks.compile_time resnet110:scanned resnet110:unrolled --batch-size 64

Each net is measured in a new process, without a compilation cache. The step is the model's forward
and backward pass and a plain SGD update, in float32, with the compiler options of a training step.
Prints a line per net and adds it to `results/compile_time.json`, in place of an earlier line of the
same net and batch size.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import result_file
from cifar_jax import models
from cifar_jax.models.layers import stages
from cifar_jax.runtime.devices import compiler_options

RESULT = result_file.FOLDER / 'compile_time.json'


def main() -> None:
  """Measures the nets of the command line, one process after another."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('nets', nargs='+', help='MODEL, MODEL:scanned or MODEL:unrolled')
  parser.add_argument('--batch-size', type=int, default=64)
  parser.add_argument('--steps', type=int, default=5, help='timed steps; 0 to compile only')
  parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.here:
    print(json.dumps(measure(arguments.nets[0], arguments.batch_size, arguments.steps)))
    return
  origin = result_file.origin('compile_time')
  rows = result_file.read_rows(RESULT)
  for net in arguments.nets:
    options = ['--batch-size', str(arguments.batch_size), '--steps', str(arguments.steps)]
    command = [sys.executable, '-m', 'benchmarks.compile_time', net, *options, '--here']
    done = subprocess.run(command, cwd=result_file.ROOT, stdout=subprocess.PIPE, check=True)
    row = json.loads(done.stdout)
    result_file.print_row(row)
    rows = [r for r in rows if (r['net'], r['batch_size']) != (row['net'], row['batch_size'])]
    rows.append(row)
    result_file.write(RESULT, origin | {'rows': rows})


def measure(net: str, batch_size: int, steps: int) -> dict[str, Any]:
  """Returns the seconds of wall time to trace, to compile and for a step (the median).

  Args:
    net: name of a model, with `:scanned` or `:unrolled` behind it or not.
    batch_size: number of images of a step.
    steps: number of timed steps; 0 to compile only.
  """
  name, _, form = net.partition(':')
  if form:
    stages.SCAN_FROM = {'scanned': 1, 'unrolled': 1_000_000}[form]
  model = models.create(name)
  images = jax.random.normal(jax.random.key(0), (batch_size, 32, 32, 3))
  labels = jnp.arange(batch_size) % 10
  variables = jax.tree.map(
    lambda leaf: jnp.full(leaf.shape, 0.01, leaf.dtype), models.abstract_variables(model)
  )

  def sgd_step(variables: Any, images: jax.Array) -> Any:
    def loss(params: Any) -> tuple[jax.Array, Any]:
      streams = {'shake': jax.random.key(1), 'drop_path': jax.random.key(2)}
      logits, updates = model.apply(
        variables | {'params': params}, images, train=True, rngs=streams, mutable=['batch_stats']
      )
      return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(batch_size), labels]), updates

    gradient, updates = jax.grad(loss, has_aux=True)(variables['params'])
    params = jax.tree.map(lambda p, g: p - 0.1 * g, variables['params'], gradient)
    return {'params': params} | updates

  start = time.perf_counter()
  options = compiler_options(jax.default_backend())
  lowered = jax.jit(sgd_step, donate_argnums=0, compiler_options=options).lower(variables, images)
  traced_at = time.perf_counter()
  compiled = lowered.compile()
  compiled_at = time.perf_counter()
  seconds = []
  for _ in range(steps and steps + 1):  # the first one is not counted
    step_start = time.perf_counter()
    variables = jax.block_until_ready(compiled(variables, images))
    seconds.append(time.perf_counter() - step_start)
  memory: Any = compiled.memory_analysis()
  return {
    'net': net,
    'batch_size': batch_size,
    'trace_seconds': round(traced_at - start, 1),
    'compile_seconds': round(compiled_at - traced_at, 1),
    'step_seconds': round(statistics.median(seconds[1:]), 3) if steps else None,
    'temporary_megabytes': round(memory.temp_size_in_bytes / 2**20),
  }


if __name__ == '__main__':
  main()
