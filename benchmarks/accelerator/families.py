"""Stage 4: ten steps of a member of every family, in float32 and bfloat16.

The steps use one batch of real images again and again, so that the loss must fall. Programs are
traced and compiled in several threads: the seconds of each are those beside the others.
"""

import concurrent.futures
import dataclasses
import os
import time
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks import first_steps
from benchmarks.accelerator.stage import Stage, reason
from cifar_jax import data, models
from cifar_jax.config.dataset import DataSettings
from cifar_jax.experiment import Experiment, metrics
from cifar_jax.experiment.epoch_order import order_of_epoch
from cifar_jax.experiment.state import State, initial_state
from cifar_jax.experiment.train_step import abstract_inputs, make_reset_means, make_train_step
from cifar_jax.runtime.devices import replicate

STEPS, THREADS = 10, 8
RATE = 0.2  # of the learning rate of `first_steps`, so that a loss falls from the first steps on
NETS = first_steps.NETS | {'speedrun': ('speed_net_64_256_256', {}, 0.5)}
# Smaller members, by family, to compile on a CPU; and fields of such members.
TINY = {
  'plain_net': 'plain8',
  'resnet': 'resnet8',
  'preact_resnet': 'preact_resnet8',
  'stochastic_depth': 'resnet8',
  'wide_resnet': 'wrn_10_1',
  'se_resnet': 'se_resnet8',
  'densenet': 'densenet_bc_10_12',
  'fractalnet': 'fractalnet5_w16',
  'pyramidnet': 'pyramidnet8_a24',
  'shake_shake': 'shake_shake_8_2x16d',
  'deformable': 'deformable_resnet8',
  'speedrun': 'speed_net_16_16_16',
}
# Families that also take their steps on a CPU in five minutes. The others are only traced there;
# `first_steps` trains all of them.
TINY_STEPS = ('resnet', 'shake_shake', 'speedrun')
TINY_FIELDS: dict[str, dict[str, Any]] = {'efficientnet': {'width': 0.25, 'depth': 0.1}}


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A net that is ready for its steps.

  Attributes:
    row: what is known before the steps.
    train_step: the compiled step, a function of the state alone.
    reset: empties the means of a state.
    state: the state before the first step.
    num_classes: number of classes of the data.
  """

  row: dict[str, Any]
  train_step: Any
  reset: Any
  state: State
  num_classes: int


def measure(stage: Stage) -> None:
  """Adds a row per family and dtype, in the order in which they are compiled."""
  dtypes = ('bfloat16', 'float32')
  # On a CPU one family shows that bfloat16 passes.
  pairs = [
    (family, dtype)
    for dtype in dtypes
    for family in NETS
    if not stage.tiny or dtype == 'float32' or family == 'resnet'
  ]
  data.load(
    DataSettings('cifar10', data_dir=str(stage.data_dir), validation_size=0)
  )  # prepares the data, once
  if stage.tiny:
    for family, dtype in pairs:
      if family not in TINY_STEPS:
        stage.add(trace(stage, family, dtype))
    pairs = [pair for pair in pairs if pair[0] in TINY_STEPS]
  with concurrent.futures.ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
    futures = {pool.submit(prepare, stage, *pair): pair for pair in pairs}
    for future in concurrent.futures.as_completed(futures):
      family, dtype = futures[future]
      try:
        stage.add(take_steps(future.result()))
      except Exception as error:  # one family does not stop the others
        stage.add({'family': family, 'dtype': dtype, 'error': reason(error)})


def trace(stage: Stage, family: str, dtype: str) -> dict[str, Any]:
  """Returns a row of a family that is built and lowered, and takes no step."""
  experiment = make_experiment(stage, family, dtype)
  start = time.perf_counter()
  step: Any = make_train_step(experiment)
  step.lower(*abstract_inputs(experiment))
  seconds = round(time.perf_counter() - start, 1)
  return {'family': family, 'dtype': dtype, 'only_traced': True, 'trace_seconds': seconds}


def make_experiment(stage: Stage, family: str, dtype: str) -> Experiment:
  """Returns the experiment of a family's member, on a training split of one batch."""
  name, fields, rate = NETS[family]
  if stage.tiny:
    name, fields = TINY.get(family, name), fields | TINY_FIELDS.get(family, {})
  batch_size = 4 if stage.tiny else 128
  experiment = first_steps.make_experiment(
    family,
    {'name': name, 'dtype': dtype, **fields},
    RATE * rate,
    stage.data_dir,
    batch_size,
    validation_size=0,
  )
  train = experiment.dataset.train.take(np.arange(batch_size))
  dataset = dataclasses.replace(experiment.dataset, train=train)
  return dataclasses.replace(experiment, dataset=dataset)


def prepare(stage: Stage, family: str, dtype: str) -> Prepared:
  """Builds, initialises, traces and compiles the member of a family."""
  experiment = make_experiment(stage, family, dtype)
  train, batch_size = experiment.dataset.train, experiment.batch_size
  start = time.perf_counter()
  state = initial_state(experiment)
  initialised_at = time.perf_counter()
  images, labels = replicate((train.images, train.labels), experiment.mesh)
  order = order_of_epoch(experiment.key, jnp.int32(0), batch_size)
  inputs = experiment.key, images, labels, order
  step: Any = make_train_step(experiment)
  lowered = step.lower(state, *inputs)
  traced_at = time.perf_counter()
  compiled = lowered.compile()
  row = {
    'family': family,
    'dtype': dtype,
    'batch_size': batch_size,
    'num_params': models.count(state.params),
    'init_seconds': round(initialised_at - start, 1),
    'trace_seconds': round(traced_at - initialised_at, 1),
    'compile_seconds': round(time.perf_counter() - traced_at, 1),
  }
  reset = make_reset_means(experiment.mesh)
  train_step = lambda state: compiled(state, *inputs)  # noqa: E731
  return Prepared(row, train_step, reset, state, experiment.dataset.num_classes)


def take_steps(prepared: Prepared) -> dict[str, Any]:
  """Returns the row with the losses of the first and of the last step, in nats."""
  state, losses = prepared.state, []
  for _ in range(STEPS):
    state = prepared.train_step(state)
    losses.append(metrics.read(state.means, prepared.num_classes)['loss'])
    state = prepared.reset(state)
  return prepared.row | {
    'first_loss': round(losses[0], 4),
    'last_loss': round(losses[-1], 4),
    'finite': bool(np.all(np.isfinite(losses))),
    'falls': losses[-1] < losses[0],
  }
