"""Measures seconds and accuracy of the speed run, over several seeds.

  python -m benchmarks.speedrun --runs 10
  python -m benchmarks.speedrun --config configs/speedrun.py:widths=16_64_64 --runs 1

The clock is that of cifar10-airbench (`legacy/airbench94.py`). When it starts, the data are on the
device, the net is initialised, and a short first run has compiled everything. It covers the
whitening, the training, and the evaluation of the test images over the views of `augment.tta`, and
stops when their accuracy is known. The accuracy without views is computed after that. Accelerators
get all of it as one program; CPUs get it step by step. Prints a line per run, and writes
`results/speedrun.json`.
"""

import argparse
import dataclasses
import json
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import result_file
from cifar_jax import models
from cifar_jax.augment import views
from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.experiment import metrics
from cifar_jax.experiment.epoch_order import end_of_epoch, epoch_of_step, order_of_epoch
from cifar_jax.experiment.eval_step import (
  Evaluation,
  eval_step,
  evaluate_split,
  make_eval_step,
  split_to_devices,
)
from cifar_jax.experiment.experiment import Experiment, build
from cifar_jax.experiment.state import State, make_fit, make_initial_state
from cifar_jax.experiment.train_step import make_train_step, train_step
from cifar_jax.runtime.devices import jit_step, replicate, replicate_key

RESULT = result_file.FOLDER / 'speedrun.json'
CLOCK = (
  'from the whitening to the accuracy over the views; data on the device, initialisation and '
  'compilation come before'
)


class SpeedRun:
  """The compiled programs of an experiment and its data on the device, for any number of runs."""

  def __init__(self, experiment: Experiment, *, at_once: bool) -> None:
    """Copies the data, and compiles everything in a run that is thrown away.

    Args:
      experiment: what is run.
      at_once: whether a run is one program; otherwise the host takes step by step.
    """
    self.experiment = experiment
    tta = views.make(experiment.augmentation.tta, experiment.augmentation)
    self.initial_state = make_initial_state(experiment)
    self.fit = make_fit(experiment)
    self.train_step = make_train_step(experiment)
    self.eval_step = make_eval_step(experiment)
    self.tta_step = make_eval_step(experiment, tta)
    train, mesh = experiment.dataset.train, experiment.mesh
    self.images, self.labels = replicate((train.images, train.labels), mesh)
    self.fit_images = self.images[: experiment.model.fit_images]
    self.test = split_to_devices(experiment.dataset.test, experiment.batch_size, mesh)
    self.whole_run = make_whole_run(experiment) if at_once else None
    self.run(seed=2**32 - 1, num_steps=3)

  def run(self, seed: int, num_steps: int) -> dict[str, Any]:
    """Trains and evaluates with a seed; returns seconds and accuracies."""
    key = replicate_key(jax.random.key(seed), self.experiment.mesh)
    state = jax.block_until_ready(self.initial_state(key))
    if self.whole_run:
      return self._run_at_once(state, key) | {'seed': seed}
    start = time.perf_counter()
    state = state.replace(batch_stats=self.fit(state.batch_stats, self.fit_images))
    state, epochs = self._train(state, key, num_steps)
    trained = time.perf_counter()
    with_views, _ = evaluate_split(self.tta_step, state, self.test)
    seconds = time.perf_counter() - start
    without_views, _ = evaluate_split(self.eval_step, state, self.test)
    return {
      'seed': seed,
      'seconds': round(seconds, 3),
      'seconds_before_evaluation': round(trained - start, 3),
      'seconds_of_epochs': epochs,
      'accuracy': with_views['accuracy'],
      'accuracy_without_views': without_views['accuracy'],
    }

  def _run_at_once(self, state: State, key: jax.Array) -> dict[str, Any]:
    """Trains and evaluates in one program, and never asks the host in between."""
    assert self.whole_run
    start = time.perf_counter()
    state, evaluation = self.whole_run(state, key, self.images, self.labels, self.test)
    with_views = metrics.read(evaluation.means, self.experiment.dataset.num_classes)
    seconds = time.perf_counter() - start
    without_views, _ = evaluate_split(self.eval_step, state, self.test)
    return {
      'seconds': round(seconds, 4),
      'accuracy': with_views['accuracy'],
      'accuracy_without_views': without_views['accuracy'],
    }

  def _train(self, state: State, key: jax.Array, num_steps: int) -> tuple[State, list[float]]:
    """Takes `num_steps` steps; returns the state and the seconds of each epoch.

    The last epoch may be cut short.
    """
    num_images, batch_size = len(self.labels), self.experiment.batch_size
    step = 0
    epochs: list[float] = []
    while step < num_steps:
      start, epoch = time.perf_counter(), len(epochs)
      epoch_order = order_of_epoch(key, jnp.int32(epoch), num_images)
      end = min(end_of_epoch(epoch, batch_size, num_images), num_steps)
      for _ in range(step, end):
        state = self.train_step(state, key, self.images, self.labels, epoch_order)
      step = end
      jax.block_until_ready(state)
      epochs.append(round(time.perf_counter() - start, 3))
    return state, epochs


