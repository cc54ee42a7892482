"""A configuration made into an experiment: training and every analysis start here."""

import dataclasses
import functools
import math
from fractions import Fraction

import flax.linen as nn
import jax
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from cifar_jax import augment, data, models
from cifar_jax.augment import Normalize, views
from cifar_jax.augment.statistics import Statistics
from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.config.dataset import DataSettings
from cifar_jax.config.initialization import InitSettings
from cifar_jax.config.optimization import LossSettings, OptimizerSettings, ScheduleSettings
from cifar_jax.config.training import (
  STEPS_PER_DISPATCH_ON_ACCELERATORS,
  CheckpointSettings,
  ShardingSettings,
  TrainSettings,
)
from cifar_jax.data import pixels
from cifar_jax.data.dataset import Dataset
from cifar_jax.errors import InputError
from cifar_jax.experiment import losses
from cifar_jax.experiment.seeds import root_keys, select_seed
from cifar_jax.models import own_net
from cifar_jax.optim import optimizer
from cifar_jax.optim.schedules import Schedule, make_schedule
from cifar_jax.runtime import xla_flags
from cifar_jax.runtime.devices import check_batch_size, make_mesh

MAX_STEPS = 2**30 - 1  # `State.first_nonfinite` holds 2 * step + 1 as an int32


@dataclasses.dataclass(frozen=True)
class Experiment:
  """The parts of a run, all determined by its configuration.

  Attributes:
    train_settings: the section `train`: epochs, batch size, seeds.
    checkpoint_settings: the section `checkpoint`.
    mesh: the devices that a batch is split over.
    dataset: the images as bytes, on the host.
    model: the Flax module, a `models.classifier.Classifier`.
    own_net: the model, if it is of the user's own code; None for a model of the package.
    loss_fn: `(logits, labels) -> float32 [batch]`.
    normalize: uint8 images to float32, by the statistics of the training split.
    augmentation: the section `augment`.
    augment_fn: `(key, images, labels) -> (images, labels)`, normalisation included.
    optimizer_settings: the section `optimizer`.
    schedule: the learning rate.
    tx: the optimizer.
    seeds: the seed of the run, or all seeds that it trains at once.
    key: the root key; `[seeds]` for several seeds.
    num_steps: number of steps of the run.
    init_settings: the section `init`: what the run begins with, and what is frozen.
    schedule_start: the step at which the schedule begins: 0, or the end of an earlier leg.
  """

  train_settings: TrainSettings
  checkpoint_settings: CheckpointSettings
  mesh: Mesh
  dataset: Dataset
  model: nn.Module
  own_net: own_net.OwnNet | None
  loss_fn: losses.Loss
  normalize: Normalize
  augmentation: AugmentSettings
  augment_fn: augment.Augment
  optimizer_settings: OptimizerSettings
  schedule: Schedule
  tx: optax.GradientTransformationExtraArgs
  seeds: tuple[int, ...]
  key: jax.Array
  num_steps: int
  init_settings: InitSettings = dataclasses.field(default_factory=InitSettings)
  schedule_start: int = 0

  @property
  def batch_size(self) -> int:
    """Images of a step, over all devices."""
    return self.train_settings.batch_size

  @property
  def num_seeds(self) -> int:
    """Number of seeds that are trained at once."""
    return len(self.seeds)

  @property
  def image_shape(self) -> tuple[int, ...]:
    """Height, width and channels."""
    return self.dataset.test.images.shape[1:]

  @property
  def steps_per_dispatch(self) -> int:
    """Steps of one call of the compiled program; chosen by platform where the setting is 0."""
    on_cpu = self.mesh.devices.flat[0].platform == 'cpu'
    chosen = 1 if on_cpu else STEPS_PER_DISPATCH_ON_ACCELERATORS
    return self.train_settings.steps_per_dispatch or chosen


def check_config(config: ConfigDict) -> None:
  """Raises InputError for any fault of a configuration that shows without data or devices."""
  xla_flags.refuse_other_dtypes()
  train_settings = TrainSettings(**config.train)
  if not 0 <= config.seed <= 2**32 - train_settings.seeds:
    last = f'the last of the {n} train.seeds from there ' if (n := train_settings.seeds) > 1 else ''
    raise InputError(f'seed is {config.seed}; it must be at least 0 and {last}below {2**32}')
  CheckpointSettings(**config.checkpoint)
  ShardingSettings(**config.sharding)
  data_settings = DataSettings(**config.data)
  augmentation = AugmentSettings(**config.augment)
  views.make(augmentation.tta, augmentation)
  InitSettings(**config.init)
  LossSettings(**config.loss)
  optimizer_settings = OptimizerSettings(**config.optimizer)
  if 'num_classes' in config.model:
    raise InputError('model.num_classes is the number of classes of the data: leave it out')
  models.create(**config.model)
  schedule_settings = ScheduleSettings(**config.schedule)
  if schedule_settings.needs_validation and not data_settings.validation_size:
    raise InputError(
      'schedule.monitor is validation_accuracy, but data.validation_size is 0: hold out images, or '
      'set schedule.monitor to training_loss'
    )
  if train_settings.patience and not data_settings.validation_size:
    raise InputError(
      f'train.patience is {train_settings.patience}, but data.validation_size is 0: hold out '
      'images, whose accuracy says when to stop'
    )
  if train_settings.patience and optimizer_settings.lookahead_steps:
    raise InputError(
      'train.patience may end a run between two averages of optimizer.lookahead_steps, which plans '
      'for the whole run: set one of them to 0'
    )
  if optimizer_settings.lookahead_steps and optimizer_settings.ema_decay:
    raise InputError('a run keeps one average: set optimizer.lookahead_steps or .ema_decay to 0')
  # The data are not read yet, but any number of steps shows whether the values make sense.
  make_schedule(1000, train_settings.num_epochs, schedule_settings)


