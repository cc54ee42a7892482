"""Initialisers that cost next to nothing to trace where only their shapes matter.

Flax traces a parameter's initialiser whenever the module is traced, to compare shapes, and the
random draws of `jax.random.normal` take ten times as long to trace as the convolution they are for.
"""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

_shapes_only = contextvars.ContextVar('shapes_only', default=False)


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
  """Within it the initialisers of `variance_scaling` give zeros, of the right shape and dtype."""
  token = _shapes_only.set(True)
  try:
    yield
  finally:
    _shapes_only.reset(token)


def variance_scaling(*settings: Any) -> nn.initializers.Initializer:
  """As `nn.initializers.variance_scaling`, traced once a shape, and not at all in `shapes_only`.

  Args:
    *settings: scale, mode and distribution.
  """
  draw = jax.jit(nn.initializers.variance_scaling(*settings), static_argnums=(1, 2))

  def initialize(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    return jnp.zeros(shape, dtype) if _shapes_only.get() else draw(key, tuple(shape), dtype)

  return initialize
