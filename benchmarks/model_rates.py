"""Finds the models whose training step is slow for its arithmetic.

  python -m benchmarks.model_rates                      every registered model; takes hours on a CPU
  python -m benchmarks.model_rates vgg16 alexnet        these models

Each model takes a few training steps in a process of its own, on random images, in float32. Its
rate is three times its multiply-adds (forward, gradient of the input, gradient of the kernels) over
the time of the fastest step. A model is an outlier if its rate is below a fifth of the reference's:
operations that run as naive loops are ten to a hundred times too slow. Prints a line per model, the
outliers last, and adds the lines to `results/model_rates.json`.
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

import jax

from benchmarks import interleaved, result_file
from benchmarks.random_images import NUM_CLASSES, make_experiment
from cifar_jax import models
from cifar_jax.models.classifier import image_size
from cifar_jax.models.cost import counting

RESULT = result_file.FOLDER / 'model_rates.json'
REFERENCE = 'resnet18_imagenet'
OUTLIER = 0.2  # of the reference's rate
STEPS = 3  # after the first, in which the step is compiled
# A step is kept this short: the largest batch up to 32 within both limits.
MAX_MULTIPLY_ADDS, MAX_BYTES = 5e10, 4e9
# Why a net may be an outlier; for all others it is a fault.
REASONS = {
  'efficientnet': 'depthwise convolutions read as much memory as they multiply',
}


def main() -> None:
  """Measures models, prints the outliers and exits with 1 if one of them has no reason."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('models', nargs='*', default=list(models.NAMES))
  parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.here:
    print(json.dumps(measure(arguments.models[0])))
    return
  origin = result_file.origin('model_rates')
  rows = {row['model']: row for row in result_file.read_rows(RESULT)}
  for name in dict.fromkeys([REFERENCE, *arguments.models]):
    command = [sys.executable, '-m', 'benchmarks.model_rates', name, '--here']
    done = subprocess.run(command, cwd=result_file.ROOT, stdout=subprocess.PIPE, text=True)
    rows[name] = json.loads(done.stdout) if done.returncode == 0 else failure(name, done.returncode)
    result_file.print_row(rows[name])
    result_file.write(RESULT, origin | {'rows': list(rows.values())})
  limit = OUTLIER * rows[REFERENCE]['gigamultiplyadds_per_second']
  slow = [row for row in rows.values() if row['gigamultiplyadds_per_second'] < limit]
  for row in slow:
    reason = REASONS.get(row['family'], 'no reason is known')
    print(f'outlier: {row["model"]} {row["gigamultiplyadds_per_second"]}: {reason}')
  sys.exit(any(row['family'] not in REASONS for row in slow))


def failure(name: str, status: int) -> dict[str, Any]:
  """The row of a model whose process ended with an error, such as 139 for a crash of JAX."""
  family = models.family_of(name)
  return {'model': name, 'family': family, 'status': status, 'gigamultiplyadds_per_second': 0.0}


def measure(name: str) -> dict[str, Any]:
  """Returns the batch size, the seconds of the fastest step, and the rate of a model."""
  model: Any = models.create(name, num_classes=NUM_CLASSES)
  cost = counting.measure(model)
  multiply_adds, num_bytes = 3 * cost.multiply_adds, cost.training_bytes
  batch_size = 32
  while batch_size > 2 and (
    batch_size * multiply_adds > MAX_MULTIPLY_ADDS or batch_size * num_bytes > MAX_BYTES
  ):
    batch_size //= 2
  run = interleaved.training_step(make_experiment(model, batch_size, size=image_size(model)))
  seconds = []
  for _ in range(STEPS + 1):
    start = time.perf_counter()
    jax.block_until_ready(run())
    seconds.append(time.perf_counter() - start)
  fastest = min(seconds[1:])
  return {
    'model': name,
    'family': models.family_of(name),
    'batch_size': batch_size,
    'step_seconds': round(fastest, 3),
    'gigamultiplyadds_per_second': round(batch_size * multiply_adds / fastest / 1e9, 1),
  }


if __name__ == '__main__':
  main()
