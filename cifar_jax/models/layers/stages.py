"""The stages of a residual net: one block after another; long stages are scanned."""

from collections.abc import Sequence
from typing import Any, Protocol

import flax.linen as nn
import jax

from cifar_jax.models.layers.residual import Gates

# A stage with more blocks than this is scanned: compiled once instead of once per block. Shorter
# stages compile fast enough, and unrolled they run without a scan's copies. Both are measured in
# benchmarks/results/compile_time.json.
SCAN_FROM = 64


class MakeBlock(Protocol):
  """Makes a block of a stage (0, 1, ...); all blocks of a stage but the first are equal."""

  def __call__(self, stage: int, first: bool, name: str) -> Any:
    """A Linen module that maps an array and its gates to an array."""


def run_stages(
  make_block: MakeBlock, x: jax.Array, gates: Gates | None, stage_sizes: Sequence[int]
) -> jax.Array:
  """Applies all blocks of a net. To be called in a compact method.

  The blocks are named `stage1_block1`, `stage1_block2`, ... Where a stage has more than `SCAN_FROM`
  blocks, all but the first are scanned: their parameters, statistics and recorded activations are
  stacked along a leading axis, under the name `stage1_rest`.

  Args:
    make_block: makes a block of the net.
    x: `[batch, height, width, channels]`.
    gates: gates of all blocks, with a leading axis of `sum(stage_sizes)`; or None.
    stage_sizes: number of blocks of each stage.

  Returns:
    `[batch, height', width', channels']` of the dtype that the blocks give.
  """
  done = 0
  for stage, size in enumerate(stage_sizes):
    stage_gates = None if gates is None else Gates(*(gate[done : done + size] for gate in gates))
    name = f'stage{stage + 1}'
    first = make_block(stage, True, f'{name}_block1')
    x = first(x, stage_gates and stage_gates.of_block(0))
    if size > SCAN_FROM:
      rest = make_block(stage, False, f'{name}_rest')
      rest_gates = stage_gates and Gates(*(gate[1:] for gate in stage_gates))
      x = _scan(rest, x, rest_gates, size - 1)
    else:
      for i in range(1, size):
        block = make_block(stage, False, f'{name}_block{i + 1}')
        x = block(x, stage_gates and stage_gates.of_block(i))
    done += size
  return x


def _scan(block: nn.Module, x: jax.Array, gates: Gates | None, length: int) -> jax.Array:
  def body(block: nn.Module, x: jax.Array, gates: Gates | None) -> tuple[jax.Array, None]:
    return block(x, gates), None

  scanned = nn.scan(
    body,
    variable_axes={'params': 0, 'batch_stats': 0, 'intermediates': 0},
    split_rngs={'params': True, 'dropout': True},
    length=length,
  )
  return scanned(block, x, gates)[0]
