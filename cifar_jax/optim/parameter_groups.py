"""Groups of parameters as trees of booleans, shaped like the parameters, for Optax's masks."""

from collections.abc import Callable
from typing import Any

import jax


def kernels(params: Any) -> Any:
  """True for parameters of more than one axis."""
  return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def norm_biases(params: Any) -> Any:
  """True for the biases of modules with `norm` in their name."""
  return _by_path(lambda names: names[-1] == 'bias' and 'norm' in ''.join(names[-2:-1]), params)


def whitening(params: Any) -> Any:
  """True for the parameters of modules named `whitening`."""
  return _by_path(lambda names: 'whitening' in names, params)


def _by_path(choose: Callable[[list[str]], bool], params: Any) -> Any:
  """Applies `choose` to the path of each parameter: the names of its modules, then its name."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: choose([str(getattr(key, 'key', key)) for key in path]), params
  )
