"""Groups of parameters as trees of booleans, shaped like the parameters, for Optax's masks."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from optax.contrib import MuonDimensionNumbers

_CONVOLUTION = MuonDimensionNumbers(reduction_axis=(-4, -3, -2), output_axis=-1)
_DENSE = MuonDimensionNumbers(reduction_axis=-2, output_axis=-1)


def kernels(params: Any) -> Any:
  """True for the weights of convolutions and dense layers.

  The number of axes does not tell them: the scales of a scanned stage's norms have two, as its
  blocks are stacked.
  """
  return _by_path(lambda names: names[-1] == 'kernel', params)


def norm_biases(params: Any) -> Any:
  """True for the biases of modules with `norm` in their name."""
  return _by_path(lambda names: names[-1] == 'bias' and 'norm' in ''.join(names[-2:-1]), params)


def whitening(params: Any) -> Any:
  """True for the parameters of modules named `whitening`."""
  return _by_path(lambda names: 'whitening' in names, params)


def is_part(module: str, name: str) -> bool:
  """Whether a module's name begins with a name: `stage1_block1` with `stage1`, not `stage10`."""
  rest = module.removeprefix(name)
  return module.startswith(name) and not (name[-1:].isdigit() and rest[:1].isdigit())


def parts(names: Sequence[str]) -> Callable[[Any], Any]:
  """A function of parameters: True for those of modules of which `is_part` holds for a name."""

  def choose(params: Any) -> Any:
    return _by_path(lambda path: any(is_part(path[0], name) for name in names), params)

  return choose


def matrices(params: Any) -> Any:
  """The axes of the parameters that are matrices: of all kernels but that of the last layer.

  A convolution is the matrix of its inputs, `height * width * channels`, and its outputs. A further
  axis in front counts the equal blocks of a scanned stage, each with a matrix of its own.

  Returns:
    Optax's `MuonDimensionNumbers` for each matrix, None for each other parameter.
  """

  def axes(path: tuple[Any, ...], leaf: Any) -> MuonDimensionNumbers | None:
    names = _names(path)
    if names[-1] != 'kernel' or 'head' in names:
      return None
    return _CONVOLUTION if leaf.ndim > 3 else _DENSE

  return jax.tree_util.tree_map_with_path(axes, params)


def _by_path(choose: Callable[[list[str]], bool], params: Any) -> Any:
  """Applies `choose` to the path of each parameter: the names of its modules, then its name."""
  return jax.tree_util.tree_map_with_path(lambda path, _: choose(_names(path)), params)


def _names(path: tuple[Any, ...]) -> list[str]:
  return [str(getattr(key, 'key', key)) for key in path]
