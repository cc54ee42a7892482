"""Forms of a computation measured in turn, so that what else is running falls on all alike."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax import augment, losses, optimizer, order, seeds, sharding
from cifar_jax import state as states
from cifar_jax import step as steps

NUM_IMAGES = 5_000

Run = Callable[[], Any]


def training_step(
  model: nn.Module,
  augment_fn: augment.Augment,
  batch_size: int,
  num_steps: int = 1,
  num_seeds: int = 1,
) -> Run:
  """A function that takes the next steps of a model, or of a stack of seeds, on random images."""
  mesh = sharding.make_mesh(num_devices=1)
  tx = optimizer.make(optimizer.make_schedule(1000, 1))
  train_step = steps.make_train_step(
    model=model,
    tx=tx,
    loss_fn=losses.make(),
    augment_fn=augment_fn,
    batch_size=batch_size,
    mesh=mesh,
    num_steps=num_steps,
    num_seeds=num_seeds,
  )
  random = np.random.RandomState(0)
  images = random.randint(0, 256, (NUM_IMAGES, 32, 32, 3), np.uint8)
  labels = random.randint(0, 10, len(images), np.int32)
  key = seeds.root_keys(0, num_seeds)
  make = seeds.each(lambda key: states.create(model, tx, key, (32, 32, 3)), num_seeds, (0,))
  images, labels, state = sharding.replicate((images, labels, jax.jit(make)(key)), mesh)
  # The order is of one epoch; after its end the last indices serve again.
  epoch = order.of_epoch(key, jnp.int32(0), len(images))

  def run() -> Any:
    nonlocal state
    state = train_step(state, key, images, labels, epoch)
    return state.step

  return run


def seconds(forms: dict[str, Run], rounds: int) -> dict[str, list[float]]:
  """Wall time of each form in each round; a first round, which compiles, is not counted."""
  measured: dict[str, list[float]] = {name: [] for name in forms}
  for _ in range(rounds + 1):
    for name, run in forms.items():
      start = time.perf_counter()
      jax.block_until_ready(run())
      measured[name].append(time.perf_counter() - start)
  return {name: values[1:] for name, values in measured.items()}


def quartiles(values: list[float], digits: int) -> list[float]:
  """The first and the third, rounded."""
  first, _, third = statistics.quantiles(values, n=4)
  return [round(first, digits), round(third, digits)]
