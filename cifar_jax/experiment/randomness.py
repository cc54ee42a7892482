"""All randomness of a run: one root key, folded for each use, so that no key has to be saved."""

import zlib
from typing import Any

import jax

from cifar_jax.models.classifier import STREAMS


def stream(key: jax.Array, name: str, index: Any) -> jax.Array:
  """The key of a named stream at an epoch or a step, a scalar.

  Args:
    key: the root key, a scalar that never changes in a run.
    name: the purpose, such as `augment`.
    index: int32 scalar, the epoch or the step.
  """
  return jax.random.fold_in(jax.random.fold_in(key, zlib.crc32(name.encode())), index)


def module_streams(key: jax.Array, step: Any) -> dict[str, jax.Array]:
  """The keys of a step for `module.apply(..., rngs=...)`: a scalar for each Flax stream.

  Args:
    key: the root key, a scalar.
    step: int32 scalar.
  """
  return {name: stream(key, name, step) for name in STREAMS}
