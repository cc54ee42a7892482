"""The residual branches of a trained net, to be opened and closed one by one."""

import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.errors import InputError
from cifar_jax.models.layers import Gates


def at_test_time(net: nn.Module) -> Gates:
  """The gates that a net has at test time, float32 `[blocks, branches]`.

  Args:
    net: of a family with residual branches.

  Raises:
    InputError: it has no gates, as a net without shortcuts.
  """
  if not hasattr(net, 'draw_gates') or getattr(net, 'shortcut', '') == 'none':
    raise InputError(
      f'a net of the kind {type(net).__name__} without residual shortcuts has no branches to '
      'open and close; take a residual net'
    )
  gates: Any = net.apply({}, 1, train=False, method='draw_gates')
  if gates is not None:
    return gates
  ones = jnp.ones((net.num_blocks, 1))
  return Gates(ones, ones, ones[:, 0])


def close(gates: Gates, is_open: jax.Array) -> Gates:
  """The gates with some branches closed, in the forward and the backward pass.

  Args:
    gates: float32 `[blocks, branches]`.
    is_open: float32 `[blocks]`, 1 for a block whose branches count, else 0.
  """
  return Gates(gates.forward * is_open[:, None], gates.backward * is_open[:, None], gates.shortcut)


def block_names(net: nn.Module, params: Mapping[str, Any]) -> list[str]:
  """The names of the residual blocks, in the order of the net's gates.

  Args:
    net: of a family with residual branches.
    params: the net's parameters.

  Raises:
    InputError: the net also has blocks without a shortcut, which no gate closes.
  """
  names = []
  found = filter(None, (re.fullmatch(r'stage(\d+)_(?:block(\d+)|rest)', name) for name in params))
  # What is scanned, `rest`, begins with block 2 and is stacked along the first axis.
  for stage, block, module in sorted((int(m[1]), int(m[2] or 2), m[0]) for m in found):
    is_rest = module.endswith('_rest')
    length = jax.tree.leaves(params[module])[0].shape[0] if is_rest else 1
    names += [f'stage{stage}_block{block + i}' for i in range(length)]
  if len(names) != net.num_blocks:
    raise InputError(
      f'{len(names) - net.num_blocks} of the {len(names)} blocks of this {type(net).__name__} '
      'have no shortcut, and cannot be taken out; take a net that has one around every block'
    )
  return names
