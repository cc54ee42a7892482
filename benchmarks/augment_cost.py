"""What each augmentation costs, beside a ResNet-20 training step on the same batch.

  python benchmarks/augment_cost.py

Each is compiled alone, with normalisation, which is taken off by measuring it alone too; then the
ordinary ones together, and together with a policy. A round measures all of them and one step, one
after another, so that what else the machine does falls on all alike. Prints a line each and writes
`results/augment_cost.json`: medians and quartiles over the rounds, in milliseconds a batch.
"""

import argparse
import json
import pathlib
import shlex
import statistics
import sys
from typing import Any

import interleaved
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax import augment, backend, models, provenance

RESULT = pathlib.Path(__file__).parent / 'results' / 'augment_cost.json'
MODEL, GOAL = 'resnet20', 0.1  # of the model's step
STATISTICS = augment.Statistics(
  num_classes=10,
  mean=(0.5, 0.5, 0.5),
  std=(0.25, 0.25, 0.25),
  covariance=((0.06, 0.05, 0.05), (0.05, 0.06, 0.05), (0.05, 0.05, 0.06)),
)
NONE: dict[str, Any] = {'flip': False, 'pad': 0}
ORDINARY: dict[str, dict[str, Any]] = {
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
OTHERS: dict[str, dict[str, Any]] = {
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
  backend.prepare()
  told = provenance.describe(1)
  told['command'] = shlex.join(['python', 'benchmarks/augment_cost.py', *sys.argv[1:]])
  runs = compiled(arguments.batch_size)
  plain = augment.make(augment.Settings(**NONE), STATISTICS)
  runs['step'] = interleaved.training_step(models.create(MODEL), plain, arguments.batch_size)
  milliseconds = {
    name: [1000 * seconds for seconds in values]
    for name, values in interleaved.seconds(runs, arguments.rounds).items()
  }
  told |= {'batch_size': arguments.batch_size, 'rounds': arguments.rounds, 'model': MODEL}
  rows = summary(milliseconds, arguments.batch_size)
  for name, row in rows.items():
    print(f'{name:26}' + '  '.join(f'{key} {value}' for key, value in row.items()))
  arguments.output.write_text(json.dumps(told | {'rows': rows}, indent=2) + '\n')


def compiled(batch_size: int) -> dict[str, interleaved.Run]:
  """Each augmentation as a function without arguments that gives its arrays."""
  random = np.random.RandomState(0)
  images = jnp.asarray(random.randint(0, 256, (batch_size, 32, 32, 3), np.uint8))
  labels = jnp.asarray(random.randint(0, 10, batch_size, np.int32))
  key = jax.random.key(0)

  def run(fields: dict[str, Any]) -> interleaved.Run:
    made = augment.make(augment.Settings(**(NONE | fields)), STATISTICS)
    program = jax.jit(made).lower(key, images, labels).compile()
    return lambda: program(key, images, labels)

  return {name: run(fields) for name, fields in ({'normalize': {}} | ORDINARY | OTHERS).items()}


def summary(milliseconds: dict[str, list[float]], batch_size: int) -> dict[str, dict[str, Any]]:
  """Median and quartiles of each, per image what it adds to normalisation, and against the step."""
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
