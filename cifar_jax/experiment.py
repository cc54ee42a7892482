"""A configuration, made into the parts of a run; training and every analysis start from here."""

import dataclasses
import functools
import math
import zlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from cifar_jax import (
  augment,
  checkpoint,
  data,
  dispatch,
  losses,
  models,
  optimizer,
  seeds,
  sharding,
  step,
)
from cifar_jax import state as states
from cifar_jax.augment import views
from cifar_jax.data import pixels
from cifar_jax.errors import InputError
from cifar_jax.plan import Plan

MOST_STEPS = 2**30 - 1  # so that twice a step is an int32


@dataclasses.dataclass(frozen=True)
class Experiment:
  """The parts of a run, all determined by its configuration.

  Attributes:
    plan: epochs and batch size.
    checkpoints: when one is due.
    mesh: the devices.
    dataset: on the host, as bytes.
    model: the Flax module.
    loss_fn: `(logits, labels) -> float32 [batch]`.
    normalize: uint8 images to float32, by the training split's statistics.
    augmentation: what `augment_fn` does, and what else the section `augment` asks for.
    augment_fn: `(key, images, labels) -> (images, labels)`, with normalisation.
    schedule: of the learning rate.
    tx: the optimizer.
    seeds: that of the run, or of all that it trains at once.
    key: the root key; of several seeds theirs, `[seeds]`.
    num_steps: of the whole run.
  """

  plan: Plan
  checkpoints: checkpoint.Policy
  mesh: Mesh
  dataset: data.Dataset
  model: nn.Module
  loss_fn: losses.Loss
  normalize: step.Normalize
  augmentation: augment.Settings
  augment_fn: augment.Augment
  schedule: optimizer.Schedule
  tx: optax.GradientTransformationExtraArgs
  seeds: tuple[int, ...]
  key: jax.Array
  num_steps: int

  @property
  def image_shape(self) -> tuple[int, ...]:
    """Height, width and channels."""
    return self.dataset.test.images.shape[1:]

  @property
  def steps_per_dispatch(self) -> int:
    """That of the plan, or what is chosen."""
    platform = self.mesh.devices.flat[0].platform
    return self.plan.steps_per_dispatch or (1 if platform == 'cpu' else dispatch.ON_ACCELERATORS)


def check(config: ConfigDict) -> None:
  """Raises InputError for what can be found out without data and devices."""
  plan = Plan(**config.train)
  if not 0 <= config.seed <= 2**32 - plan.seeds:
    others = f', with the {plan.seeds} train.seeds from there,' if plan.seeds > 1 else ''
    raise InputError(f'seed is {config.seed}; it is at least 0 and{others} below {2**32}')
  checkpoint.Policy(**config.checkpoint)
  augmentation = augment.Settings(**config.augment)
  views.make(augmentation.tta, augmentation)
  losses.make(**config.loss)
  models.create(**config.model)
  # The number of steps is known only with the data; whether the values make sense, already now.
  schedule = optimizer.make_schedule(1000, plan.num_epochs, **config.schedule)
  optimizer.make(schedule, **config.optimizer)


def build(config: ConfigDict) -> Experiment:
  """Makes the parts of a run; nothing is computed on a device and nothing is written.

  Raises:
    InputError: a section has an impossible value, or the data cannot be had. What is quick to find
      out is found out before the data are read.
  """
  check(config)
  plan = Plan(**config.train)
  mesh = sharding.make_mesh(**config.sharding)
  sharding.check_batch_size(plan.batch_size, mesh)
  augmentation = augment.Settings(**config.augment)
  dataset = data.load(**config.data)
  _check_data(config, dataset)
  num_images = len(dataset.train)
  if num_images and plan.batch_size > num_images:
    raise InputError(
      f'train.batch_size is {plan.batch_size}, but there are only {num_images} training images'
    )
  augment_fn = augment.make(augmentation, statistics(dataset, augmentation))
  _check_shapes(augment_fn, dataset)
  num_steps = math.ceil(plan.num_epochs * num_images / plan.batch_size)
  if num_steps > MOST_STEPS:
    raise InputError(
      f'train.num_epochs is {plan.num_epochs}, which makes {num_steps:,} steps; {MOST_STEPS:,} are '
      'the most'
    )
  schedule = optimizer.make_schedule(max(1, num_steps), plan.num_epochs, **config.schedule)
  return Experiment(
    plan=plan,
    checkpoints=checkpoint.Policy(**config.checkpoint),
    mesh=mesh,
    dataset=dataset,
    model=models.create(num_classes=dataset.num_classes, **config.model),
    loss_fn=losses.make(**config.loss),
    normalize=functools.partial(augment.normalize, mean=dataset.mean, std=dataset.std),
    augmentation=augmentation,
    augment_fn=augment_fn,
    schedule=schedule,
    tx=optimizer.make(schedule, **config.optimizer),
    seeds=tuple(range(config.seed, config.seed + plan.seeds)),
    key=seeds.root_keys(config.seed, plan.seeds),
    num_steps=num_steps,
  )


