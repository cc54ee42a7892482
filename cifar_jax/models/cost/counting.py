"""The cost of a model for one image, counted in a trace: nothing is computed.

An activation is a value that depends on the images or, in training, on the random draws. Weights,
statistics and values computed from them alone are not activations. The conventions:

  multiply_adds   Those of convolutions and dense layers whose input is an activation: entries of
                  the output times taps of the kernel times input channels of a group. Taps on the
                  padding count; norms, biases, pooling and additions do not.
  depth           Convolutions and dense layers on the longest path from the images to the logits.
  forward_bytes   The maximum that activations occupy at once in evaluation, in program order, with
                  nothing fused or in place. The images live throughout; any other activation lives
                  from the operation that makes it to the last that uses it.
  training_bytes  The activations that `jax.vjp` keeps for the backward pass, before the compiler
                  fuses or recomputes any. Of a rematerialised module, only its inputs.

A loop counts each of its steps, but a `while`, whose number of steps is unknown, counts one. A
conditional costs as much as its costliest branch.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax import models
from cifar_jax.models import layers
from cifar_jax.models.classifier import image_size
from cifar_jax.models.cost import jaxpr_walk, shared_traces

_share_traces = shared_traces.share_traces()


class Cost(NamedTuple):
  """The cost of one image, by the conventions at the head of this file.

  Attributes:
    num_params: number of trainable parameters.
    multiply_adds: number in one evaluation.
    forward_bytes: maximum during one evaluation.
    training_bytes: bytes kept for the backward pass.
    depth: layers with weights.
  """

  num_params: int
  multiply_adds: int
  forward_bytes: int
  training_bytes: int
  depth: int


def measure(model: nn.Module, image_shape: tuple[int, ...] | None = None) -> Cost:
  """The cost of one image.

  Args:
    model: a module from `models.create`. It is traced twice: in evaluation and in training.
    image_shape: height, width and channels; by default those that the model is made for.
  """
  size = image_size(model)
  images = jax.ShapeDtypeStruct((1, *(image_shape or (size, size, 3))), jnp.float32)
  variables: dict[str, Any] = {}

  def evaluate(images: jax.Array) -> jax.Array:
    # The variables are made in the same trace, which saves one. They do not depend on the images.
    logits, initial = model.init_with_output(jax.random.key(0), images, train=False)
    variables.update(
      jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), initial)
    )
    return logits

  with _counting():
    evaluated = jax.make_jaxpr(evaluate)(images).jaxpr
  evaluation = jaxpr_walk.walk(evaluated, [0])
  params = variables.pop('params')
  (depth,) = evaluation.depths
  return Cost(
    num_params=models.count(params),
    multiply_adds=evaluation.multiply_adds,
    forward_bytes=jaxpr_walk.num_bytes(evaluated.invars) + evaluation.peak_bytes,
    training_bytes=_training_bytes(model, params, variables, images),
    depth=depth or 0,
  )


@contextlib.contextmanager
def _counting() -> Iterator[None]:
  """Within this context nets are traced for their operations and shapes only."""
  with layers.plain_forms(), layers.shapes_only(), nn.intercept_methods(_share_traces):
    yield


def _training_bytes(
  model: nn.Module, params: Any, statistics: Any, images: jax.ShapeDtypeStruct
) -> int:
  """The bytes of the activations that the forward pass keeps for the backward pass."""

  def residuals(params: Any, statistics: Any, images: jax.Array, key: jax.Array) -> Any:
    def train(params: Any) -> Any:
      logits, updates = model.apply(
        {'params': params, **statistics},
        images,
        train=True,
        mutable=['batch_stats', 'auxiliary_logits'],  # as in the training step
        rngs={'params': key},  # stands in for every stream
      )
      return logits, updates.get('auxiliary_logits')

    return jax.vjp(train, params)[1]  # a tree, whose leaves are the residuals

  key = jax.eval_shape(lambda: jax.random.key(0))
  with _counting():
    jaxpr = jax.make_jaxpr(residuals)(params, statistics, images, key).jaxpr
  weights = len(jax.tree.leaves((params, statistics)))
  depths = jaxpr_walk.walk(jaxpr, [None] * weights + [0, 0]).depths
  # A set: each activation counts once, however many operations keep it.
  return jaxpr_walk.num_bytes(
    {v for v, d in zip(jaxpr.outvars, depths, strict=True) if d is not None}
  )
