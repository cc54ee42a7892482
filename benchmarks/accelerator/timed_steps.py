"""Takes steps of a net in a process of its own; prints the time of a step and a sum of the bits.

python -m benchmarks.accelerator.timed_steps resnet20 128 200 --deterministic
"""

import argparse
import json
import time
import zlib

import jax
import numpy as np

from benchmarks import interleaved
from benchmarks.random_images import make_experiment
from cifar_jax import models
from cifar_jax.runtime import xla_flags

GROUP = 10  # steps per dispatch


def main() -> None:
  """Measures and prints a line of JSON."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('model')
  parser.add_argument('batch_size', type=int)
  parser.add_argument('steps', type=int, help=f'a multiple of {GROUP}')
  parser.add_argument('--deterministic', action='store_true')
  arguments = parser.parse_args()
  if arguments.deterministic:
    xla_flags.make_deterministic()
  model = models.create(arguments.model, dtype='bfloat16')
  experiment = make_experiment(model, arguments.batch_size)
  run = interleaved.training_step(experiment, GROUP)
  jax.block_until_ready(run())  # compiles
  start = time.perf_counter()
  for _ in range(arguments.steps // GROUP):
    state = run()
  jax.block_until_ready(state)
  seconds = (time.perf_counter() - start) / (arguments.steps // GROUP * GROUP)
  bits = 0
  for leaf in jax.tree.leaves(state.params):
    bits = zlib.crc32(np.asarray(leaf).tobytes(), bits)
  print(json.dumps({'step_ms': round(1000 * seconds, 4), 'bits': bits}))


if __name__ == '__main__':
  main()
