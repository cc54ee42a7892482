"""What accuracy costs: operations, parameters, memory and time of trained nets, side by side.

Operations (multiply-adds) and the memory of activations are those of `models/cost.py`; images per
second are measured, in evaluation, on the devices at hand. Memory against the batch is that of a
training step before the compiler improves on it: parameters, gradients and momentum, and the
activations that the backward pass keeps.
"""

import time
from typing import Any

import jax
import numpy as np

from cifar_jax.analysis import command
from cifar_jax.analysis.sample import Sample
from cifar_jax.models import cost
from cifar_jax.report import complexity as report

REPEATS = 5
PARAMETER_COPIES = 3  # the parameters, their gradients and their momentum
FLOAT_BYTES = 4


def measure(opened: command.Opened, arguments: Any) -> dict[str, Any]:
  """The costs and the error of a run's net, ready for JSON; the error is in [0, 1]."""
  del arguments

  @jax.jit
  def classify(variables: Any, images: jax.Array) -> jax.Array:
    logits: Any = opened.model.apply(variables, images, train=False)
    return logits.argmax(axis=-1)

  predicted = [classify(opened.variables, images) for images, _ in opened.sample]
  correct = sum(int((p == labels).sum()) for p, (_, labels) in zip(predicted, opened.sample,
                                                                   strict=True))  # fmt: skip
  rates = [_images_per_second(classify, opened.variables, opened.sample) for _ in range(REPEATS)]
  costs = cost.measure(opened.model)
  return {
    'error': 1.0 - correct / opened.sample.size,
    **costs._asdict(),
    'state_bytes': PARAMETER_COPIES * FLOAT_BYTES * costs.num_params,
    'images_per_second': float(np.median(rates)),
    'images_per_second_range': [min(rates), max(rates)],
  }


def _images_per_second(classify: Any, variables: Any, sample: Sample) -> float:
  begun = time.perf_counter()
  jax.block_until_ready([classify(variables, images) for images, _ in sample])
  return len(sample.images) * len(sample.images[0]) / (time.perf_counter() - begun)


def text(told: dict[str, Any]) -> str:
  """A line a figure."""
  slowest, fastest = told['images_per_second_range']
  return '\n'.join((
    f'error           {told["error"]:.2%}',
    f'parameters      {told["num_params"]:,}',
    f'multiply-adds   {told["multiply_adds"]:,} an image',
    f'memory          {told["training_bytes"] / 1e6:.2f} MB an image in training, '
    f'{told["forward_bytes"] / 1e6:.2f} MB in evaluation',
    f'speed           {told["images_per_second"]:.0f} images/s in evaluation '
    f'({slowest:.0f} to {fastest:.0f})',
  ))  # fmt: skip


def main() -> None:
  """Measures what the accuracy of trained nets costs."""
  parser = command.Parser(prog='python -m cifar_jax.analysis.complexity', description=main.__doc__)
  command.analyse('complexity', parser, measure, text, report.figure)


if __name__ == '__main__':
  command.run(main)
