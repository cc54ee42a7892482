"""Evaluation on the devices: batch by batch, every image of a split counts exactly once."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.sharding import Mesh

from cifar_jax.augment import views
from cifar_jax.data.dataset import Split
from cifar_jax.experiment import metrics
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.seeds import map_over_seeds
from cifar_jax.experiment.state import State
from cifar_jax.runtime import console
from cifar_jax.runtime.devices import batch_sharding, jit_step, replicate, wait_on_cpu


@struct.dataclass
class Evaluation:
  """The progress of an evaluation.

  Attributes:
    index: int32 scalar, the number of batches seen.
    means: means over the examples seen.
  """

  index: Any
  means: metrics.Means

  @classmethod
  def empty(cls, mesh: Mesh, shape: tuple[int, ...] = ()) -> 'Evaluation':
    """The progress before the first batch, replicated as the step returns it: one compilation.

    Args:
      mesh: the devices.
      shape: `(seeds,)` for several seeds.
    """
    start = cls(np.int32(0), metrics.Means.empty())
    return replicate(
      jax.tree.map(lambda leaf: np.broadcast_to(np.asarray(leaf), shape), start), mesh
    )


EvalStep = Callable[
  [Evaluation, Any, Any, jax.Array, jax.Array, jax.Array], tuple[Evaluation, jax.Array]
]


@dataclasses.dataclass(frozen=True)
class DeviceSplit:
  """A split on the devices, padded with zeros to whole batches.

  Attributes:
    images: uint8 `[batches * batch_size, height, width, channels]`.
    labels: int32 `[batches * batch_size]`.
    size: int32 scalar, the number of examples that count.
    num_batches: number of batches.
    mesh: the devices.
  """

  images: jax.Array
  labels: jax.Array
  size: jax.Array
  num_batches: int
  mesh: Mesh


def evaluate_split(
  eval_step: EvalStep, state: State, split: DeviceSplit
) -> tuple[dict[str, Any], np.ndarray]:
  """Evaluates a state on all images of a split.

  Args:
    eval_step: from `make_eval_step`.
    state: the parameters and statistics, or (`State.to_evaluate`) their averages.
    split: the images and labels.

  Returns:
    Mean cross-entropy of the labels (in nats, without smoothing), accuracy and top-5 accuracy (in
    [0, 1]), as `metrics.read`; and the logits, float32 `[n, classes]` or `[seeds, n, classes]`, on
    the host.
  """
  state = state.to_evaluate
  evaluation = Evaluation.empty(split.mesh, state.step.shape)
  batches = []
  for _ in console.bar(range(split.num_batches), 'evaluating', 'batches'):
    evaluation, logits = eval_step(
      evaluation, state.params, state.batch_stats, split.images, split.labels, split.size
    )
    wait_on_cpu(logits)
    batches.append(logits)
  padded = np.concatenate(jax.device_get(batches), axis=-2)
  values = metrics.read(evaluation.means, padded.shape[-1])
  return values, padded[..., : int(split.size), :]


def split_to_devices(split: Split, batch_size: int, mesh: Mesh) -> DeviceSplit:
  """Copies a split to the devices of a mesh, padded to a multiple of the batch size."""
  num_batches = -(-len(split) // batch_size)
  padding = num_batches * batch_size - len(split)
  images = np.pad(split.images, ((0, padding), (0, 0), (0, 0), (0, 0)))
  labels = np.pad(split.labels, (0, padding))
  images, labels, size = replicate((images, labels, np.int32(len(split))), mesh)
  return DeviceSplit(images, labels, size, num_batches, mesh)


def eval_step(
  experiment: Experiment,
  views_fn: views.Views,
  evaluation: Evaluation,
  params: Any,
  batch_stats: Any,
  images: jax.Array,
  labels: jax.Array,
  size: jax.Array,
) -> tuple[Evaluation, jax.Array]:
  """Evaluates the next batch of a split.

  Args:
    experiment: the model, the normalisation and the batch size.
    views_fn: the views of normalised images whose probabilities are averaged.
    evaluation: the progress so far.
    params: the model's parameters.
    batch_stats: the model's running statistics.
    images: uint8 `[batches * batch_size, height, width, channels]`.
    labels: int32 `[batches * batch_size]`.
    size: int32 scalar, the number of examples that count.

  Returns:
    The progress, and the batch's logits, float32 `[batch, classes]`.
  """
  batch_size = experiment.batch_size
  indices = evaluation.index * batch_size + jnp.arange(batch_size)
  indices = jax.lax.with_sharding_constraint(indices, batch_sharding(experiment.mesh))
  batch, targets = experiment.normalize(images[indices]), labels[indices]
  variables = {'params': params, 'batch_stats': batch_stats}
  logits = average_views(experiment.model, variables, views_fn(batch), views_fn.weights)
  losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
  means = metrics.of_batch(losses, logits, targets, indices < size)
  return Evaluation(evaluation.index + 1, evaluation.means.merge(means)), logits


def average_views(
  model: nn.Module, variables: Any, images: jax.Array, weights: tuple[float, ...]
) -> jax.Array:
  """The logits of a batch, float32 `[batch, classes]`, from one view or several.

  Args:
    model: maps float32 images to float32 logits.
    variables: the model's variables.
    images: float32 `[views, batch, height, width, channels]`.
    weights: weight of each view in the mean of the probabilities. For several views the logits are
      the logarithm of that mean.
  """

  def apply(view: jax.Array) -> Any:
    return model.apply(variables, view, train=False)

  if len(images) == 1:
    return apply(images[0])
  logits = jax.vmap(apply)(images)
  log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
  log_weights = jnp.log(jnp.array(weights, jnp.float32))
  return jax.nn.logsumexp(log_probabilities + log_weights[:, None, None], axis=0)


def make_eval_step(experiment: Experiment, views_fn: views.Views | None = None) -> EvalStep:
  """The jitted evaluation step of an experiment.

  Args:
    experiment: what is evaluated. With several seeds, everything but the split has a leading axis
      `[seeds]`.
    views_fn: the views of normalised images whose probabilities are averaged; by default the whole
      images.

  Returns:
    `(evaluation, params, batch_stats, images, labels, size) -> (evaluation, logits)`, as
    `eval_step`. The evaluation passed in is donated.
  """
  views_fn = views_fn or views.make('none', experiment.augmentation)
  step = functools.partial(eval_step, experiment, views_fn)
  in_axes = (0, 0, 0, None, None, None)
  return jit_step(map_over_seeds(step, experiment.num_seeds, in_axes), experiment.mesh)
