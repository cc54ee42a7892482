"""The cost of accuracy: operations, parameters, memory and time of trained nets, side by side.

Operations (multiply-adds) and the memory of activations are those of `models/cost/counting.py`.
Images per second are measured, in evaluation, on the devices at hand. Memory against the batch size
is that of a training step before the compiler reduces it: parameters, gradients and momentum, and
the activations that the backward pass needs.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from cifar_jax.analysis import runner
from cifar_jax.analysis.sample import Sample
from cifar_jax.models.cost import counting
from cifar_jax.runtime.devices import jit_in_turn

REPEATS = 5
PARAMETER_COPIES = 3  # the parameters, their gradients and their momentum
FLOAT_BYTES = 4


def measure(run: runner.AnalysedRun, arguments: argparse.Namespace) -> dict[str, Any]:
  """Measures the costs and the error, in [0, 1], of a run's net; ready for JSON."""
  del arguments
  sample = run.sample

  @jit_in_turn
  def classify(variables: Any, images: jax.Array) -> jax.Array:
    logits: Any = run.model.apply(variables, images, train=False)
    return logits.argmax(axis=-1)

  num_correct = 0
  for images, labels in sample:
    num_correct += int((classify(run.variables, images) == labels).sum())
  rates = [_images_per_second(classify, run.variables, sample) for _ in range(REPEATS)]
  costs = counting.measure(run.model, sample.images[0].shape[1:])
  return {
    'error': 1.0 - num_correct / sample.size,
    **costs._asdict(),
    'state_bytes': PARAMETER_COPIES * FLOAT_BYTES * costs.num_params,
    'images_per_second': float(np.median(rates)),
    'images_per_second_range': [min(rates), max(rates)],
  }


def _images_per_second(
  classify: Callable[[Any, jax.Array], jax.Array], variables: Any, sample: Sample
) -> float:
  start = time.perf_counter()
  jax.block_until_ready([classify(variables, images) for images, _ in sample])
  return len(sample.images) * len(sample.images[0]) / (time.perf_counter() - start)


def format_table(results: dict[str, Any]) -> str:
  """Formats the results, one line per quantity."""
  slowest, fastest = results['images_per_second_range']
  return '\n'.join((
    f'error           {results["error"]:.2%}',
    f'parameters      {results["num_params"]:,}',
    f'multiply-adds   {results["multiply_adds"]:,} an image',
    f'memory          {results["training_bytes"] / 1e6:.2f} MB an image in training, '
    f'{results["forward_bytes"] / 1e6:.2f} MB in evaluation',
    f'speed           {results["images_per_second"]:.0f} images/s in evaluation '
    f'({slowest:.0f} to {fastest:.0f})',
  ))  # fmt: skip
