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
  for stage, block in sorted(_stages_and_blocks(params)):
    if block != 'rest':
      names.append(f'stage{stage}_block{block}')
    else:  # a scanned stage's, stacked along the first axis
      length = len(jax.tree.leaves(params[f'stage{stage}_rest'])[0])
      names += [f'stage{stage}_block{2 + i}' for i in range(length)]
  if len(names) != net.num_blocks:
    raise InputError(
      f'{len(names) - net.num_blocks} of the {len(names)} blocks of this {type(net).__name__} '
      'have no shortcut, and cannot be taken out; take a net that has one around every block'
    )
  return names


def _stages_and_blocks(params: Mapping[str, Any]) -> list[tuple[int, Any]]:
  found = [re.fullmatch(r'stage(\d+)_(?:block(\d+)|(rest))', name) for name in params]
  # `rest` follows block 1, the only other one of its stage.
  return [(int(m[1]), m[3] or int(m[2])) for m in found if m]
