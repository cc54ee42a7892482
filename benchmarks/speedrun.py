"""The speed run against the clock: seconds and accuracy, the mean of several seeds.

  python benchmarks/speedrun.py --runs 10
  python benchmarks/speedrun.py --config configs/speedrun.py:widths=16_64_64 --runs 1

The clock is cifar10-airbench's (`legacy/airbench94.py`). It starts with the data on the device, the
net initialised and everything compiled, which a first, short run sees to; it runs while the
whitening is computed, while the net is trained, and while the test images are evaluated over the
views of `augment.tta`; it stops when their accuracy is known. The accuracy without views is found
after that. Prints a line a run, and writes `results/speedrun.json`.
"""

import argparse
import dataclasses
import json
import pathlib
import shlex
import statistics
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

from cifar_jax import backend, config, experiment, models, order, provenance, sharding
from cifar_jax import state as states
from cifar_jax.augment import views
from cifar_jax.placed import evaluate, place

RESULT = pathlib.Path(__file__).parent / 'results' / 'speedrun.json'
CLOCK = (
  'from the whitening to the accuracy over the views; data on the device, initialisation and '
  'compilation come before'
)


class Race:
  """The compiled programs of an experiment and its data on the device, for any number of runs."""

  def __init__(self, parts: experiment.Experiment) -> None:
    """Copies the data, and compiles everything by a run of a few steps that is thrown away."""
    self.parts = parts
    tta = views.make(parts.augmentation.tta, parts.augmentation)
    self.fit = experiment.make_fit(parts)
    self.train_step = experiment.train_step(parts)
    self.eval_step = experiment.eval_step(parts)
    self.tta_step = experiment.eval_step(parts, tta)
    train, mesh = parts.dataset.train, parts.mesh
    self.images, self.labels = sharding.replicate((train.images, train.labels), mesh)
    self.fit_images = self.images[: parts.model.fit_images]
    self.test = place(parts.dataset.test, parts.plan.batch_size, mesh)
    self.run(seed=2**32 - 1, num_steps=3)

  def run(self, seed: int, num_steps: int) -> dict[str, Any]:
    """Seconds and accuracies of the run of a seed."""
    parts = dataclasses.replace(self.parts, key=jax.random.key(seed))
    key = sharding.replicate_key(parts.key, parts.mesh)
    state = jax.block_until_ready(experiment.initial_state(parts))
    start = time.perf_counter()
    state = state.replace(batch_stats=self.fit(state.batch_stats, self.fit_images))
    state, epochs = self._train(state, key, num_steps)
    trained = time.perf_counter()
    with_views, _ = evaluate(self.tta_step, state, self.test)
    seconds = time.perf_counter() - start
    alone, _ = evaluate(self.eval_step, state, self.test)
    return {
      'seed': seed,
      'seconds': round(seconds, 3),
      'seconds_before_evaluation': round(trained - start, 3),
      'seconds_of_epochs': epochs,
      'accuracy': with_views['accuracy'],
      'accuracy_without_views': alone['accuracy'],
    }

  def _train(
    self, state: states.State, key: jax.Array, num_steps: int
  ) -> tuple[states.State, list[float]]:
    """The state after so many steps, and the seconds of each epoch, of which the last is cut."""
    num_images, batch_size = len(self.labels), self.parts.plan.batch_size
    step, epochs = 0, []
    while step < num_steps:
      start, epoch = time.perf_counter(), len(epochs)
      epoch_order = order.of_epoch(key, jnp.int32(epoch), num_images)
      end = min(order.end_of_epoch(epoch, batch_size, num_images), num_steps)
      for _ in range(step, end):
        state = self.train_step(state, key, self.images, self.labels, epoch_order)
      step = end
      jax.block_until_ready(state)
      epochs.append(round(time.perf_counter() - start, 3))
    return state, epochs


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--config', default='configs/speedrun.py')
  parser.add_argument('--runs', type=int, default=10)
  parser.add_argument('--output', type=pathlib.Path, default=RESULT)
  arguments, overrides = parser.parse_known_args()
  backend.prepare()
  settings = config.load(arguments.config)
  config.override(settings, [*overrides, '--config.sharding.num_devices=1'])
  told: dict[str, Any] = provenance.describe(1)
  told['command'] = shlex.join(['python', 'benchmarks/speedrun.py', *sys.argv[1:]])
  parts = experiment.build(settings)
  race = Race(parts)
  runs = []
  for seed in range(arguments.runs):
    runs.append(race.run(seed, parts.num_steps))
    print('  '.join(f'{name} {value}' for name, value in runs[-1].items()), flush=True)
  print(json.dumps(summary(runs)))
  told |= facts(parts, settings.model.name) | summary(runs) | {'runs': runs}
  arguments.output.write_text(json.dumps(told, indent=2) + '\n')


def facts(parts: experiment.Experiment, model: str) -> dict[str, Any]:
  """What was run, ready for JSON."""
  return {
    'clock': CLOCK,
    'model': model,
    'num_params': models.num_params(parts.model),
    'num_epochs': parts.plan.num_epochs,
    'num_steps': parts.num_steps,
    'batch_size': parts.plan.batch_size,
    'num_training_images': len(parts.dataset.train),
    'num_test_images': len(parts.dataset.test),
    'views': parts.augmentation.tta,
  }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
  """Means, and standard deviations where there are several runs; ready for JSON."""
  told: dict[str, Any] = {}
  for name in ('seconds', 'accuracy', 'accuracy_without_views'):
    values = [run[name] for run in runs]
    told[f'mean_{name}'] = round(statistics.mean(values), 5)
    if len(values) > 1:
      told[f'std_{name}'] = round(statistics.stdev(values), 5)
  told['median_seconds_of_an_epoch'] = statistics.median(
    seconds for run in runs for seconds in run['seconds_of_epochs'][:-1] or run['seconds_of_epochs']
  )
  return told


if __name__ == '__main__':
  main()
