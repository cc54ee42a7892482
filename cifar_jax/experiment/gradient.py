"""The gradient of a batch: of the whole at once or part by part, and once or (SAM) twice."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cifar_jax.experiment.experiment import Experiment
from cifar_jax.models.classifier import HasAuxiliaryLogits
from cifar_jax.optim import parameter_groups, sam
from cifar_jax.runtime.devices import batch_sharding


class BatchGradient(NamedTuple):
  """The gradient of a batch, and what was computed on the way.

  Attributes:
    gradient: tree like the parameters, of the mean loss.
    loss: float32 scalar, the mean loss, auxiliary losses included.
    losses: float32 `[batch]`, the loss of each example.
    logits: float32 `[batch, classes]`.
    batch_stats: the model's running statistics after the batch.
  """

  gradient: Any
  loss: jax.Array
  losses: jax.Array
  logits: jax.Array
  batch_stats: Any


def of_batch(
  experiment: Experiment,
  params: Any,
  batch_stats: Any,
  streams: dict[str, jax.Array],
  images: jax.Array,
  targets: jax.Array,
) -> BatchGradient:
  """The gradient that an optimizer is to use.

  With `optimizer.sam_radius` the gradient is taken at `sam.highest_point`, on the same images with
  the same random numbers; loss, logits and statistics are those at `params`.

  Args:
    experiment: the model and the loss.
    params: the model's parameters.
    batch_stats: the model's running statistics before the batch.
    streams: a key for each stream of the model, a scalar.
    images: float32 `[batch, height, width, channels]`, split over the mesh.
    targets: int32 `[batch]` or float32 `[batch, classes]`.
  """
  of_params = lambda params: _of_all_parts(  # noqa: E731
    experiment, params, batch_stats, streams, images, targets
  )
  result = of_params(params)
  radius = experiment.optimizer_settings.sam_radius
  if not radius:
    return result
  highest = sam.highest_point(params, result.gradient, radius)
  return result._replace(gradient=of_params(highest).gradient)


def _of_all_parts(
  experiment: Experiment,
  params: Any,
  batch_stats: Any,
  streams: dict[str, jax.Array],
  images: jax.Array,
  targets: jax.Array,
) -> BatchGradient:
  """As `of_batch`, at the parameters themselves; one part of the batch after another."""
  num_parts = experiment.train_settings.accumulation
  if num_parts == 1:
    return _of_part(experiment, params, batch_stats, streams, images, targets)

  def split(array: jax.Array) -> jax.Array:  # so that each device has a share of each part
    parts = array.reshape(-1, num_parts, *array.shape[1:])
    return jnp.swapaxes(parts, 0, 1)

  def join(parts: jax.Array) -> jax.Array:
    return jnp.swapaxes(parts, 0, 1).reshape(-1, *parts.shape[2:])

  def add(total: BatchGradient, part: Any) -> tuple[BatchGradient, tuple[jax.Array, jax.Array]]:
    index, *inputs = part
    part_streams = {name: jax.random.fold_in(key, index) for name, key in streams.items()}
    inputs = jax.lax.with_sharding_constraint(inputs, batch_sharding(experiment.mesh))
    result = _of_part(experiment, params, total.batch_stats, part_streams, *inputs)
    total = total._replace(
      gradient=jax.tree.map(
        lambda old, new: old + new / num_parts, total.gradient, result.gradient
      ),
      loss=total.loss + result.loss / num_parts,
      batch_stats=result.batch_stats,
    )
    return total, (result.losses, result.logits)

  zeros = jax.tree.map(jnp.zeros_like, params)
  nothing = jnp.zeros(0)
  start = BatchGradient(zeros, jnp.zeros(()), nothing, nothing, batch_stats)
  parts = (jnp.arange(num_parts), split(images), split(targets))
  total, (losses, logits) = jax.lax.scan(add, start, parts)
  return total._replace(losses=join(losses), logits=join(logits))


def _of_part(
  experiment: Experiment,
  params: Any,
  batch_stats: Any,
  streams: dict[str, jax.Array],
  images: jax.Array,
  targets: jax.Array,
) -> BatchGradient:
  """As `of_batch`, at the parameters themselves; of all images at once."""

  def mean_loss(params: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array, Any]]:
    params = _freeze(params, experiment.init_settings.frozen_names)
    logits, updates = experiment.model.apply(
      {'params': params, 'batch_stats': batch_stats},
      images,
      train=True,
      rngs=streams,
      mutable=['batch_stats', 'auxiliary_logits'],
    )
    losses = experiment.loss_fn(logits, targets)
    loss = jnp.mean(losses)
    for weight, auxiliary in auxiliary_logits(experiment.model, updates):
      loss += weight * jnp.mean(experiment.loss_fn(auxiliary, targets))
    return loss, (losses, logits, updates.get('batch_stats', {}))

  (loss, others), gradient = jax.value_and_grad(mean_loss, has_aux=True)(params)
  return BatchGradient(gradient, loss, *others)


def _freeze(params: Any, names: tuple[str, ...]) -> Any:
  """Parameters whose gradient is zero, and not computed, in the modules of some names."""
  if not names:
    return params
  frozen = parameter_groups.parts(names)(params)
  stop = lambda leaf, is_frozen: jax.lax.stop_gradient(leaf) if is_frozen else leaf  # noqa: E731
  return jax.tree.map(stop, params, frozen)


def auxiliary_logits(model: Any, updates: Any) -> list[tuple[float, jax.Array]]:
  """The weight of each auxiliary loss, and its logits, float32 `[batch, classes]`.

  Args:
    model: the Flax module; one that is no `HasAuxiliaryLogits` has none.
    updates: the collections that the model changed in training.
  """
  if not isinstance(model, HasAuxiliaryLogits):
    return []
  sown = jax.tree.leaves(updates.get('auxiliary_logits', {}))
  return [(model.auxiliary_weight, logits) for logits in sown]
