"""Lesions of a trained net: Veit et al. 2016, arXiv 1605.06431, section 4.

`deletion.py` says how a block or layer is deleted. There are three lesions:

  each      one block at a time (section 4.1, figure 3). Han et al. 2017, arXiv 1610.02915,
            figure 4, compare where the error rises: in ResNets at the blocks that down-sample, in
            PyramidNets evenly.
  several   k random blocks (section 4.2, figure 5a).
  permuted  random exchanges of blocks of the same shape, against Kendall's rank correlation of the
            new order with the trained one (section 4.3, figure 5b).
"""

import argparse
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from cifar_jax.analysis import runner
from cifar_jax.analysis.deletion import Units, Variables, deletable_units, down_sampling
from cifar_jax.analysis.sample import Sample
from cifar_jax.runtime.devices import jit_in_turn


class Lesions:
  """The errors of a net with lesions, on a sample."""

  def __init__(self, units: Units, variables: Variables, sample: Sample) -> None:
    """Defines the error, which is compiled at the first call.

    Args:
      units: the units of the net that can be deleted.
      variables: parameters and statistics of the net.
      sample: the images that the error is measured on.
    """
    self._names, self._variables, self._sample = units.names, variables, sample

    def count_correct(
      variables: Variables, is_present: jax.Array, images: jax.Array, labels: jax.Array
    ) -> jax.Array:
      logits = units.logits(variables, images, is_present)
      return jnp.sum(jnp.argmax(logits, axis=-1) == labels)

    self._count_correct = jit_in_turn(count_correct)

  def error(self, is_present: jax.typing.ArrayLike, variables: Variables | None = None) -> float:
    """The error in [0, 1].

    Args:
      is_present: bool or float `[units]`, false for a deleted unit.
      variables: replace those of the trained net.
    """
    variables = self._variables if variables is None else variables
    is_present = jnp.asarray(is_present, jnp.float32)
    correct = [self._count_correct(variables, is_present, *batch) for batch in self._sample]
    return 1.0 - int(sum(correct)) / self._sample.size

  def whole_net(self) -> float:
    """The error of the net without a lesion."""
    return self.error(np.ones(len(self._names)))

  def each_deleted(self) -> list[float]:
    """For each unit, the error without it."""
    return [self.error(row) for row in 1 - np.eye(len(self._names))]

  def several_deleted(
    self, counts: Sequence[int], draws: int, random: np.random.Generator
  ) -> list[dict[str, Any]]:
    """The errors without several random units.

    Args:
      counts: numbers of units to delete.
      draws: number of random choices per count.
      random: the random generator.

    Returns:
      For each count a dictionary with the count, `deleted`, and the `errors` of all draws.
    """
    num_units = len(self._names)
    rows = []
    for count in counts:
      choices = [random.choice(num_units, count, replace=False) for _ in range(draws)]
      present = [~np.isin(np.arange(num_units), deleted) for deleted in choices]
      rows.append({'deleted': count, 'errors': [self.error(is_present) for is_present in present]})
    return rows

  def permuted(
    self, swaps: Sequence[int], draws: int, random: np.random.Generator
  ) -> list[dict[str, Any]]:
    """The errors after random exchanges of two blocks of the same shape.

    Args:
      swaps: numbers of exchanges, one after another.
      draws: number of random choices per number of exchanges.
      random: the random generator.

    Returns:
      For each draw a dictionary with `swaps`, `kendall_tau` (rank correlation with the trained
      order) and `error`; empty if no two blocks can be exchanged.
    """
    groups = interchangeable_blocks(self._names, self._variables)
    pairs = [(i, j) for group in groups for i in group for j in group if i < j]
    rows = []
    for count in swaps if pairs else ():
      for _ in range(draws):
        order = np.arange(len(self._names))
        for i, j in random.choice(pairs, count):
          order[[i, j]] = order[[j, i]]
        error = self.error(np.ones(len(order)), permute(self._names, self._variables, order))
        tau = scipy.stats.kendalltau(np.arange(len(order)), order).statistic
        rows.append({'swaps': count, 'kendall_tau': float(tau), 'error': error})
    return rows


def interchangeable_blocks(names: list[str], variables: Variables) -> list[list[int]]:
  """Groups of blocks of one stage whose variables have the same names and shapes.

  Blocks of a scanned stage, whose variables are stacked, are left out, and so are layers that are
  not blocks.

  Args:
    names: names of the units.
    variables: parameters and statistics of the net.

  Returns:
    The groups of two or more blocks, by their indices in `names`.
  """
  groups: dict[Any, list[int]] = {}
  for i, name in enumerate(names):
    if '_block' in name and name in variables['params']:
      shapes = jax.tree.map(np.shape, _block_variables(name, variables))
      stage = name.partition('_')[0]
      groups.setdefault((stage, str(shapes)), []).append(i)
  return [group for group in groups.values() if len(group) > 1]


def permute(names: list[str], variables: Variables, order: np.ndarray) -> Variables:
  """The variables of a net with its blocks in another order.

  Args:
    names: names of the blocks.
    variables: parameters and statistics of the net.
    order: int `[blocks]`: the block at position i becomes the block `order[i]`.
  """
  permuted = {collection: dict(tree) for collection, tree in variables.items()}
  for i, j in enumerate(order):
    if i != j:
      for collection, tree in _block_variables(names[j], variables).items():
        permuted[collection][names[i]] = tree
  return permuted


def _block_variables(name: str, variables: Variables) -> dict[str, Any]:
  """The parameters and statistics of one block, by collection."""
  return {collection: tree[name] for collection, tree in variables.items() if name in tree}


def measure(run: runner.AnalysedRun, arguments: argparse.Namespace) -> dict[str, Any]:
  """Measures all lesions of a run's net; ready for JSON, with errors in [0, 1]."""
  units = deletable_units(run.model, run.variables)
  lesions = Lesions(units, run.variables, run.sample)
  random = np.random.default_rng(arguments.seed)
  num_units = len(units.names)
  reduces = down_sampling(run.model, run.variables, units.names)
  each = zip(units.names, reduces, lesions.each_deleted(), strict=True)
  counts = sorted({round(share * num_units) for share in np.linspace(0, 1, 11)[1:]} - {0})
  swaps = sorted({max(1, round(share * num_units)) for share in (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)})
  return {
    'error': lesions.whole_net(),
    'each': [{'name': name, 'down_sampling': down, 'error': error} for name, down, error in each],
    'several': lesions.several_deleted(counts, arguments.draws, random),
    'permuted': lesions.permuted(swaps, arguments.draws, random),
  }


def format_table(results: dict[str, Any]) -> str:
  """Formats the results: a line per block, and a line per number of deleted blocks."""
  lines = [f'whole net: {results["error"]:.2%} error', 'without one of:']
  lines += [
    f'  {row["name"]:16}{row["error"]:8.2%}{"  down-sampling" if row["down_sampling"] else ""}'
    for row in results['each']
  ]
  lines += ['without several, at random (median):']
  lines += [f'  {row["deleted"]:3}{np.median(row["errors"]):8.2%}' for row in results['several']]
  return '\n'.join(lines)
