"""Records the outputs of named modules while a net classifies images."""

import functools
from collections.abc import Collection
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Path = tuple[str, ...]  # names of modules, from the net's submodule inwards


def record_outputs(
  net: nn.Module, paths: Collection[Path], variables: Any, images: jax.Array
) -> dict[Path, jax.Array]:
  """The output of each module by its path, float32 `[batch, ...]`.

  Args:
    net: in evaluation, with its running statistics.
    paths: paths of modules, each of which is called exactly once.
    variables: parameters and statistics of the net.
    images: float32 `[batch, height, width, channels]`, normalised.
  """
  recorded_paths = set(paths)
  _, collections = net.apply(
    variables,
    images,
    train=False,
    capture_intermediates=lambda module, method: (
      method == '__call__' and module.path in recorded_paths
    ),
    mutable=['intermediates'],
  )

  def output(path: Path) -> jax.Array:
    module = functools.reduce(dict.__getitem__, path, collections['intermediates'])
    (value,) = module['__call__']
    return value.astype(jnp.float32)

  return {path: output(path) for path in recorded_paths}
