"""What to do where there is no memory for a batch: which one would fit."""

import dataclasses
import os
from typing import Any

import jax
import jax.numpy as jnp

from cifar_jax import experiment, order


def advice(parts: experiment.Experiment) -> str:
  """One line on what fits; compiles the step for ever smaller batches to find out."""
  size, limit = parts.plan.batch_size, limit_bytes(parts.mesh.devices.flat[0])
  told, less = f'out of memory: train.batch_size is {size}', 'give more sharding.num_devices'
  if parts.plan.seeds > 1:
    told, less = f'{told} and train.seeds {parts.plan.seeds}', f'fewer train.seeds, or {less}'
  while size % (2 * parts.mesh.size) == 0:
    size //= 2
    needed = step_bytes(parts, size)
    if needed <= limit:
      return (
        f'{told}; {size} would fit: its step takes {needed / 2**30:.2g} of {limit / 2**30:.3g} GiB'
        f' (or {less})'
      )
  return f'{told}, and not even {size} would fit; take a smaller model or larger devices'


def limit_bytes(device: jax.Device) -> int:
  """How much memory a device has for us; of a CPU, which does not say, the machine's."""
  stats = device.memory_stats() or {}
  return stats.get('bytes_limit') or os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')


def step_bytes(parts: experiment.Experiment, batch_size: int) -> int:
  """Memory on each device of a training step, as the compiler plans it, with state and data."""
  plan = dataclasses.replace(parts.plan, batch_size=batch_size)
  train = parts.dataset.train
  key = jax.ShapeDtypeStruct(parts.key.shape, parts.key.dtype)
  arrays = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in (train.images, train.labels)]
  epoch_order = jax.eval_shape(lambda k: order.of_epoch(k, jnp.int32(0), len(train)), key)
  step: Any = experiment.train_step(dataclasses.replace(parts, plan=plan), parts.steps_per_dispatch)
  compiled = step.lower(experiment.abstract_state(parts), key, *arrays, epoch_order).compile()
  planned = compiled.memory_analysis()
  return (
    planned.argument_size_in_bytes
    + planned.output_size_in_bytes
    + planned.temp_size_in_bytes
    - planned.alias_size_in_bytes
  )
