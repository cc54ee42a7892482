"""Compares the time of a training step on CPUs with the time that oneDNN spends in it.

  python -m benchmarks.step_floor --model resnet20 --batch-size 128

A step cannot be faster than its convolutions; the ratio of the two is what everything else costs.
oneDNN reports the time of each of its calls in rounds of their own, in turn with rounds that time
the whole step. Prints the ratio and the slowest calls, and writes `results/step_floor.json`.
"""

import argparse
import collections
import contextlib
import ctypes
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import jax

from benchmarks import interleaved, result_file
from benchmarks.random_images import make_experiment
from cifar_jax import models
from cifar_jax.errors import InputError
from cifar_jax.models.layers import onednn

RESULT = result_file.FOLDER / 'step_floor.json'
SLOWEST = 12  # calls that are printed


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model', default='resnet20')
  parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
  parser.add_argument('--batch-size', type=int, default=128)
  parser.add_argument('--rounds', type=int, default=9)
  parser.add_argument('--output', type=pathlib.Path, default=RESULT)
  arguments = parser.parse_args()
  if not onednn.load():
    raise InputError('oneDNN cannot be used here; the log says why')
  origin = result_file.origin('step_floor')
  model = models.create(arguments.model, dtype=arguments.dtype)
  run = interleaved.training_step(make_experiment(model, arguments.batch_size))
  jax.block_until_ready(run())  # compiles
  seconds, milliseconds, calls = [], [], collections.Counter[str]()
  for _ in range(arguments.rounds):
    start = time.perf_counter()
    jax.block_until_ready(run())
    seconds.append(time.perf_counter() - start)
    report = report_of_step(run)
    milliseconds.append(sum(duration for _, duration in report))
    for name, duration in report:
      calls[name] += duration / arguments.rounds
  step, floor = 1000 * statistics.median(seconds), statistics.median(milliseconds)
  row: dict[str, Any] = {'step_ms': round(step, 1), 'onednn_ms': round(floor, 1)}
  row |= {'ratio': round(step / floor, 3), 'calls_ms': {}}
  for name, duration in calls.most_common(SLOWEST):
    print(f'{duration:8.2f} ms  {name}')
    row['calls_ms'][name] = round(duration, 2)
  print(f'step {step:.1f} ms, oneDNN {floor:.1f} ms, ratio {step / floor:.2f}')
  settings = {name: value for name, value in vars(arguments).items() if name != 'output'}
  result_file.write(arguments.output, origin | settings | row)


def report_of_step(run: interleaved.Run) -> list[tuple[str, float]]:
  """Takes a step and returns the calls of oneDNN in it: what was computed, and milliseconds."""
  library = ctypes.CDLL('libdnnl.so.3')  # loaded already
  with tempfile.TemporaryFile('w+') as file:
    with standard_output_to(file.fileno()):
      library.dnnl_set_verbose(1)
      jax.block_until_ready(run())
      library.dnnl_set_verbose(0)
      ctypes.CDLL(None).fflush(None)
    file.seek(0)
    rows = [line.split(',') for line in file if line.startswith('onednn_verbose,exec')]
  return [(' '.join((row[3], row[4], row[5], row[-2])), float(row[-1])) for row in rows]


@contextlib.contextmanager
def standard_output_to(descriptor: int) -> Iterator[None]:
  """Within the block, what the process prints goes to an open file, C libraries included."""
  sys.stdout.flush()
  saved = os.dup(1)
  os.dup2(descriptor, 1)
  try:
    yield
  finally:
    os.dup2(saved, 1)
    os.close(saved)


if __name__ == '__main__':
  main()
