"""Makes experiments on random images, to measure a model's training step without a data set."""

import functools
from typing import Any

import flax.linen as nn
import numpy as np

from cifar_jax import augment
from cifar_jax.augment.statistics import Statistics
from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.config.optimization import LossSettings, OptimizerSettings, ScheduleSettings
from cifar_jax.config.training import CheckpointSettings, TrainSettings
from cifar_jax.data.dataset import Dataset, Split
from cifar_jax.experiment import Experiment, losses
from cifar_jax.experiment.seeds import root_keys
from cifar_jax.optim import optimizer
from cifar_jax.optim.schedules import make_schedule
from cifar_jax.runtime.devices import make_mesh

NUM_CLASSES, NUM_STEPS = 10, 1000
MEAN, STD = (0.5,) * 3, (0.25,) * 3
# Options for a step that is compiled and not run: its machine code is made as quickly as possible.
UNOPTIMIZED: dict[str, Any] = {
  'xla_backend_optimization_level': 0,
  'xla_llvm_disable_expensive_passes': True,
}


def make_experiment(
  model: nn.Module,
  batch_size: int,
  *,
  augmentation: AugmentSettings | None = None,
  num_images: int = 5_000,
  size: int = 32,
  num_seeds: int = 1,
  num_devices: int = 1,
) -> Experiment:
  """Returns the default recipe with a given model, on random training images.

  Args:
    model: a module that returns `NUM_CLASSES` logits.
    batch_size: number of images of a step, over all devices.
    augmentation: section `augment` of a configuration; by default flips and crops.
    num_images: number of training images.
    size: their height and width.
    num_seeds: number of seeds that are trained at once.
    num_devices: number of devices that a batch is split over.
  """
  random = np.random.RandomState(0)
  train = Split(
    random.randint(0, 256, (num_images, size, size, 3), np.uint8),
    random.randint(0, NUM_CLASSES, num_images, np.int32),
  )
  class_names = tuple(map(str, range(NUM_CLASSES)))
  validation = train.take(np.arange(0))
  dataset = Dataset('random', class_names, train, validation, train, MEAN, STD)
  augmentation = augmentation or AugmentSettings()
  schedule = make_schedule(NUM_STEPS, 1, ScheduleSettings())
  optimizer_settings = OptimizerSettings()
  return Experiment(
    train_settings=TrainSettings(batch_size=batch_size, seeds=num_seeds),
    checkpoint_settings=CheckpointSettings(),
    mesh=make_mesh(num_devices),
    dataset=dataset,
    model=model,
    own_net=None,
    loss_fn=losses.make(LossSettings()),
    normalize=functools.partial(augment.normalize, mean=MEAN, std=STD),
    augmentation=augmentation,
    augment_fn=augment.make(augmentation, Statistics(NUM_CLASSES, MEAN, STD)),
    optimizer_settings=optimizer_settings,
    schedule=schedule,
    tx=optimizer.make(schedule, optimizer_settings),
    seeds=tuple(range(num_seeds)),
    key=root_keys(0, num_seeds),
    num_steps=NUM_STEPS,
  )
