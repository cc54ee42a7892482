"""Seeds per hour: several trained at once in one run, against one after the other.

  python benchmarks/seeds.py --model resnet8 --batch-size 64 --seeds 4

A round measures a step of the stack, and of each seed by itself, one after the other, so that what
else the machine does falls on both alike; both take the same number of steps in a dispatch. Prints
the seeds per hour that a run of so many epochs would give, its evaluations and checkpoints left
out, and writes `results/seeds.json`: medians and quartiles over the rounds.
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

from cifar_jax import augment, backend, models, provenance

RESULT = pathlib.Path(__file__).parent / 'results' / 'seeds.json'
STATISTICS = augment.Statistics(num_classes=10, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
IMAGES = 50_000  # of CIFAR-10, in an epoch


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model', default='resnet8')
  parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
  parser.add_argument('--batch-size', type=int, default=64)
  parser.add_argument('--seeds', type=int, default=4)
  parser.add_argument('--steps-per-dispatch', type=int, default=1)
  parser.add_argument('--epochs', type=int, default=10, help='of the runs that are spoken of')
  parser.add_argument('--rounds', type=int, default=21)
  parser.add_argument('--output', type=pathlib.Path, default=RESULT)
  arguments = parser.parse_args()
  backend.prepare()
  told = provenance.describe(1)
  told['command'] = shlex.join(['python', 'benchmarks/seeds.py', *sys.argv[1:]])
  forms = {
    'at once': trainer(arguments, arguments.seeds),
    'one after the other': in_turn([trainer(arguments, 1) for _ in range(arguments.seeds)]),
  }
  seconds = interleaved.seconds(forms, arguments.rounds)
  steps_of_a_run = arguments.epochs * IMAGES / arguments.batch_size
  rows = summary(seconds, arguments.seeds, steps_of_a_run / arguments.steps_per_dispatch)
  for name, row in rows.items():
    print(f'{name:20}' + '  '.join(f'{key} {value}' for key, value in row.items()))
  ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
  ratio = {
    'median': round(statistics.median(ratios), 3),
    'quartiles': interleaved.quartiles(ratios, 3),
  }
  print(f'at once: {ratio["median"]} times the seeds per hour, quartiles {ratio["quartiles"]}')
  measured = {'rows': rows, 'times_the_seeds_per_hour': ratio}
  settings = {name: value for name, value in vars(arguments).items() if name != 'output'}
  arguments.output.write_text(json.dumps(told | settings | measured, indent=2) + '\n')


def trainer(arguments: argparse.Namespace, num_seeds: int) -> interleaved.Run:
  """A function that takes the next steps of a stack of seeds."""
  return interleaved.training_step(
    models.create(arguments.model, dtype=arguments.dtype),
    augment.make(augment.Settings(), STATISTICS),
    arguments.batch_size,
    arguments.steps_per_dispatch,
    num_seeds,
  )


def in_turn(runs: list[interleaved.Run]) -> interleaved.Run:
  """A function that calls the others, each when the one before has ended."""

  def run() -> None:
    for each in runs:
      jax.block_until_ready(each())

  return run


def summary(
  seconds: dict[str, list[float]], num_seeds: int, dispatches: float
) -> dict[str, dict[str, Any]]:
  """Milliseconds for a dispatch of all seeds, and the seeds that an hour of such dispatches gives.

  Args:
    seconds: of each form, for a dispatch of each seed.
    num_seeds: how many.
    dispatches: of a run.
  """
  rows = {}
  for name, values in seconds.items():
    per_hour = [num_seeds * 3600 / (value * dispatches) for value in values]
    rows[name] = {
      'milliseconds': round(1000 * statistics.median(values), 2),
      'quartiles': interleaved.quartiles([1000 * value for value in values], 2),
      'seeds_per_hour': round(statistics.median(per_hour), 3),
      'seeds_per_hour_quartiles': interleaved.quartiles(per_hour, 3),
    }
  return rows


if __name__ == '__main__':
  main()
