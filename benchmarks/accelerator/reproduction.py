"""Stage 7: a paper's recipe from the first step to the result.

The recipe is trained by `python -m cifar_jax.main`. A few of its steps are timed first. If the
whole recipe does not fit into the time, fewer epochs are trained, with the schedule shortened in
proportion; the row says so. A run that is late is stopped, and the row has its last records.
"""

import contextlib
import json
import math
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import result_file
from benchmarks.accelerator.stage import Stage
from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.experiment.epoch_order import order_of_epoch
from cifar_jax.experiment.experiment import Experiment, build
from cifar_jax.experiment.state import initial_state
from cifar_jax.experiment.train_step import make_train_step
from cifar_jax.runs.results import METRICS, read_records
from cifar_jax.runtime.devices import replicate, replicate_key

# Configuration, its full number of epochs, and the number of seeds that are trained at once.
RECIPES = (
  ('configs/resnet.py:depth=20', 182, 1),
  ('configs/wide_resnet.py:depth=16,widen_factor=8', 200, 1),
)
TINY = (('configs/resnet.py:depth=8', 1, 2),)
LEAST_SECONDS = 60.0  # in which a recipe can be compiled and tried
OVERHEAD = 0.4  # share of the time for the start, evaluations, records and the end
STOPPING = 10.0  # seconds that a run has to save and end
DISPATCHES = 10  # of the trial


def measure(stage: Stage) -> None:
  """Adds a row per recipe; one is left out if there is no time for a tenth of its epochs."""
  for config, epochs, seeds in TINY if stage.tiny else RECIPES:
    if stage.seconds_left() < (0.0 if stage.tiny else LEAST_SECONDS):
      stage.add({'config': config, 'left_out': f'{stage.seconds_left():.0f} s were left'})
      continue
    step_seconds, num_steps = trial(_build(config, _overrides(stage, epochs, seeds)))
    needed = step_seconds * num_steps / (1 - OVERHEAD)
    share = min(1.0, stage.seconds_left() / needed)
    row = {
      'config': config,
      'seeds': seeds,
      'trial_step_seconds': step_seconds,
      'epochs_of_recipe': epochs,
    }
    if share < 0.1:
      stage.add(row | {'left_out': f'it needs about {needed:.0f} s'})
      continue
    trained = epochs if share == 1 else max(1, math.floor(share * epochs))
    stage.add(row | train(stage, config, trained, seeds))


def _overrides(stage: Stage, epochs: int, seeds: int) -> list[str]:
  settings = {
    'data.data_dir': stage.data_dir,
    'model.dtype': 'float32' if stage.tiny else 'bfloat16',
    'train.seeds': seeds,
    'train.num_epochs': epochs,
    'train.log_every_steps': 500,
    'checkpoint.every_epochs': 1000,
    'sharding.num_devices': 1,
  }
  if stage.tiny:
    settings |= {'data.images_per_class': 20, 'data.validation_size': 100, 'train.batch_size': 20}
  return [f'--config.{key}={value}' for key, value in settings.items()]


def _build(config: str, overrides: list[str]) -> Experiment:
  settings = loading.load(f'{result_file.ROOT}/{config}')
  override(settings, overrides)
  return build(settings)


def trial(experiment: Experiment) -> tuple[float, int]:
  """Returns the seconds of a step of all seeds, and the number of steps of the recipe.

  The compiled program is the one that the run uses, and comes from the cache then.
  """
  group, mesh = experiment.steps_per_dispatch, experiment.mesh
  train_step = make_train_step(experiment, group)
  train = experiment.dataset.train
  images, labels = replicate((train.images, train.labels), mesh)
  key = replicate_key(experiment.key, mesh)
  order = order_of_epoch(key, jnp.int32(0), len(train))
  state = train_step(initial_state(experiment), key, images, labels, order)
  jax.block_until_ready(state.step)
  start = time.perf_counter()
  for _ in range(DISPATCHES):
    state = train_step(state, key, images, labels, order)
  jax.block_until_ready(state.step)
  return (time.perf_counter() - start) / (DISPATCHES * group), experiment.num_steps


def train(stage: Stage, config: str, epochs: int, seeds: int) -> dict[str, Any]:
  """Runs the command; returns its result, or how it ended."""
  name = config.partition('/')[2].partition('.')[0]
  workdir = stage.scratch / f'reproduction_{name}'
  command = [sys.executable, '-m', 'cifar_jax.main', '--config', f'{result_file.ROOT}/{config}']
  command += ['--workdir', str(workdir), *_overrides(stage, epochs, seeds)]
  start = time.perf_counter()
  row: dict[str, Any] = {'epochs': epochs}
  with subprocess.Popen(command, cwd=result_file.ROOT) as process:
    try:
      process.wait(max(1.0, stage.seconds_left() - STOPPING))
    except subprocess.TimeoutExpired:
      row['error'] = 'the time was over'
      process.terminate()
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOPPING / 2)
      process.kill()
  row |= {'status': process.returncode, 'seconds': round(time.perf_counter() - start, 1)}
  result = workdir / 'result.json'
  if result.exists():
    return row | {'result': json.loads(result.read_text())}
  records = read_records(workdir) if (workdir / METRICS).exists() else []
  return row | {'last_records': {record['split']: record for record in records}}
