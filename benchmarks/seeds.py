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
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax import (
  augment,
  backend,
  losses,
  models,
  optimizer,
  order,
  provenance,
  seeds,
  sharding,
)
from cifar_jax import state as states
from cifar_jax import step as steps

RESULT = pathlib.Path(__file__).parent / 'results' / 'seeds.json'
STATISTICS = augment.Statistics(num_classes=10, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
IMAGES = 50_000  # of CIFAR-10, in an epoch
Run = Callable[[], Any]


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
  seconds = interleaved(forms, arguments.rounds)
  steps_of_a_run = arguments.epochs * IMAGES / arguments.batch_size
  rows = summary(seconds, arguments.seeds, steps_of_a_run / arguments.steps_per_dispatch)
  for name, row in rows.items():
    print(f'{name:20}' + '  '.join(f'{key} {value}' for key, value in row.items()))
  ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
  ratio = {'median': round(statistics.median(ratios), 3), 'quartiles': quartiles(ratios, 3)}
  print(
    f'at once, {arguments.seeds} seeds take as long as {ratio["median"]} of one by one: {ratio}'
  )
  measured = {'rows': rows, 'times_the_seeds_per_hour': ratio}
  settings = {name: value for name, value in vars(arguments).items() if name != 'output'}
  arguments.output.write_text(json.dumps(told | settings | measured, indent=2) + '\n')


def trainer(arguments: argparse.Namespace, num_seeds: int) -> Run:
  """A function that takes the next steps of a stack of seeds, on random images."""
  mesh = sharding.make_mesh(num_devices=1)
  model = models.create(arguments.model, dtype=arguments.dtype)
  tx = optimizer.make(optimizer.make_schedule(1000, 1))
  train_step = steps.make_train_step(
    model=model,
    tx=tx,
    loss_fn=losses.make(),
    augment_fn=augment.make(augment.Settings(), STATISTICS),
    batch_size=arguments.batch_size,
    mesh=mesh,
    num_steps=arguments.steps_per_dispatch,
    num_seeds=num_seeds,
  )
  random = np.random.RandomState(0)
  # The order is of one epoch, whose every step begins in it: the last indices serve again.
  images = random.randint(0, 256, (IMAGES // 10, 32, 32, 3), np.uint8)
  labels = random.randint(0, 10, len(images), np.int32)
  key = seeds.root_keys(0, num_seeds)
  make = seeds.each(lambda key: states.create(model, tx, key, (32, 32, 3)), num_seeds, (0,))
  images, labels, state = sharding.replicate((images, labels, jax.jit(make)(key)), mesh)
  epoch = order.of_epoch(key, jnp.int32(0), len(images))

  def run() -> Any:
    nonlocal state
    state = train_step(state, key, images, labels, epoch)
    return state.step

  return run


def in_turn(runs: list[Run]) -> Run:
  """A function that calls the others, each when the one before has ended."""

  def run() -> None:
    for each in runs:
      jax.block_until_ready(each())

  return run


def interleaved(forms: dict[str, Run], rounds: int) -> dict[str, list[float]]:
  """Seconds of each form in each round; the first round compiles and is not counted."""
  seconds: dict[str, list[float]] = {name: [] for name in forms}
  for _ in range(rounds + 1):
    for name, run in forms.items():
      start = time.perf_counter()
      jax.block_until_ready(run())
      seconds[name].append(time.perf_counter() - start)
  return {name: values[1:] for name, values in seconds.items()}


def quartiles(values: list[float], digits: int) -> list[float]:
  """The first and the third."""
  first, _, third = statistics.quantiles(values, n=4)
  return [round(first, digits), round(third, digits)]


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
      'quartiles': quartiles([1000 * value for value in values], 2),
      'seeds_per_hour': round(statistics.median(per_hour), 3),
      'seeds_per_hour_quartiles': quartiles(per_hour, 3),
    }
  return rows


if __name__ == '__main__':
  main()
