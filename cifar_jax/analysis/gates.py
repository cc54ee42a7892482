"""Gates that open and close the residual branches of a trained net, and the blocks' names."""

import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cifar_jax.analysis.module_names import is_scanned
from cifar_jax.errors import InputError
from cifar_jax.models import layers
from cifar_jax.models.classifier import Gated


def gates_at_test_time(net: nn.Module) -> layers.Gates:
  """The gates of a net at test time, float32 `[blocks, branches]`.

  Raises:
    InputError: the net has no gates, or no shortcuts.
  """
  if not isinstance(net, Gated) or not net.has_shortcuts:
    raise InputError(
      f'a net of the kind {type(net).__name__} without residual shortcuts has no branches to '
      'open and close; take a residual net'
    )
  gates: Any = net.apply({}, 1, train=False, method='draw_gates')
  if gates is not None:
    return gates
  ones = jnp.ones((net.num_blocks, 1))
  return layers.Gates(ones, ones, ones[:, 0])


def close_gates(gates: layers.Gates, is_open: jax.Array) -> layers.Gates:
  """Closes the branches of some blocks, in the forward and in the backward pass.

  Args:
    gates: float32 `[blocks, branches]`.
    is_open: float32 `[blocks]`, 1 for a block whose branches stay open, 0 for the rest.
  """
  return layers.Gates(
    gates.forward * is_open[:, None], gates.backward * is_open[:, None], gates.shortcut
  )


def block_names(net: nn.Module, params: Mapping[str, Any]) -> list[str]:
  """The names of the residual blocks, in the order of the net's gates.

  Args:
    net: a `Gated` model.
    params: the parameters of the net.

  Raises:
    InputError: some blocks of the net have no shortcut, so that no gate closes them.
  """
  names = []
  matches = [re.fullmatch(r'stage(\d+)_(?:block(\d+)|rest)', name) for name in params]
  # A scanned run of blocks begins with block 2 of its stage and is stacked along the first axis.
  modules = sorted((int(m[1]), int(m[2] or 2), m[0]) for m in matches if m)
  for stage, first_block, module in modules:
    length = jax.tree.leaves(params[module])[0].shape[0] if is_scanned(module) else 1
    names += [f'stage{stage}_block{first_block + i}' for i in range(length)]
  if len(names) != net.num_blocks:
    raise InputError(
      f'{len(names) - net.num_blocks} of the {len(names)} blocks of this {type(net).__name__} '
      'have no shortcut and cannot be deleted; take a net that has one around every block'
    )
  return names
