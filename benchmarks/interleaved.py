"""Measures variants of a computation in turn, so that other load on the machine hits all alike."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cifar_jax.experiment import Experiment
from cifar_jax.experiment.epoch_order import order_of_epoch
from cifar_jax.experiment.state import State, initial_state
from cifar_jax.experiment.train_step import make_train_step
from cifar_jax.runtime.devices import replicate

Run = Callable[[], Any]


def training_step(experiment: Experiment, num_steps: int = 1) -> Run:
  """Returns a function that takes the next `num_steps` steps of an experiment.

  Its result is the whole state, which the next call donates.
  """
  train_step = make_train_step(experiment, num_steps)
  train, key = experiment.dataset.train, experiment.key
  images, labels = replicate((train.images, train.labels), experiment.mesh)
  state = initial_state(experiment)
  # The order is that of one epoch; after its end the last indices are used again.
  epoch_order = order_of_epoch(key, jnp.int32(0), len(train))

  def run() -> State:
    nonlocal state
    state = train_step(state, key, images, labels, epoch_order)
    return state

  return run


def seconds(variants: dict[str, Run], rounds: int) -> dict[str, list[float]]:
  """Returns the wall time of each variant in each round.

  A first round, in which the variants are compiled, is not counted.
  """
  times: dict[str, list[float]] = {name: [] for name in variants}
  for _ in range(rounds + 1):
    for name, run in variants.items():
      start = time.perf_counter()
      jax.block_until_ready(run())
      times[name].append(time.perf_counter() - start)
  return {name: values[1:] for name, values in times.items()}


def quartiles(values: list[float], digits: int) -> list[float]:
  """Returns the first and the third quartile, rounded."""
  first, _, third = statistics.quantiles(values, n=4)
  return [round(first, digits), round(third, digits)]