def make_whole_run(experiment: Experiment) -> Callable[..., tuple[State, Evaluation]]:
  """Returns a run as one program: whitening, training, and evaluation over the views.

  The length of each loop is known to the compiler, so that a GPU never asks the host.

  Returns:
    `(state, key, images, labels, test) -> (state, evaluation)`, where `test` is a `DeviceSplit`.
    The state passed in is donated.
  """
  batch_size, num_images = experiment.batch_size, len(experiment.dataset.train)
  epochs = jnp.arange(epoch_of_step(experiment.num_steps - 1, batch_size, num_images) + 1)
  views_fn = views.make(experiment.augmentation.tta, experiment.augmentation)
  fit = make_fit(experiment)

  def run(
    state: State,
    key: jax.Array,
    images: jax.Array,
    labels: jax.Array,
    empty: Evaluation,
    test_arrays: tuple[jax.Array, ...],
  ) -> tuple[State, Evaluation]:
    fit_images = images[: experiment.model.fit_images]
    state = dataclasses.replace(state, batch_stats=fit(state.batch_stats, fit_images))
    orders = jax.lax.map(lambda epoch: order_of_epoch(key, epoch, num_images), epochs)

    def take_step(step: jax.Array, state: State) -> State:
      order = jax.tree.map(lambda leaf: leaf[step * batch_size // num_images], orders)
      return train_step(experiment, state, key, images, labels, order)

    def evaluate(_: jax.Array, evaluation: Evaluation) -> Evaluation:
      step = eval_step(
        experiment, views_fn, evaluation, state.params, state.batch_stats, *test_arrays
      )
      return step[0]

    state = jax.lax.fori_loop(0, experiment.num_steps, take_step, state)
    num_batches = len(test_arrays[0]) // batch_size
    return state, jax.lax.fori_loop(0, num_batches, evaluate, empty)

  program = jit_step(run, experiment.mesh)

  def start(state: State, *inputs: Any) -> tuple[State, Evaluation]:
    *others, test = inputs
    arrays = test.images, test.labels, test.size
    return program(state, *others, Evaluation.empty(experiment.mesh), arrays)

  return start


def main() -> None:
  """Measures, prints and writes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--config', default='configs/speedrun.py')
  parser.add_argument('--runs', type=int, default=10)
  parser.add_argument('--output', type=pathlib.Path, default=RESULT)
  arguments, overrides = parser.parse_known_args()
  settings = loading.load(arguments.config)
  override(settings, [*overrides, '--config.sharding.num_devices=1'])
  origin = result_file.origin('speedrun')
  experiment = build(settings)
  on_cpu = experiment.mesh.devices.flat[0].platform == 'cpu'
  speed_run = SpeedRun(experiment, at_once=not on_cpu)
  runs = []
  for seed in range(arguments.runs):
    runs.append(speed_run.run(seed, experiment.num_steps))
    print('  '.join(f'{name} {value}' for name, value in runs[-1].items()), flush=True)
  print(json.dumps(summarize(runs)))
  measured = describe(experiment, settings.model.name) | summarize(runs) | {'runs': runs}
  result_file.write(arguments.output, origin | measured)


def describe(experiment: Experiment, model: str) -> dict[str, Any]:
  """Returns what was run, ready for JSON."""
  return {
    'clock': CLOCK,
    'model': model,
    'num_params': models.num_params(experiment.model),
    'num_epochs': experiment.train_settings.num_epochs,
    'num_steps': experiment.num_steps,
    'batch_size': experiment.batch_size,
    'num_training_images': len(experiment.dataset.train),
    'num_test_images': len(experiment.dataset.test),
    'views': experiment.augmentation.tta,
  }


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
  """Returns means, and standard deviations if there are several runs; ready for JSON."""
  result: dict[str, Any] = {}
  for name in ('seconds', 'accuracy', 'accuracy_without_views'):
    values = [run[name] for run in runs]
    result[f'mean_{name}'] = round(statistics.mean(values), 5)
    if len(values) > 1:
      result[f'std_{name}'] = round(statistics.stdev(values), 5)
  if 'seconds_of_epochs' in runs[0]:
    result['median_seconds_of_an_epoch'] = statistics.median(
      seconds
      for run in runs
      for seconds in run['seconds_of_epochs'][:-1] or run['seconds_of_epochs']
    )
  return result


if __name__ == '__main__':
  main()
