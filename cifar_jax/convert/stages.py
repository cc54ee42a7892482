"""Splits the stacked blocks of a scanned stage, and stacks them again.

A scanned stage has its first block, which may change the shape of a map, as `stage1_block1`, and
the other n blocks as `stage1_rest`, each leaf `[n, ...]`. State_dicts name single blocks, so both
directions of a conversion pass through the form in which each block has a name.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from cifar_jax.errors import InputError

_MAX_BLOCKS = 10_000  # of a stage; ResNet-1202, the deepest, has 200
REST = re.compile(r'(stage\d+)_rest')


def unstack(variables: Mapping[str, Any]) -> dict[str, Any]:
  """Returns variables with `stage{S}_rest` split into `stage{S}_block2`, `stage{S}_block3`, ...

  Args:
    variables: collections of modules; leaves are arrays or `jax.ShapeDtypeStruct`s.

  Returns:
    Variables whose leaves are views, NumPy arrays or shapes. A model without scanned stages has the
    same names as before.

  Raises:
    InputError: the leaves of one `rest` differ in their number of blocks, or it has too many.
  """
  result: dict[str, Any] = {}
  for collection, modules in variables.items():
    result[collection] = {}
    for name, tree in modules.items():
      if rest := REST.fullmatch(name):
        blocks = {leaf.shape[:1] for leaf in jax.tree.leaves(tree)}
        if len(blocks) != 1 or () in blocks:
          raise InputError(f'the arrays of {name} do not agree on the number of its blocks')
        num_blocks = blocks.pop()[0]
        if num_blocks > _MAX_BLOCKS:
          raise InputError(f'{name} has {num_blocks:,} blocks, more than {_MAX_BLOCKS:,}')
        for i in range(num_blocks):
          block = jax.tree.map(lambda leaf, i=i: take_row(leaf, i), tree)
          result[collection][f'{rest[1]}_block{i + 2}'] = block
      else:
        result[collection][name] = tree
  return result


def stack(variables: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
  """Returns variables with their blocks stacked again; the inverse of `unstack`.

  Args:
    variables: collections of modules; leaves are arrays.
    like: variables, or their shapes, with the modules `stage{S}_rest` that are wanted.

  Returns:
    Variables in the form and order of `like`; stacked leaves are new NumPy arrays.

  Raises:
    InputError: a block of a `rest` is missing.
  """
  result: dict[str, Any] = {}
  for collection, modules in like.items():
    given = variables.get(collection, {})
    result[collection] = {}
    for name, tree in modules.items():
      if rest := REST.fullmatch(name):
        num_blocks = jax.tree.leaves(tree)[0].shape[0]
        blocks = [f'{rest[1]}_block{i + 2}' for i in range(num_blocks)]
        _check_present(blocks, given)
        stacked = jax.tree.map(
          lambda *leaves: np.stack(leaves), *(given[block] for block in blocks)
        )
        result[collection][name] = stacked
      else:
        _check_present([name], given)
        result[collection][name] = given[name]
  return result


def take_row(leaf: Any, i: int) -> Any:
  """The row `i` of an array `[n, ...]` as a NumPy array, or the shape of one."""
  if isinstance(leaf, jax.ShapeDtypeStruct):
    return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
  return np.asarray(leaf)[i]


def _check_present(names: list[str], modules: Mapping[str, Any]) -> None:
  missing = [name for name in names if name not in modules]
  if missing:
    raise InputError(f'{len(missing)} modules are missing, such as {missing[0]}')
