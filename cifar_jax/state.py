"""What a run is between two steps: arrays, and nothing else.

Together with the config this determines everything that follows. The root key is made from the
seed and never changes, so it is not part of the state: each use of randomness folds the root key
with the name of its stream, then with the epoch or the step.
"""

import zlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh

from cifar_jax import metrics, sharding

# The streams that modules draw from, by their Flax names.
MODULE_STREAMS = ('dropout', 'drop_path', 'shake')


@struct.dataclass
class State:
  """The state after `step` steps, replicated over the mesh.

  Attributes:
    step: int32 scalar, the number of steps taken.
    params: float32 tree of the model.
    batch_stats: float32 tree of the running means and variances.
    opt_state: the optimizer's tree.
    means: of the training examples since the last record, so that a resumed run writes the same.
    first_nonfinite: int32 scalar, the first step whose loss or gradient was not finite; the largest
      int32 while there was none.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  means: metrics.Means
  first_nonfinite: jax.Array


NEVER = jnp.iinfo(jnp.int32).max


def stream(key: jax.Array, name: str, index: Any) -> jax.Array:
  """The key of a named stream at an epoch or step: the root key, folded with both."""
  return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), index)


def module_streams(key: jax.Array, step: Any) -> dict[str, jax.Array]:
  """The keys of a step for `module.apply(..., rngs=...)`."""
  return {name: stream(key, name, step) for name in MODULE_STREAMS}


def create(
  model: nn.Module,
  tx: optax.GradientTransformation,
  key: jax.Array,
  image_shape: tuple[int, ...],
) -> State:
  """The state before the first step.

  Args:
    model: takes float32 `[batch, *image_shape]`.
    tx: the optimizer.
    key: the root key.
    image_shape: height, width, channels.
  """
  images = jnp.zeros((1, *image_shape), jnp.float32)
  variables = model.init(stream(key, 'init', 0), images, train=False)
  params = variables['params']
  return State(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=variables.get('batch_stats', {}),
    opt_state=tx.init(params),
    means=metrics.Means.empty(),
    first_nonfinite=jnp.full((), NEVER, jnp.int32),
  )


def initialize(
  model: nn.Module,
  tx: optax.GradientTransformation,
  key: jax.Array,
  image_shape: tuple[int, ...],
  mesh: Mesh,
) -> State:
  """As `create`, compiled, and replicated over the mesh."""
  make = jax.jit(
    lambda key: create(model, tx, key, image_shape), out_shardings=sharding.replicated(mesh)
  )
  return make(key)


def abstract(
  model: nn.Module,
  tx: optax.GradientTransformation,
  key: jax.Array,
  image_shape: tuple[int, ...],
  mesh: Mesh,
) -> State:
  """The shapes, dtypes and shardings of `initialize`, to restore a checkpoint into."""
  shapes = jax.eval_shape(lambda key: create(model, tx, key, image_shape), key)
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding.replicated(mesh)),
    shapes,
  )
