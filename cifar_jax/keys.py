"""Where randomness comes from: one root key, folded for each use, so that none need be saved."""

import zlib
from typing import Any

import jax

# The streams that modules draw from, by their Flax names.
MODULE_STREAMS = ('dropout', 'drop_path', 'shake')


def stream(key: jax.Array, name: str, index: Any) -> jax.Array:
  """The key of a named stream at an epoch or step.

  Args:
    key: the root key, a scalar that never changes in a run.
    name: of the use, such as `augment`.
    index: int32 scalar, the epoch or the step.

  Returns:
    A scalar key.
  """
  return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), index)


def module_streams(key: jax.Array, step: Any) -> dict[str, jax.Array]:
  """The scalar keys of a step for `module.apply(..., rngs=...)`; arguments as in `stream`."""
  return {name: stream(key, name, step) for name in MODULE_STREAMS}
