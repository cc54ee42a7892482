"""What a model costs for one image, read off its traced computation: nothing is ever computed.

An activation is a value that depends on the images or, in training, on the random draws; weights,
statistics and whatever is made of them alone are none. The conventions:

  multiply_adds   of convolutions and dense layers that take an activation: entries of the output
                  times taps of the kernel times input channels of a group. Taps on the padding
                  count; norms, biases, pooling and additions do not.
  depth           convolutions and dense layers on the longest chain from the images to the logits.
  forward_bytes   the most that activations hold at once in evaluation, the images all the time and
                  each other from the operation that makes it to the last that takes it, in program
                  order, nothing fused or in place.
  training_bytes  the activations that `jax.vjp` keeps for the backward pass, before the compiler
                  fuses or recomputes any; of a rematerialised part, only what goes in.

A loop counts each of its steps (a `while`, whose steps nobody knows before it runs, one); a
conditional is as costly as its costliest branch.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

import cifar_jax.models as models
import cifar_jax.models.convolution as convolution
import cifar_jax.models.initializers as initializers
import cifar_jax.models.repeated as repeated
import cifar_jax.models.walk as walks

_share_traces = repeated.interceptor()


class Cost(NamedTuple):
  """The cost of one image, as the head of this file defines it.

  Attributes:
    num_params: trainable parameters.
    multiply_adds: of one evaluation.
    forward_bytes: held at most during one evaluation.
    training_bytes: kept for the backward pass.
    depth: of the net, in layers with weights.
  """

  num_params: int
  multiply_adds: int
  forward_bytes: int
  training_bytes: int
  depth: int


def image_size(model: nn.Module) -> int:
  """Height and width, in pixels, of the images that a model is made for."""
  return getattr(model, 'image_size', 32)


def measure(model: nn.Module) -> Cost:
  """The cost of one image of the size that a model is made for.

  Args:
    model: a module that `models.create` gave. It is traced twice: evaluated and in training.
  """
  size = image_size(model)
  images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
  variables: dict[str, Any] = {}

  def evaluate(images: jax.Array) -> jax.Array:
    # Made in the same trace, to save one; what makes them does not depend on the images.
    logits, made = model.init_with_output(jax.random.key(0), images, train=False)
    variables.update(jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), made))
    return logits

  with _counting():
    evaluated = jax.make_jaxpr(evaluate)(images).jaxpr
  evaluation = walks.walk(evaluated, [0])
  params = variables.pop('params')
  (depth,) = evaluation.depths
  return Cost(
    num_params=models.count(params),
    multiply_adds=evaluation.multiply_adds,
    forward_bytes=walks.num_bytes(evaluated.invars) + evaluation.peak_bytes,
    training_bytes=_kept_bytes(model, params, variables, images),
    depth=depth or 0,
  )


@contextlib.contextmanager
def _counting() -> Iterator[None]:
  """Within it nets are traced for their operations and shapes alone."""
  with convolution.plain(), initializers.shapes_only(), nn.intercept_methods(_share_traces):
    yield


def _kept_bytes(
  model: nn.Module, params: Any, statistics: Any, images: jax.ShapeDtypeStruct
) -> int:
  """The bytes of the activations that the backward pass keeps of the forward pass."""

  def kept(params: Any, statistics: Any, images: jax.Array, key: jax.Array) -> Any:
    def train(params: Any) -> Any:
      logits, updates = model.apply(
        {'params': params, **statistics},
        images,
        train=True,
        mutable=['batch_stats', 'auxiliary_logits'],  # as the training step has it
        rngs={'params': key},  # stands in for every stream
      )
      return logits, updates.get('auxiliary_logits')

    return jax.vjp(train, params)[1]  # a tree, whose leaves are what it needs

  key = jax.eval_shape(lambda: jax.random.key(0))
  with _counting():
    jaxpr = jax.make_jaxpr(kept)(params, statistics, images, key).jaxpr
  weights = len(jax.tree.leaves((params, statistics)))
  depths = walks.walk(jaxpr, [None] * weights + [0, 0]).depths
  # Each counts once, however many operations keep it.
  return walks.num_bytes({v for v, d in zip(jaxpr.outvars, depths, strict=True) if d is not None})
