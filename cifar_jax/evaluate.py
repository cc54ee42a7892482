"""Evaluation: every image of a split counts exactly once.

`python -m cifar_jax.evaluate --workdir DIR` gives accuracy, top-5 accuracy and loss of a run.
"""

import dataclasses
import pathlib

import jax
import numpy as np
from jax.sharding import Mesh

from cifar_jax import checkpoint, command, config, data, experiment, metrics, sharding, workdir
from cifar_jax import state as states
from cifar_jax import step as steps
from cifar_jax.errors import InputError

SPLITS = ('train', 'validation', 'test')
CHECKPOINTS = ('last', 'best')


@dataclasses.dataclass(frozen=True)
class PlacedSplit:
  """A split on the devices, padded with zeros to whole batches.

  Attributes:
    images: uint8 `[batches * batch_size, height, width, channels]`.
    labels: int32 `[batches * batch_size]`.
    size: int32 scalar, how many of them count.
    num_batches: how many batches there are.
    mesh: the devices.
  """

  images: jax.Array
  labels: jax.Array
  size: jax.Array
  num_batches: int
  mesh: Mesh


def place(split: data.Split, batch_size: int, mesh: Mesh) -> PlacedSplit:
  """Copies a split to the devices of a mesh."""
  num_batches = -(-len(split) // batch_size)
  padding = num_batches * batch_size - len(split)
  images = np.pad(split.images, ((0, padding), (0, 0), (0, 0), (0, 0)))
  labels = np.pad(split.labels, (0, padding))
  arrays = (images, labels, np.int32(len(split)))
  images, labels, size = sharding.replicate(arrays, mesh)
  return PlacedSplit(images, labels, size, num_batches, mesh)


def evaluate(
  eval_step: steps.EvalStep, state: states.State, split: PlacedSplit
) -> dict[str, float]:
  """Mean loss (in nats), accuracy and top-5 accuracy (in [0, 1]) over all images of a split."""
  evaluation = steps.Evaluation.empty(split.mesh)
  for _ in range(split.num_batches):
    evaluation = eval_step(
      evaluation, state.params, state.batch_stats, split.images, split.labels, split.size
    )
  return metrics.read(evaluation.means)


def evaluate_run(run: pathlib.Path, split: str, which: str, overrides: list[str]) -> None:
  """Prints the metrics of a run's checkpoint on a split.

  Args:
    run: the workdir.
    split: one of `SPLITS`.
    which: one of `CHECKPOINTS`.
    overrides: `--config.SECTION.KEY=VALUE`, such as another place of the data.

  Raises:
    InputError: there is no such run, checkpoint or split.
  """
  settings = workdir.read_config(run)
  config.override(settings, overrides)
  changes = config.differences(workdir.read_config(run), settings)
  if changes:
    raise InputError(f'a run is evaluated as it was trained: {"; ".join(changes)}; take that back')
  if not (run / workdir.CHECKPOINTS).is_dir():
    raise InputError(f'{run} has no checkpoint yet')
  parts = experiment.build(settings)
  images = getattr(parts.dataset, split)
  if not len(images):
    raise InputError(f'the run has no {split} images')
  with checkpoint.Checkpoints(
    run / workdir.CHECKPOINTS, parts.checkpoints, read_only=True
  ) as checkpoints:
    step = checkpoints.best if which == 'best' else checkpoints.latest
    if step is None:
      reason = ' with a validation accuracy' if which == 'best' else ' yet'
      raise InputError(f'{run} has no checkpoint{reason}')
    state, told = checkpoints.restore(step, experiment.abstract_state(parts))
  experiment.check_same_data(parts.dataset, told)
  values = evaluate(
    experiment.eval_step(parts), state, place(images, parts.plan.batch_size, parts.mesh)
  )
  print(f'{which} checkpoint (step {step}) on {len(images)} {split} images')
  print(f'  accuracy        {100 * values["accuracy"]:.2f} %')
  print(f'  top-5 accuracy  {100 * values["top5_accuracy"]:.2f} %')
  print(f'  loss            {values["loss"]:.4f}')


def main() -> None:
  """Accuracy, top-5 accuracy and loss of a run's checkpoint."""
  parser = command.Parser(prog='python -m cifar_jax.evaluate', description=main.__doc__)
  parser.add_argument('--workdir', type=pathlib.Path, required=True, help='of a run')
  parser.add_argument('--split', choices=SPLITS, default='test')
  parser.add_argument('--checkpoint', choices=CHECKPOINTS, default='last')
  arguments, overrides = parser.parse_known_args()
  evaluate_run(arguments.workdir, arguments.split, arguments.checkpoint, overrides)


if __name__ == '__main__':
  command.run(main)
