"""How alike the branches of a Shake-Shake net are: Gastaldi 2017, arXiv 1705.07485, section 4.

For each block, each entry of what branch 1 gives is correlated over the images with the same entry
of branch 2 (covariance and variances gathered online, as section 4.1 lists it), and the mean over
the entries is the block's number (figure 4). Between layers (figure 5, section 4.2): likewise for
what each convolution inside the branches gives; a norm, which scales and shifts each channel, has
those of what it norms, but for the sign of its scale. Shaking pulls the branches apart: the numbers
of a net trained with S-S-I lie below those of E-E-B.
"""

import functools
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.analysis import command, recording
from cifar_jax.analysis.recording import Path
from cifar_jax.analysis.sample import PADDING
from cifar_jax.errors import InputError
from cifar_jax.report import branch_correlation as report

# The result of a branch, under the name of no layer.
WHOLE = 'branch'


def compared(params: Any) -> dict[str, list[tuple[Path, Path]]]:
  """What is correlated: for each layer, the paths in branches 1 and 2 of each block.

  Args:
    params: of a net with branches.

  Raises:
    InputError: its blocks have no two branches.
  """
  blocks = [name for name in params if {'branch1', 'branch2'} <= set(params[name])]
  if not blocks:
    raise InputError('its blocks do not have two branches; take a Shake-Shake net')
  blocks.sort(key=lambda name: [int(number) for number in re.findall(r'\d+', name)])
  layers = sorted(name for name in params[blocks[0]]['branch1'] if name.startswith('conv'))
  pair = lambda block, *layer: ((block, 'branch1', *layer), (block, 'branch2', *layer))  # noqa: E731
  return {
    **{layer: [pair(block, layer) for block in blocks] for layer in layers},
    WHOLE: [pair(block) for block in blocks],
  }


@functools.partial(jax.jit, static_argnums=(0, 1))
def moments(
  net: nn.Module, paths: tuple[tuple[Path, Path], ...], variables: Any, images: jax.Array,
  counts: jax.Array,
) -> Any:  # fmt: skip
  """Sums over a batch, for each pair of modules and each entry of what they give.

  Args:
    net: evaluated with its running statistics.
    paths: of the pairs.
    variables: parameters and statistics.
    images: float32 `[batch, height, width, channels]`, normalised.
    counts: bool `[batch]`, which of them count.

  Returns:
    For each pair the sums of x, y, x², y² and xy, float32 `[5, height, width, channels]`.
  """
  recorded = recording.results(net, {path for pair in paths for path in pair}, variables, images)
  given = {p: jnp.where(counts[:, None, None, None], x, 0.0) for p, x in recorded.items()}
  pairs = [(given[first], given[second]) for first, second in paths]
  return [
    jnp.stack([jnp.sum(value, axis=0) for value in (x, y, x * x, y * y, x * y)]) for x, y in pairs
  ]


def correlation(sums: np.ndarray, count: int) -> float:
  """The mean over the entries of their correlations.

  Args:
    sums: float64 `[5, ...]`, of x, y, x², y² and xy over the images.
    count: how many images.

  Returns:
    In [-1, 1]; entries that do not vary are left out, and NaN where none varies.
  """
  x, y, xx, yy, xy = sums / count
  variances = (xx - x * x) * (yy - y * y)
  varying = (xx - x * x > 1e-9 * xx) & (yy - y * y > 1e-9 * yy)
  if not varying.any():
    return float('nan')
  return float(np.mean((xy - x * y)[varying] / np.sqrt(variances[varying])))


def measure(opened: command.Opened, arguments: Any) -> dict[str, Any]:
  """The correlations of a run's net, ready for JSON."""
  del arguments
  pairs = compared(opened.variables['params'])
  flat = tuple(pair for of_layer in pairs.values() for pair in of_layer)
  totals: Any = [0.0] * len(flat)
  for images, labels in opened.sample:
    found = moments(opened.model, flat, opened.variables, images, labels != PADDING)
    totals = [total + np.asarray(sums, np.float64) for total, sums in zip(totals, found,
                                                                       strict=True)]  # fmt: skip
  values = iter(correlation(sums, opened.sample.size) for sums in totals)
  by_layer = {layer: [next(values) for _ in of_layer] for layer, of_layer in pairs.items()}
  settings = {name: getattr(opened.model, name) for name in ('forward', 'backward', 'level')}
  return {
    'mode': settings,
    'blocks': [first[0] for first, _ in pairs[WHOLE]],
    'correlation': by_layer,
  }


def text(told: dict[str, Any]) -> str:
  """A line a block, a column a layer."""
  layers = list(told['correlation'])
  lines = [f'{"block":16}' + ''.join(f'{layer:>9}' for layer in layers)]
  for i, block in enumerate(told['blocks']):
    row = (told['correlation'][layer][i] for layer in layers)
    lines.append(f'{block:16}' + ''.join(f'{value:9.3f}' for value in row))
  return '\n'.join(lines)


def main() -> None:
  """Correlates the two branches of trained Shake-Shake nets, block by block and layer by layer."""
  parser = command.Parser(
    prog='python -m cifar_jax.analysis.branch_correlation', description=main.__doc__
  )
  command.analyse('branch_correlation', parser, measure, text, report.figure)


if __name__ == '__main__':
  command.run(main)