def statistics(dataset: data.Dataset, settings: augment.Settings) -> augment.Statistics:
  """What the augmentations need to know of a data set; the covariance only where they use it."""
  result = augment.Statistics(dataset.num_classes, dataset.mean, dataset.std)
  if not settings.pca_noise:
    return result
  return result._replace(covariance=pixels.covariance(dataset.train.images))


def _check_data(config: ConfigDict, dataset: data.Dataset) -> None:
  height, width, _ = dataset.test.images.shape[1:]
  if height % 4 or width % 4:
    raise InputError(
      f'the images of {config.data.name} are {height}x{width}; the nets halve them twice, so set '
      'data.image_size to a multiple of 4'
    )
  for name in ('pad', 'cutout'):
    if config.augment[name] > min(height, width):
      raise InputError(
        f'augment.{name} is {config.augment[name]}, and the images are {height}x{width}: it is at '
        'most that'
      )


def _check_shapes(augment_fn: augment.Augment, dataset: data.Dataset) -> None:
  """Traces the augmentations, which raise InputError for images that they cannot work on."""
  images = jax.ShapeDtypeStruct((2, *dataset.test.images.shape[1:]), 'uint8')
  jax.eval_shape(augment_fn, jax.random.key(0), images, jax.ShapeDtypeStruct((2,), 'int32'))


def fingerprint(dataset: data.Dataset) -> dict[str, Any]:
  """What tells whether two data sets are the same, ready for JSON."""
  splits = (dataset.train, dataset.validation, dataset.test)
  return {
    'images': [len(split) for split in splits],
    'labels_crc32': [zlib.crc32(split.labels.tobytes()) for split in splits],
    'mean': list(dataset.mean),
    'std': list(dataset.std),
  }


def check_same_data(dataset: data.Dataset, run: dict[str, Any]) -> None:
  """Raises InputError where a checkpoint's `run` was trained on other data than these."""
  if 'data' not in run:
    raise InputError(
      'the checkpoint does not tell what data it was trained on: an earlier version wrote it; '
      'read it with that version, or train anew'
    )
  if run['data'] != fingerprint(dataset):
    raise InputError(
      f'data.data_dir holds other data than the run was trained on: {fingerprint(dataset)} '
      f'instead of {run["data"]}; give it the same again'
    )


def of_seed(parts: Experiment, index: int) -> Experiment:
  """The parts of one of the seeds that are trained at once, as if it were alone."""
  plan = dataclasses.replace(parts.plan, seeds=1)
  seed, key = parts.seeds[index], seeds.take(parts.key, index)
  return dataclasses.replace(parts, plan=plan, seeds=(seed,), key=key)


def initial_state(parts: Experiment) -> states.State:
  """The state before the first step, replicated over the mesh.

  The batch statistics of a model with a method `fit` are fitted to training images.
  """
  state = jax.jit(_initial(parts), out_shardings=sharding.replicated(parts.mesh))(parts.key)
  if not hasattr(parts.model, 'fit'):
    return state
  images = sharding.replicate(parts.dataset.train.images[: parts.model.fit_images], parts.mesh)
  return state.replace(batch_stats=make_fit(parts)(state.batch_stats, images))


def _initial(parts: Experiment) -> Callable[[jax.Array], states.State]:
  make = functools.partial(states.create, parts.model, parts.tx, image_shape=parts.image_shape)
  return seeds.each(make, parts.plan.seeds, (0,))


def make_fit(parts: Experiment) -> Callable[[Any, jax.Array], Any]:
  """The jitted `fit` of the model.

  Returns:
    `(batch statistics, images) -> batch statistics`, for uint8 images `[batch, height, width,
    channels]`.
  """
  fit = lambda stats, images: parts.model.fit(stats, parts.normalize(images))  # noqa: E731
  return jax.jit(fit, out_shardings=sharding.replicated(parts.mesh))


def abstract_state(parts: Experiment) -> states.State:
  """The shapes, dtypes and shardings of `initial_state`, to restore a checkpoint into."""
  replicated = sharding.replicated(parts.mesh)
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=replicated),
    jax.eval_shape(_initial(parts), parts.key),
  )


def train_step(parts: Experiment, num_steps: int = 1) -> step.TrainStep:
  """The jitted training step of an experiment; a call takes `num_steps`."""
  return step.make_train_step(
    model=parts.model,
    tx=parts.tx,
    loss_fn=parts.loss_fn,
    augment_fn=parts.augment_fn,
    batch_size=parts.plan.batch_size,
    mesh=parts.mesh,
    num_steps=num_steps,
    num_seeds=parts.plan.seeds,
    alternating_flip=parts.augmentation.alternating_flip,
  )


def eval_step(parts: Experiment, views_fn: augment.Views = views.SINGLE) -> step.EvalStep:
  """The jitted evaluation step of an experiment."""
  return step.make_eval_step(
    model=parts.model,
    loss_fn=parts.loss_fn,
    normalize=parts.normalize,
    views_fn=views_fn,
    batch_size=parts.plan.batch_size,
    mesh=parts.mesh,
    num_seeds=parts.plan.seeds,
  )
