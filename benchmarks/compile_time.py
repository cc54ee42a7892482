"""How long a training step takes to trace, to compile and to run, with deep stages scanned or not.

  python benchmarks/compile_time.py resnet110:scanned resnet110:unrolled --batch-size 64

Each net is measured in a process of its own, with no compilation cache. The step is the model's
forward and backward pass and a plain SGD update, in float32, with the compiler's options that
`cifar_jax.step` gives. Prints a line a net and adds it to `results/compile_time.json`, in place of
an earlier one of the same kind.
"""

import argparse
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

from cifar_jax import backend, models, provenance, step
from cifar_jax.models import stages

RESULT = pathlib.Path(__file__).parent / 'results' / 'compile_time.json'


def main() -> None:
  """Measures what is named, one process after another."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('nets', nargs='+', help='MODEL, MODEL:scanned or MODEL:unrolled')
  parser.add_argument('--batch-size', type=int, default=64)
  parser.add_argument('--steps', type=int, default=5, help='timed ones; 0 to compile only')
  parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.here:
    print(json.dumps(measure(arguments.nets[0], arguments.batch_size, arguments.steps)))
    return
  backend.prepare()
  told = provenance.describe(1)
  told['command'] = shlex.join(['python', 'benchmarks/compile_time.py', *sys.argv[1:]])
  rows = json.loads(RESULT.read_text())['rows'] if RESULT.exists() else []
  for net in arguments.nets:
    options = ['--batch-size', str(arguments.batch_size), '--steps', str(arguments.steps)]
    command = [sys.executable, __file__, net, *options, '--here']
    row = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    print(*(f'{key} {value}' for key, value in row.items()), flush=True)
    rows = [r for r in rows if (r['net'], r['batch_size']) != (row['net'], row['batch_size'])]
    rows.append(row)
    RESULT.write_text(json.dumps(told | {'rows': rows}, indent=2) + '\n')


def measure(net: str, batch_size: int, steps: int) -> dict[str, Any]:
  """Seconds of wall time to trace, to compile and for a step (the median), on this machine."""
  backend.prepare()
  name, _, kind = net.partition(':')
  if kind:
    stages.SCAN_FROM = {'scanned': 1, 'unrolled': 1_000_000}[kind]
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

  begun = time.perf_counter()
  options = step.compiler_options(jax.default_backend())
  traced = jax.jit(sgd_step, donate_argnums=0, compiler_options=options).lower(variables, images)
  lowered = time.perf_counter()
  compiled = traced.compile()
  ready = time.perf_counter()
  seconds = []
  for _ in range(steps and steps + 1):  # the first one is not counted
    start = time.perf_counter()
    variables = jax.block_until_ready(compiled(variables, images))
    seconds.append(time.perf_counter() - start)
  return {
    'net': net,
    'batch_size': batch_size,
    'trace_seconds': round(lowered - begun, 1),
    'compile_seconds': round(ready - lowered, 1),
    'step_seconds': round(statistics.median(seconds[1:]), 3) if steps else None,
    'temporary_megabytes': round(compiled.memory_analysis().temp_size_in_bytes / 2**20),
  }


if __name__ == '__main__':
  main()
