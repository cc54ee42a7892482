"""Equal blocks of a stage, held as one under a leading axis, and the same blocks one by one.

A scanned stage keeps its first block, which changes the shape, as `stage1_block1`, and the n others
as `stage1_rest`, each leaf `[n, ...]`. Names are given to blocks, so both directions pass through
the view where every block is its own.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from cifar_jax.errors import InputError

REST = re.compile(r'(stage\d+)_rest')


def unstack(variables: Mapping[str, Any]) -> dict[str, Any]:
  """The variables with `stage{S}_rest` as `stage{S}_block2`, `stage{S}_block3`, ...

  Args:
    variables: collections of modules; leaves are arrays or `jax.ShapeDtypeStruct`s.

  Returns:
    The same for models without such a name. Leaves are views, or NumPy arrays.

  Raises:
    InputError: the leaves of one `rest` differ in their number of blocks.
  """
  result: dict[str, Any] = {}
  for collection, modules in variables.items():
    result[collection] = {}
    for name, tree in modules.items():
      if rest := REST.fullmatch(name):
        blocks = {leaf.shape[:1] for leaf in jax.tree.leaves(tree)}
        if len(blocks) != 1 or () in blocks:
          raise InputError(f'the arrays of {name} do not agree on the number of its blocks')
        for i in range(*blocks.pop()):
          block = jax.tree.map(lambda leaf, i=i: _row(leaf, i), tree)
          result[collection][f'{rest[1]}_block{i + 2}'] = block
      else:
        result[collection][name] = tree
  return result


def stack(variables: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
  """The inverse of `unstack`.

  Args:
    variables: collections of modules, whose leaves are arrays.
    like: variables, or their shapes, that hold what is to be stacked under `stage{S}_rest`.

  Returns:
    The variables in the form and order of `like`; what it stacks are new NumPy arrays.

  Raises:
    InputError: a block of a `rest` is not there.
  """
  result: dict[str, Any] = {}
  for collection, modules in like.items():
    have = variables.get(collection, {})
    result[collection] = {}
    for name, tree in modules.items():
      if rest := REST.fullmatch(name):
        num_blocks = jax.tree.leaves(tree)[0].shape[0]
        blocks = [f'{rest[1]}_block{i + 2}' for i in range(num_blocks)]
        _check(blocks, have)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(have[block] for block in blocks))
        result[collection][name] = stacked
      else:
        _check([name], have)
        result[collection][name] = have[name]
  return result


def _row(leaf: Any, i: int) -> Any:
  if isinstance(leaf, jax.ShapeDtypeStruct):
    return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
  return np.asarray(leaf)[i]


def _check(names: list[str], have: Mapping[str, Any]) -> None:
  missing = [name for name in names if name not in have]
  if missing:
    raise InputError(f'{len(missing)} modules are missing, such as {missing[0]}')
