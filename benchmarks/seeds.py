"""Compares the seeds per hour of training several at once and one after the other.

  python -m benchmarks.seeds --model resnet8 --batch-size 64 --seeds 4

A round measures a step of all seeds at once, and then a step of each seed alone, so that other load
on the machine falls on both alike. Both take the same number of steps per dispatch. Prints the
seeds per hour of a run of `--epochs` epochs, without evaluations and checkpoints, and writes
`results/seeds.json`: medians and quartiles over the rounds.
"""

import argparse
import pathlib
import statistics
from typing import Any

import jax

from benchmarks import interleaved, result_file
from benchmarks.random_images import make_experiment
from cifar_jax import models

RESULT = result_file.FOLDER / 'seeds.json'
IMAGES = 50_000  # in an epoch of CIFAR-10


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--model', default='resnet8')
  parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
  parser.add_argument('--batch-size', type=int, default=64)
  parser.add_argument('--seeds', type=int, default=4)
  parser.add_argument('--steps-per-dispatch', type=int, default=1)
  parser.add_argument('--epochs', type=int, default=10, help='length of a run')
  parser.add_argument('--rounds', type=int, default=21)
  parser.add_argument('--output', type=pathlib.Path, default=RESULT)
  arguments = parser.parse_args()
  origin = result_file.origin('seeds')
  variants = {
    'at once': make_run(arguments, arguments.seeds),
    'one after the other': run_in_turn([make_run(arguments, 1) for _ in range(arguments.seeds)]),
  }
  seconds = interleaved.seconds(variants, arguments.rounds)
  steps_per_run = arguments.epochs * IMAGES / arguments.batch_size
  rows = summarize(seconds, arguments.seeds, steps_per_run / arguments.steps_per_dispatch)
  for name, row in rows.items():
    print(f'{name:20}' + '  '.join(f'{key} {value}' for key, value in row.items()))
  ratios = [in_turn / at_once for at_once, in_turn in zip(*seconds.values(), strict=True)]
  ratio = {
    'median': round(statistics.median(ratios), 3),
    'quartiles': interleaved.quartiles(ratios, 3),
  }
  print(f'at once: {ratio["median"]} times the seeds per hour, quartiles {ratio["quartiles"]}')
  measured = {'rows': rows, 'times_the_seeds_per_hour': ratio}
  settings = {name: value for name, value in vars(arguments).items() if name != 'output'}
  result_file.write(arguments.output, origin | settings | measured)


def make_run(arguments: argparse.Namespace, num_seeds: int) -> interleaved.Run:
  """Returns a function that takes the next steps of `num_seeds` seeds at once."""
  model = models.create(arguments.model, dtype=arguments.dtype)
  experiment = make_experiment(model, arguments.batch_size, num_seeds=num_seeds)
  return interleaved.training_step(experiment, arguments.steps_per_dispatch)


def run_in_turn(runs: list[interleaved.Run]) -> interleaved.Run:
  """Returns a function that calls `runs`, each after the one before has ended."""

  def run_all() -> None:
    for run in runs:
      jax.block_until_ready(run())

  return run_all


def summarize(
  seconds: dict[str, list[float]], num_seeds: int, dispatches: float
) -> dict[str, dict[str, Any]]:
  """Returns milliseconds for a dispatch of all seeds, and the seeds per hour, of each variant.

  Args:
    seconds: time of a dispatch of all seeds in each round, by variant.
    num_seeds: number of seeds.
    dispatches: number of dispatches of a run.
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
