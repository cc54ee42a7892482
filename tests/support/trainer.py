"""A small experiment, and a trainer that takes its steps one by one without a workdir."""

import hashlib
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.experiment import metrics
from cifar_jax.experiment.epoch_order import epoch_of_step, order_of_epoch
from cifar_jax.experiment.experiment import Experiment, build
from cifar_jax.experiment.state import initial_state
from cifar_jax.experiment.train_step import TrainStep, make_train_step
from cifar_jax.runtime.devices import replicate, replicated_sharding
from tests.support.paths import ROOT


def build_small(
  data_dir: pathlib.Path, *overrides: str, devices: int = 1, dtype: str = 'float32'
) -> Experiment:
  """Builds an experiment of a ResNet-8 on the small CIFAR-10, in batches of 16.

  Args:
    data_dir: the directory of the small CIFAR-10.
    *overrides: `--config.SECTION.KEY=VALUE` arguments.
    devices: the key `sharding.num_devices`.
    dtype: the key `model.dtype`.
  """
  config = loading.load(str(ROOT / 'configs/resnet.py') + ':depth=8,schedule=cosine,epochs=8')
  override(
    config,
    [
      f'--config.data.data_dir={data_dir}',
      '--config.data.validation_size=40',
      '--config.train.batch_size=16',
      '--config.schedule.learning_rate=0.05',
      '--config.augment.cutout=8',
      f'--config.sharding.num_devices={devices}',
      f'--config.model.dtype={dtype}',
      *overrides,
    ],
  )
  return build(config)


class Trainer:
  """Takes training steps of an experiment.

  Attributes:
    experiment: the experiment.
    step: the jitted training step.
    state: the state after the steps so far.
    data: the training images and labels, replicated over the devices.
    key: the root key, replicated over the devices.
  """

  def __init__(self, experiment: Experiment, step: TrainStep | None = None) -> None:
    """Computes the initial state.

    Args:
      experiment: the experiment.
      step: a step from `make_train_step`, to share its compiled program; None for a new one.
    """
    self.experiment = experiment
    self.step: Any = step or make_train_step(experiment)
    self.state = initial_state(experiment)
    train = experiment.dataset.train
    self.data = replicate((train.images, train.labels), experiment.mesh)
    self.key = jax.device_put(experiment.key, replicated_sharding(experiment.mesh))

  def run(self, num_steps: int) -> np.ndarray:
    """Takes steps from the current state.

    Args:
      num_steps: number of calls of `step`, which may take several steps each.

    Returns:
      The loss of each step, float64 `[num_steps]`, if a call takes one step.
    """
    num_images = len(self.experiment.dataset.train)
    losses = []
    for _ in range(num_steps):
      count = self.state.num_steps
      epoch = epoch_of_step(count, self.experiment.batch_size, num_images)
      epoch_order = order_of_epoch(self.key, jnp.int32(epoch), num_images)
      before = self._mean_loss() * count if count else 0.0
      self.state = self.step(self.state, self.key, *self.data, epoch_order)
      losses.append(self._mean_loss() * (count + 1) - before)
    return np.array(losses)

  def _mean_loss(self) -> float:
    return metrics.read(self.state.means, self.experiment.dataset.num_classes)['loss']


def digest(state: Any) -> str:
  """A checksum over paths, dtypes, shapes and all bits of a tree of arrays."""
  sha = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    sha.update(f'{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}'.encode())
    sha.update(np.asarray(leaf).tobytes())
  return sha.hexdigest()
