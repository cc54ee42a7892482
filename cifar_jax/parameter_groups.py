"""Which parameters are of a kind: trees of booleans, like the parameters, for optax's masks."""

from collections.abc import Callable
from typing import Any

import jax


def kernels(params: Any) -> Any:
  """Those of more than one axis."""
  return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def norm_biases(params: Any) -> Any:
  """The biases of modules with `norm` in their name."""
  return _by_path(lambda names: names[-1] == 'bias' and 'norm' in ''.join(names[-2:-1]), params)


def whitening(params: Any) -> Any:
  """Those of modules named `whitening`."""
  return _by_path(lambda names: 'whitening' in names, params)


def _by_path(choose: Callable[[list[str]], bool], params: Any) -> Any:
  """What `choose` says of each leaf's path, the names of its modules and its own."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: choose([str(getattr(key, 'key', key)) for key in path]), params
  )
