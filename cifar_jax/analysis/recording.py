"""What named modules of a net give, recorded while it classifies."""

import functools
from collections.abc import Collection
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Path = tuple[str, ...]


def results(
  net: nn.Module, paths: Collection[Path], variables: Any, images: jax.Array
) -> dict[Path, jax.Array]:
  """The result of each module, float32 `[batch, ...]`, by its path.

  Args:
    net: evaluated with its running statistics.
    paths: of the modules; each is called once.
    variables: parameters and statistics.
    images: float32 `[batch, height, width, channels]`, normalised.
  """
  wanted = set(paths)
  _, recorded = net.apply(
    variables,
    images,
    train=False,
    capture_intermediates=lambda module, method: method == '__call__' and module.path in wanted,
    mutable=['intermediates'],
  )

  def of(path: Path) -> jax.Array:
    (value,) = functools.reduce(dict.__getitem__, path, recorded['intermediates'])['__call__']
    return value.astype(jnp.float32)

  return {path: of(path) for path in wanted}
