"""Evaluates every registered model, and takes its gradient, by a plain `jax.jit`, as users do.

  python -m benchmarks.plain_jit                       every registered model: hours on a CPU
  python -m benchmarks.plain_jit pyramidnet20_a84      these models

Training compiles its steps with options of its own. A user's program has only what `import
cifar_jax` sets, which must be enough: in jaxlib 0.10.2 the evaluation of PyramidNets ended in a
segmentation fault without it. Each model gets a process of its own and eight random images
(`FEWER_IMAGES`, where eight do not fit in memory), and must give finite logits and a finite
gradient. Nothing is timed, so there are as many processes as cores. Prints a line per model and
adds it to `results/plain_jit.json`; a model that the file has for the same commit is not run again.
Exits with 1 if a model failed.
"""

import argparse
import concurrent.futures
import functools
import json
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import result_file
from cifar_jax import models
from cifar_jax.models.classifier import image_size
from cifar_jax.runtime import xla_flags

RESULT = result_file.FOLDER / 'plain_jit.json'
BATCH_SIZE, NUM_CLASSES = 8, 10
FEWER_IMAGES = {'efficientnet_b7_imagenet': 2}  # of 600 x 600 pixels: eight take 31 GB


def main() -> None:
  """Runs the models, each in a process of its own."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('models', nargs='*', default=list(models.NAMES))
  parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.here:
    print(json.dumps(measure(arguments.models[0])))
    return
  origin = result_file.origin('plain_jit')
  rows = {row['model']: row for row in earlier_rows(origin['commit'])}
  missing = [name for name in arguments.models if name not in rows]
  with concurrent.futures.ThreadPoolExecutor(xla_flags.num_processors()) as pool:
    for row in pool.map(measure_alone, missing):
      rows[row['model']] = row
      result_file.print_row(row)
      result_file.write(RESULT, origin | {'rows': list(rows.values())})
  sys.exit(not all(row['is_finite'] for row in rows.values()))


def earlier_rows(commit: str) -> list[dict[str, Any]]:
  """Returns the rows of the file of results, if they are of this commit."""
  if not RESULT.exists() or json.loads(RESULT.read_text())['commit'] != commit:
    return []
  return result_file.read_rows(RESULT)


def measure_alone(name: str) -> dict[str, Any]:
  """Returns the row of a model from a process of its own, whose exit status is in it."""
  command = [sys.executable, '-m', 'benchmarks.plain_jit', name, '--here']
  done = subprocess.run(command, cwd=result_file.ROOT, stdout=subprocess.PIPE, text=True)
  failed = {'model': name, 'status': done.returncode, 'is_finite': False}
  return json.loads(done.stdout) if done.returncode == 0 else failed


def measure(name: str) -> dict[str, Any]:
  """Returns whether logits and gradient of a model are finite."""
  model: Any = models.create(name, num_classes=NUM_CLASSES)
  size, batch_size = image_size(model), FEWER_IMAGES.get(name, BATCH_SIZE)
  random = np.random.RandomState(0)
  images = jnp.asarray(random.standard_normal((batch_size, size, size, 3)), jnp.float32)
  labels = jnp.asarray(random.randint(0, NUM_CLASSES, batch_size))
  variables = jax.tree_util.tree_map_with_path(
    functools.partial(draw, random), models.abstract_variables(model)
  )
  logits = jax.jit(lambda variables: model.apply(variables, images, train=False))(variables)

  def loss(params: Any) -> jax.Array:
    logits = model.apply(variables | {'params': params}, images, train=False)
    return -jax.nn.log_softmax(logits)[jnp.arange(batch_size), labels].mean()

  gradient = jax.jit(jax.grad(loss))(variables['params'])
  is_finite = all(bool(jnp.isfinite(x).all()) for x in (logits, *jax.tree.leaves(gradient)))
  return {'model': name, 'batch_size': batch_size, 'status': 0, 'is_finite': is_finite}


def draw(random: np.random.RandomState, path: Any, array: jax.ShapeDtypeStruct) -> jax.Array:
  """Returns normal kernels, and ones for all else: initial weights that need no compiler.

  The kernels are so small that a sum over hundreds of branches, which no norm scales, is finite.
  """
  if path[-1].key != 'kernel':
    return jnp.ones(array.shape, array.dtype)
  scale = 0.1 / np.sqrt(np.prod(array.shape[:-1]))
  return jnp.asarray(scale * random.standard_normal(array.shape), array.dtype)


if __name__ == '__main__':
  main()
