"""One training step: a pure function of the state, compiled once."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from cifar_jax.augment import geometric
from cifar_jax.experiment import gradient, metrics, randomness
from cifar_jax.experiment.epoch_order import (
  EpochOrder,
  batch_epochs,
  batch_indices,
  order_of_epoch,
)
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.seeds import map_over_seeds
from cifar_jax.experiment.state import NEVER, State, abstract_state, update_average
from cifar_jax.optim import optimizer
from cifar_jax.runtime.devices import batch_sharding, jit_step, replicated_sharding

TrainStep = Callable[[State, jax.Array, jax.Array, jax.Array, EpochOrder], State]


def train_step(
  experiment: Experiment,
  state: State,
  key: jax.Array,
  images: jax.Array,
  labels: jax.Array,
  order: EpochOrder,
) -> State:
  """The state after one more step.

  Args:
    experiment: the model, the loss, the augmentation and the optimizer.
    state: the state before the step.
    key: the root key, a scalar.
    images: uint8 `[num_images, height, width, channels]`, the training split, replicated.
    labels: int32 `[num_images]`.
    order: the order of the epoch in which the step begins.
  """
  batch, targets = draw_batch(experiment, state.step, key, images, labels, order)

  batch_gradient = gradient.of_batch(
    experiment,
    state.params,
    state.batch_stats,
    randomness.module_streams(key, state.step),
    batch,
    targets,
  )
  change, opt_state = experiment.tx.update(
    batch_gradient.gradient, state.opt_state, state.params, value=batch_gradient.loss
  )
  nonfinite = nonfinite_step(state.step, batch_gradient.loss, batch_gradient.gradient)
  after = dataclasses.replace(
    state,
    step=state.step + 1,
    params=optax.apply_updates(state.params, change),
    batch_stats=batch_gradient.batch_stats,
    opt_state=opt_state,
    means=state.means.merge(
      metrics.of_batch(batch_gradient.losses, batch_gradient.logits, targets)
    ),
    first_nonfinite=jnp.minimum(state.first_nonfinite, nonfinite),
  )
  return update_average(after, experiment.optimizer_settings, experiment.num_steps)


def draw_batch(
  experiment: Experiment,
  step: jax.Array,
  key: jax.Array,
  images: jax.Array,
  labels: jax.Array,
  order: EpochOrder,
) -> tuple[jax.Array, jax.Array]:
  """The augmented and normalised batch of a step, split over the mesh.

  Args:
    experiment: the augmentation, the batch size and the mesh.
    step: int32 scalar, the number of steps taken before.
    key: the root key, a scalar.
    images: uint8 `[num_images, height, width, channels]`.
    labels: int32 `[num_images]`.
    order: the order of the epoch in which the step begins.

  Returns:
    Images, float32 `[batch, height, width, channels]`, and labels, int32 `[batch]` or, where images
    are mixed, float32 `[batch, classes]`.
  """
  batch_size = experiment.batch_size
  indices = batch_indices(order, step, batch_size)
  indices = jax.lax.with_sharding_constraint(indices, batch_sharding(experiment.mesh))
  batch = images[indices]
  if experiment.augmentation.alternating_flip:
    epochs = batch_epochs(order, step, batch_size)
    batch = geometric.alternating_flip(randomness.stream(key, 'flip', 0), batch, indices, epochs)
  return experiment.augment_fn(randomness.stream(key, 'augment', step), batch, labels[indices])


def nonfinite_step(step: jax.Array, loss: jax.Array, gradient: Any) -> jax.Array:
  """`State.first_nonfinite` of one step; int32 scalar.

  A gradient counts as finite if its global norm is finite in float32: one that overflows is not.

  Args:
    step: int32 scalar, the number of steps taken before.
    loss: float32 scalar.
    gradient: tree of arrays.
  """
  finite_loss = jnp.isfinite(loss)
  finite = finite_loss & jnp.isfinite(optax.tree.norm(gradient))
  return jnp.where(finite, NEVER, 2 * step + finite_loss)


def make_train_step(experiment: Experiment, num_steps: int = 1) -> TrainStep:
  """The jitted training step of an experiment.

  Args:
    experiment: what is trained. With several seeds, `state`, `key` and `order` have a leading axis
      `[seeds]`.
    num_steps: number of steps per call; all of them begin in the epoch of `order`.

  Returns:
    `(state, key, images, labels, order) -> state`, as `train_step`. The state passed in is donated.
  """
  step = functools.partial(train_step, experiment)
  steps = map_over_seeds(step, experiment.num_seeds, (0, 0, None, None, 0))
  if num_steps > 1:
    steps = _repeat(steps, num_steps)
  return jit_step(steps, experiment.mesh)


def _repeat(step: TrainStep, num_steps: int) -> TrainStep:
  """Repeats a step in a loop whose length the compiler knows, so that a GPU never asks the host."""

  def train_steps(state: State, *inputs: Any) -> State:
    return jax.lax.fori_loop(0, num_steps, lambda _, state: step(state, *inputs), state)

  return train_steps


def abstract_inputs(experiment: Experiment) -> tuple[Any, ...]:
  """Shapes and dtypes of the arguments of the jitted step, to lower it without any array."""
  train = experiment.dataset.train
  key = jax.ShapeDtypeStruct(experiment.key.shape, experiment.key.dtype)
  images, labels = (
    jax.ShapeDtypeStruct(array.shape, array.dtype) for array in (train.images, train.labels)
  )
  order = jax.eval_shape(lambda key: order_of_epoch(key, jnp.int32(0), len(train)), key)
  return abstract_state(experiment), key, images, labels, order


def make_reset_means(mesh: Mesh) -> Callable[[State], State]:
  """The jitted function that empties `State.means` after a record; the state is donated."""

  def reset(state: Any) -> State:
    empty = jax.tree.map(
      lambda new, old: jnp.broadcast_to(new, old.shape), metrics.Means.empty(), state.means
    )
    return state.replace(means=empty)

  return jax.jit(reset, donate_argnums=0, out_shardings=replicated_sharding(mesh))


def make_skip_step(experiment: Experiment) -> Callable[[State], State]:
  """The jitted step that leaves a batch out: it counts as a step that changes no weight.

  The step counter and the schedule advance, and an average that is due is taken.
  """

  def skip_step(state: Any) -> State:
    after = state.replace(step=state.step + 1, opt_state=optimizer.skip_step(state.opt_state))
    return update_average(after, experiment.optimizer_settings, experiment.num_steps)

  steps = map_over_seeds(skip_step, experiment.num_seeds, (0,))
  return jax.jit(steps, donate_argnums=0, out_shardings=replicated_sharding(experiment.mesh))


def make_end_epoch(experiment: Experiment) -> Callable[[State, Any], State] | None:
  """The jitted function that ends an epoch for the schedule; None where it needs none.

  Returns:
    `(state, accuracy) -> state`, with the accuracy on the validation images, float32 scalar or
    `[seeds]`. The state passed in is donated.
  """
  end_epoch = experiment.schedule.end_epoch
  if end_epoch is None:
    return None
  end = lambda state, accuracy: state.replace(  # noqa: E731
    opt_state=end_epoch(state.opt_state, accuracy)
  )
  return jax.jit(end, donate_argnums=0, out_shardings=replicated_sharding(experiment.mesh))
