"""Advice for a run that is out of memory: a batch size that would fit."""

import dataclasses
from typing import Any

import jax

from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.train_step import abstract_inputs, make_train_step
from cifar_jax.runtime import memory


def advice(experiment: Experiment) -> str:
  """One line with the largest batch size that fits.

  Halves the batch size and compiles the training step until it fits.
  """
  size, limit = experiment.batch_size, limit_bytes(experiment.mesh.devices.flat[0])
  problem = f'out of memory: train.batch_size is {size}'
  remedy = 'a larger train.accumulation, or more sharding.num_devices'
  if experiment.num_seeds > 1:
    problem = f'{problem} and train.seeds {experiment.num_seeds}'
    remedy = f'fewer train.seeds, {remedy}'
  num_parts = experiment.mesh.size * experiment.train_settings.accumulation
  while size >= 2 * num_parts:
    size = size // num_parts // 2 * num_parts
    needed = step_bytes(experiment, size)
    if needed <= limit:
      return (
        f'{problem}; {size} would fit: its step takes {needed / 2**30:.2g} of '
        f'{limit / 2**30:.3g} GiB (or {remedy})'
      )
  return (
    f'{problem}, and not even {size} would fit; take {remedy}, a smaller model, a smaller '
    'data.image_size or larger devices'
  )


def limit_bytes(device: jax.Device) -> int:
  """The memory of a device that JAX may use, in bytes; for a CPU the memory of the machine."""
  stats = device.memory_stats() or {}  # a CPU has none
  return stats.get('bytes_limit') or memory.host_bytes()


def step_bytes(experiment: Experiment, batch_size: int) -> int:
  """The memory of a training step on each device, with state and data, in bytes.

  The number is the compiler's plan; nothing is computed.
  """
  settings = dataclasses.replace(experiment.train_settings, batch_size=batch_size)
  resized = dataclasses.replace(experiment, train_settings=settings)
  step: Any = make_train_step(resized, experiment.steps_per_dispatch)
  plan = step.lower(*abstract_inputs(resized)).compile().memory_analysis()
  return (
    plan.argument_size_in_bytes
    + plan.output_size_in_bytes
    + plan.temp_size_in_bytes
    - plan.alias_size_in_bytes
  )
