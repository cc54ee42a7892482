"""Correlation of the branches of Shake-Shake nets: Gastaldi 2017, arXiv 1705.07485, section 4.

The output of a block's branch 1 is correlated with the output of branch 2, entry by entry, over the
images (section 4.1; covariance and variances are accumulated batch by batch). The mean over the
entries is the number of the block (figure 4).

Between layers (section 4.2, figure 5), the same is done for the outputs of each convolution inside
the branches. The norm after a convolution scales and shifts each channel, which does not change a
correlation, except for the sign of the scale.

Shake-Shake training decorrelates the branches: the numbers of a net trained with S-S-I lie below
those of E-E-B.
"""

import argparse
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.analysis import runner
from cifar_jax.analysis.intermediates import Path, record_outputs
from cifar_jax.analysis.module_names import by_numbers
from cifar_jax.analysis.sample import PADDING
from cifar_jax.errors import InputError
from cifar_jax.runtime.devices import jit_in_turn

# Of an entry's mean square: smaller variances are rounding errors of the sums in float32.
LEAST_VARIANCE = 1e-5
WHOLE = 'branch'  # stands for a whole branch where other keys are names of its layers


def module_pairs(params: Any) -> dict[str, list[tuple[Path, Path]]]:
  """The pairs of modules whose outputs are correlated.

  Args:
    params: the parameters of a net with two branches per block.

  Returns:
    For each convolution inside a branch, and for the whole branch (`WHOLE`): the paths of the
    module in branch 1 and in branch 2 of each block.

  Raises:
    InputError: the blocks of the net do not have two branches.
  """
  blocks = [name for name in params if {'branch1', 'branch2'} <= set(params[name])]
  if not blocks:
    raise InputError('its blocks do not have two branches; take a Shake-Shake net')
  blocks.sort(key=by_numbers)

  def pairs(*module: str) -> list[tuple[Path, Path]]:
    return [((block, 'branch1', *module), (block, 'branch2', *module)) for block in blocks]

  layers = sorted(name for name in params[blocks[0]]['branch1'] if name.startswith('conv'))
  return {layer: pairs(layer) for layer in layers} | {WHOLE: pairs()}


def sums_of_products(
  net: nn.Module, pairs: tuple[tuple[Path, Path], ...], variables: Any, images: jax.Array,
  counts: jax.Array,
) -> list[jax.Array]:  # fmt: skip
  """Sums over a batch, for each pair of modules and each entry of their outputs x and y.

  Args:
    net: in evaluation, with its running statistics.
    pairs: the paths of the modules.
    variables: parameters and statistics of the net.
    images: float32 `[batch, height, width, channels]`, normalised.
    counts: bool `[batch]`, False for images that do not count.

  Returns:
    For each pair the sums of x, y, x², y² and xy, float32 `[5, height, width, channels]`.
  """
  outputs = record_outputs(net, {path for pair in pairs for path in pair}, variables, images)
  counted = {p: jnp.where(counts[:, None, None, None], x, 0.0) for p, x in outputs.items()}
  xy = [(counted[first], counted[second]) for first, second in pairs]
  return [
    jnp.stack([jnp.sum(value, axis=0) for value in (x, y, x * x, y * y, x * y)]) for x, y in xy
  ]


def correlation(sums: np.ndarray, count: int) -> float:
  """The mean over the entries of their correlations.

  Args:
    sums: float64 `[5, ...]`, the sums of x, y, x², y² and xy over the images.
    count: number of images.

  Returns:
    A value in [-1, 1]. Entries that do not vary, or by less than `LEAST_VARIANCE`, are left
    out; NaN if no entry varies.
  """
  x, y, xx, yy, xy = sums / count
  variances = (xx - x * x) * (yy - y * y)
  varies = (xx - x * x > LEAST_VARIANCE * xx) & (yy - y * y > LEAST_VARIANCE * yy)
  if not varies.any():
    return float('nan')
  return float(np.mean((xy - x * y)[varies] / np.sqrt(variances[varies])))


def measure(run: runner.AnalysedRun, arguments: argparse.Namespace) -> dict[str, Any]:
  """Measures the correlations of a run's net; ready for JSON."""
  del arguments
  net: Any = run.model
  pairs = module_pairs(run.variables['params'])
  all_pairs = tuple(pair for of_layer in pairs.values() for pair in of_layer)
  # Compiled anew in each analysis: a net that a notebook has changed may equal the one before.
  products = jit_in_turn(functools.partial(sums_of_products, net, all_pairs))
  totals: list[Any] = [0.0] * len(all_pairs)
  for images, labels in run.sample:
    sums = products(run.variables, images, labels != PADDING)
    totals = [
      total + np.asarray(of_batch, np.float64) for total, of_batch in zip(totals, sums, strict=True)
    ]
  values = iter(correlation(total, run.sample.size) for total in totals)
  return {
    'mode': {'forward': net.forward, 'backward': net.backward, 'level': net.level},
    'blocks': [first[0] for first, _ in pairs[WHOLE]],
    'correlation': {layer: [next(values) for _ in of_layer] for layer, of_layer in pairs.items()},
  }


def format_table(results: dict[str, Any]) -> str:
  """Formats the results, one line per block and one column per layer."""
  layers = list(results['correlation'])
  lines = [f'{"block":16}' + ''.join(f'{layer:>9}' for layer in layers)]
  for i, block in enumerate(results['blocks']):
    row = (results['correlation'][layer][i] for layer in layers)
    lines.append(f'{block:16}' + ''.join(f'{value:9.3f}' for value in row))
  return '\n'.join(lines)