def build(config: ConfigDict, dataset: Dataset | None = None) -> Experiment:
  """Makes the experiment of a configuration. It writes nothing and computes nothing on a device.

  Args:
    config: the configuration.
    dataset: its data set, if that need not be loaded: `data.dataset.without_images` for a net that
      is not trained further.

  Raises:
    InputError: a section has an impossible value, or the data cannot be loaded. Faults that are
      quick to find are reported before the data are read.
  """
  check_config(config)
  train_settings = TrainSettings(**config.train)
  mesh = make_mesh(config.sharding.num_devices)
  check_batch_size(train_settings.batch_size, mesh, train_settings.accumulation)
  augmentation = AugmentSettings(**config.augment)
  dataset = dataset or data.load(DataSettings(**config.data))
  _check_images(config, dataset)
  model = models.create(num_classes=dataset.num_classes, **config.model)
  augment_fn = augment.make(augmentation, augment_statistics(dataset, augmentation))
  _check_augmentation(augment_fn, dataset)
  num_steps = _num_steps(train_settings, len(dataset.train))
  schedule_settings = ScheduleSettings(**config.schedule)
  schedule = make_schedule(max(1, num_steps), train_settings.num_epochs, schedule_settings)
  optimizer_settings = OptimizerSettings(**config.optimizer)
  init_settings = InitSettings(**config.init)
  return Experiment(
    train_settings=train_settings,
    checkpoint_settings=CheckpointSettings(**config.checkpoint),
    mesh=mesh,
    dataset=dataset,
    model=model,
    own_net=own_net.of(config.model.name, model, dataset.test.images.shape[1:]),
    loss_fn=losses.make(LossSettings(**config.loss)),
    normalize=functools.partial(augment.normalize, mean=dataset.mean, std=dataset.std),
    augmentation=augmentation,
    augment_fn=augment_fn,
    optimizer_settings=optimizer_settings,
    schedule=schedule,
    tx=optimizer.make(schedule, optimizer_settings, init_settings.frozen_names),
    seeds=tuple(range(config.seed, config.seed + train_settings.seeds)),
    key=root_keys(config.seed, train_settings.seeds),
    num_steps=num_steps,
    init_settings=init_settings,
  )


def augment_statistics(dataset: Dataset, settings: AugmentSettings) -> Statistics:
  """The statistics of a data set that augmentation needs; the covariance only if it is used."""
  statistics = Statistics(dataset.num_classes, dataset.mean, dataset.std)
  if not settings.pca_noise:
    return statistics
  return statistics._replace(covariance=pixels.covariance(dataset.train.images))


def for_one_seed(experiment: Experiment, index: int) -> Experiment:
  """The experiment of one of the seeds that are trained at once, as if it were alone."""
  return dataclasses.replace(
    experiment,
    train_settings=dataclasses.replace(experiment.train_settings, seeds=1),
    seeds=(experiment.seeds[index],),
    key=select_seed(experiment.key, index),
  )


def _num_steps(settings: TrainSettings, num_images: int) -> int:
  """The number of steps of a run; raises InputError where they are too many."""
  if num_images and settings.batch_size > num_images:
    raise InputError(
      f'train.batch_size is {settings.batch_size}; set it to at most {num_images}, the number of '
      'training images'
    )
  num_epochs = Fraction(str(settings.num_epochs))  # as written: 1.1 as a float is a little more
  num_steps = math.ceil(num_epochs * num_images / settings.batch_size)
  if num_steps > MAX_STEPS:
    raise InputError(
      f'train.num_epochs is {settings.num_epochs}, which makes {num_steps:,} steps; there can be '
      f'at most {MAX_STEPS:,}'
    )
  return num_steps


def _check_images(config: ConfigDict, dataset: Dataset) -> None:
  """Raises InputError if the images do not have a size that the nets and augmentations can use."""
  height, width, _ = dataset.test.images.shape[1:]
  if height % 4 or width % 4:
    raise InputError(
      f'the images of {config.data.name} are {height}x{width}; the nets halve them twice, so set '
      'data.image_size to a multiple of 4'
    )
  for name in ('pad', 'cutout'):
    if config.augment[name] > min(height, width):
      raise InputError(
        f'augment.{name} is {config.augment[name]}, but the images are {height}x{width}; it can be '
        f'at most {min(height, width)}'
      )


def _check_augmentation(augment_fn: augment.Augment, dataset: Dataset) -> None:
  """Traces the augmentations; they raise InputError for images that they cannot work on."""
  images = jax.ShapeDtypeStruct((2, *dataset.test.images.shape[1:]), 'uint8')
  jax.eval_shape(augment_fn, jax.random.key(0), images, jax.ShapeDtypeStruct((2,), 'int32'))
