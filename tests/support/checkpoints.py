"""A small state, and checkpoints of it, without an experiment."""

import pathlib

import jax
import jax.numpy as jnp

from cifar_jax.config.training import CheckpointSettings
from cifar_jax.experiment import metrics
from cifar_jax.experiment.state import NEVER, State
from cifar_jax.runs.checkpoints import Checkpoints


def make_state(step: int) -> State:
  """A state whose arrays depend on its step."""
  params = {'kernel': jnp.arange(12.0).reshape(3, 4) + step, 'bias': jnp.full(5, float(step))}
  return State(
    step=jnp.int32(step),
    params=params,
    batch_stats={},
    opt_state=(params,),
    means=metrics.Means.empty(),
    first_nonfinite=jnp.int32(NEVER),
  )


ABSTRACT_STATE = jax.tree.map(
  lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), make_state(0)
)


def open_checkpoints(directory: pathlib.Path, *, read_only: bool = False) -> Checkpoints:
  """The checkpoints in a directory, of which the newest three are kept."""
  return Checkpoints(directory, CheckpointSettings(keep_last=3), read_only=read_only)
