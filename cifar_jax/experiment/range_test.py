"""The learning-rate range test: the training loss while the rate rises from step to step.

Smith 2017, arXiv 1506.01186, section 3.3. Here the rate rises by the same factor at each step, and
the test ends early once the loss has diverged.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from cifar_jax.errors import InputError
from cifar_jax.experiment import metrics
from cifar_jax.experiment.epoch_order import epoch_of_step, order_of_epoch
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import initial_state
from cifar_jax.experiment.train_step import make_reset_means, make_train_step
from cifar_jax.optim import optimizer
from cifar_jax.optim.schedules import Schedule
from cifar_jax.runtime.devices import replicate, replicate_key, wait_on_cpu

SMOOTHING = 0.9  # decay per step of the mean of the losses
DIVERGED = 4.0  # multiple of its lowest value at which the mean ends the test
_SPAN = 10  # steps of which the mean consists, about 1 / (1 - SMOOTHING)


class Point(NamedTuple):
  """A step of the test.

  Attributes:
    rate: the learning rate of the step.
    loss: the mean loss of its batch before the step, in nats; for several seeds their mean.
    smoothed: bias-corrected exponential moving average of the losses so far, decay `SMOOTHING`.
  """

  rate: float
  loss: float
  smoothed: float


class Finding(NamedTuple):
  """What the test says.

  Attributes:
    steepest: the rate in the middle of the ten steps over which the smoothed loss falls most.
    lowest: the rate at which the smoothed loss is lowest.
  """

  steepest: float
  lowest: float


def with_rising_rate(
  experiment: Experiment, first: float, last: float, num_steps: int
) -> Experiment:
  """The experiment with a rate that rises from `first` to `last`, in place of its schedule."""
  ratio = last / first
  rate_fn = lambda step: first * ratio ** (step / (num_steps - 1))  # noqa: E731
  schedule = Schedule(rate_fn, optax.with_extra_args_support(optax.identity()), num_steps)
  frozen = experiment.init_settings.frozen_names
  tx = optimizer.make(schedule, experiment.optimizer_settings, frozen)
  return dataclasses.replace(experiment, schedule=schedule, tx=tx, num_steps=num_steps)


def measure(experiment: Experiment, first: float, last: float, num_steps: int) -> Iterator[Point]:
  """Trains from the initial weights with a rising rate, and yields each step.

  Args:
    experiment: what to train. Its schedule does not count.
    first: the rate of the first step, above 0.
    last: the rate of the last step, above `first`.
    num_steps: number of steps, at least 2; there are fewer points where the loss diverges.
  """
  rising = with_rising_rate(experiment, first, last, num_steps)
  train_step, reset_means = make_train_step(rising), make_reset_means(rising.mesh)
  train = rising.dataset.train
  images, labels = replicate((train.images, train.labels), rising.mesh)
  key, state = replicate_key(rising.key, rising.mesh), initial_state(rising)
  total, best = 0.0, math.inf
  last_epoch = -1
  for step in range(num_steps):
    epoch = epoch_of_step(step, rising.batch_size, len(train))
    if epoch != last_epoch:
      order, last_epoch = order_of_epoch(key, jnp.int32(epoch), len(train)), epoch
    state = train_step(state, key, images, labels, order)
    wait_on_cpu(state.step)
    loss = metrics.read(state.means, rising.dataset.num_classes)['loss']
    state = reset_means(state)
    total = SMOOTHING * total + (1 - SMOOTHING) * loss
    smoothed = total / (1 - SMOOTHING ** (step + 1))
    best = min(best, smoothed)
    if not smoothed <= DIVERGED * best:  # also where it is not finite
      return
    yield Point(float(rising.schedule.learning_rate_fn(step)), loss, smoothed)


def find(points: Sequence[Point]) -> Finding:
  """What the points say of the learning rate. The mean of the first few losses does not count.

  Raises:
    InputError: the loss did not fall, so that they say nothing.
  """
  smoothed = np.array([point.smoothed for point in points[_SPAN:]])
  lowest = int(np.argmin(smoothed)) if len(smoothed) else 0
  falls = smoothed[: lowest + 1 - _SPAN] - smoothed[_SPAN : lowest + 1] if lowest >= _SPAN else []
  if not np.any(np.array(falls) > 0):
    raise InputError('the loss did not fall: begin the range test with a lower rate')
  middle = int(np.argmax(falls)) + _SPAN // 2
  return Finding(points[_SPAN + middle].rate, points[_SPAN + lowest].rate)
