"""Measures the cost of each augmentation next to a ResNet-20 training step on the same batch.

  python -m benchmarks.augment_cost

Each augmentation is compiled alone with normalisation, whose time is then subtracted. Further rows
have all ordinary augmentations together, alone and with a policy. A round measures all rows and one
training step, one after another, so that other load on the machine falls on all alike. Prints a
line per row and writes `results/augment_cost.json`: medians and quartiles over the rounds, in
milliseconds per batch.
"""

import argparse
import pathlib
import statistics
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import interleaved, result_file
from benchmarks.random_images import make_experiment
from cifar_jax import augment, models
from cifar_jax.augment.statistics import Statistics
from cifar_jax.config.augmentation import AugmentSettings

RESULT = result_file.FOLDER / 'augment_cost.json'
MODEL, GOAL = 'resnet20', 0.1  # the goal is a share of the model's step
STATISTICS = Statistics(
  num_classes=10,
  mean=(0.5, 0.5, 0.5),
  std=(0.25, 0.25, 0.25),
  covariance=((0.06, 0.05, 0.05), (0.05, 0.06, 0.05), (0.05, 0.05, 0.06)),
)
Fields = dict[str, Any]  # of the section `augment`
NONE: Fields = {'flip': False, 'pad': 0}
ORDINARY: dict[str, Fields] = {
  'flip': {'flip': True},
  'crop': {'pad': 4},
  'quarter_turns': {'quarter_turns': True},
  'rotate': {'rotate': 30.0},
  'cutout': {'cutout': 16},
  'erase': {'erase': 0.5},
  'brightness': {'brightness': 0.4},
  'contrast': {'contrast': 0.4},
  'saturation': {'saturation': 0.4},
  'hue': {'hue': 36.0},
  'pca_noise': {'pca_noise': 0.1},
  'blur': {'blur': 1.0},
  'sharpen': {'sharpen': 1.0},
  'gaussian_noise': {'gaussian_noise': 0.05},
  'salt_and_pepper': {'salt_and_pepper': 0.05},
  'mixup': {'mixup': 1.0},
  'cutmix': {'cutmix': 1.0},
}
TOGETHER = {key: value for fields in ORDINARY.values() for key, value in fields.items()}
OTHER_ROWS: dict[str, Fields] = {
  'crop, reflected': {'pad': 4, 'padding': 'reflect'},
  'resize and crop': {'resize': 40},
  'mixup, alpha 0.2': {'mixup': 0.2},
  'autoaugment': {'autoaugment': True},
  'randaugment, N = 2': {'randaugment': 2},
  'randaugment, N = 3': {'randaugment': 3},
  'ordinary, together': TOGETHER,
  'ordinary and autoaugment': TOGETHER | {'autoaugment': True},
}


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--batch-size', type=int, default=128)
  parser.add_argument('--rounds', type=int, default=21)
  parser.add_argument('--output', type=pathlib.Path, default=RESULT)
  arguments = parser.parse_args()
  result = result_file.origin('augment_cost')
  runs = compile_augmentations(arguments.batch_size)
  experiment = make_experiment(
    models.create(MODEL), arguments.batch_size, augmentation=AugmentSettings(**NONE)
  )
  runs['step'] = interleaved.training_step(experiment)
  milliseconds = {
    name: [1000 * seconds for seconds in values]
    for name, values in interleaved.seconds(runs, arguments.rounds).items()
  }
  result |= {'batch_size': arguments.batch_size, 'rounds': arguments.rounds, 'model': MODEL}
  rows = summarize(milliseconds, arguments.batch_size)
  for name, row in rows.items():
    print(f'{name:26}' + '  '.join(f'{key} {value}' for key, value in row.items()))
  result_file.write(arguments.output, result | {'rows': rows})


def compile_augmentations(batch_size: int) -> dict[str, interleaved.Run]:
  """Returns each row's augmentation as a compiled function of no arguments, on a random batch."""
  random = np.random.RandomState(0)
  images = jnp.asarray(random.randint(0, 256, (batch_size, 32, 32, 3), np.uint8))
  labels = jnp.asarray(random.randint(0, 10, batch_size, np.int32))
  key = jax.random.key(0)

  def make_run(fields: Fields) -> interleaved.Run:
    augment_fn = augment.make(AugmentSettings(**(NONE | fields)), STATISTICS)
    program = jax.jit(augment_fn).lower(key, images, labels).compile()
    return lambda: program(key, images, labels)

  rows: dict[str, Fields] = {'normalize': {}} | ORDINARY | OTHER_ROWS
  return {name: make_run(fields) for name, fields in rows.items()}


def summarize(milliseconds: dict[str, list[float]], batch_size: int) -> dict[str, dict[str, Any]]:
  """Returns a row of the result for each measured function.

  Args:
    milliseconds: time of each round, by the function's name.
    batch_size: number of images that a time is for.

  Returns:
    Median, quartiles, the time per image that is added to normalisation, and this time's share of
    the step.
  """
  medians = {name: statistics.median(values) for name, values in milliseconds.items()}
  rows = {}
  for name, values in milliseconds.items():
    added = medians[name] - (medians['normalize'] if name not in ('normalize', 'step') else 0.0)
    rows[name] = {
      'median': round(medians[name], 2),
      'quartiles': interleaved.quartiles(values, 2),
      'added_microseconds_per_image': round(1000 * added / batch_size, 1),
      'share_of_step': round(added / medians['step'], 4),
      'within_goal': added <= GOAL * medians['step'],
    }
  del rows['step']['within_goal']
  return rows


if __name__ == '__main__':
  main()
