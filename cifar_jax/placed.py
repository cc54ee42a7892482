"""A split of a data set on the devices, gone through batch by batch: each image counts once."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from cifar_jax import data, metrics, sharding
from cifar_jax import state as states
from cifar_jax import step as steps


@dataclasses.dataclass(frozen=True)
class PlacedSplit:
  """A split on the devices, padded with zeros to whole batches.

  Attributes:
    images: uint8 `[batches * batch_size, height, width, channels]`.
    labels: int32 `[batches * batch_size]`.
    size: int32 scalar, how many of them count.
    num_batches: how many batches there are.
    mesh: the devices.
  """

  images: jax.Array
  labels: jax.Array
  size: jax.Array
  num_batches: int
  mesh: Mesh


def place(split: data.Split, batch_size: int, mesh: Mesh) -> PlacedSplit:
  """Copies a split to the devices of a mesh."""
  num_batches = -(-len(split) // batch_size)
  padding = num_batches * batch_size - len(split)
  images = np.pad(split.images, ((0, padding), (0, 0), (0, 0), (0, 0)))
  labels = np.pad(split.labels, (0, padding))
  arrays = (images, labels, np.int32(len(split)))
  images, labels, size = sharding.replicate(arrays, mesh)
  return PlacedSplit(images, labels, size, num_batches, mesh)


def evaluate(
  eval_step: steps.EvalStep, state: states.State, split: PlacedSplit
) -> tuple[dict[str, Any], np.ndarray]:
  """Evaluates a state on all images of a split.

  Returns:
    Mean loss (in nats), accuracy and top-5 accuracy (in [0, 1]), of several seeds as
    `metrics.read` says; and the logits, float32 `[n, classes]` or `[seeds, n, classes]`, on the
    host.
  """
  evaluation = steps.Evaluation.empty(split.mesh, state.step.shape)
  batches = []
  for _ in range(split.num_batches):
    evaluation, logits = eval_step(
      evaluation, state.params, state.batch_stats, split.images, split.labels, split.size
    )
    sharding.one_at_a_time(logits, split.mesh)
    batches.append(logits)
  padded = np.concatenate(jax.device_get(batches), axis=-2)
  return metrics.read(evaluation.means), padded[..., : int(split.size), :]
