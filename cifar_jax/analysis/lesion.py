"""Layers taken out of a trained net: Veit et al. 2016, arXiv 1605.06431, section 4.

A residual block is deleted by closing its branch: what it was given goes on through its shortcut.
In a net without shortcuts (VGG, plain) the layer is passed by: where it would stride every second
pixel goes on, and where it would widen, zero channels are added. Three lesions:

  each      one block at a time (section 4.1, figure 3; Han et al. 2017, arXiv 1610.02915, figure 4,
            compare where the error rises: in ResNets at the blocks that down-sample, in PyramidNets
            evenly);
  several   k blocks drawn at random (section 4.2, figure 5a);
  permuted  blocks of the same shape exchanged at random, against Kendall's rank correlation of
            their order with the trained one (section 4.3, figure 5b).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from cifar_jax.analysis import command, gating
from cifar_jax.analysis.sample import Sample
from cifar_jax.models import layers
from cifar_jax.report import lesion as report

Variables = Mapping[str, Any]


class Parts(NamedTuple):
  """What can be deleted from a net.

  Attributes:
    names: of the blocks or layers, in order.
    logits: `(variables, images, is_there) -> [batch, num_classes]`, where `is_there`, float32
      `[parts]`, is 0 for what is deleted and 1 for what is not.
  """

  names: list[str]
  logits: Callable[[Variables, jax.Array, jax.Array], jax.Array]

  @property
  def down_sampling(self) -> list[bool]:
    """Of each, whether it is the first of a stage but the first, which halves the map."""
    return [bool(re.fullmatch(r'stage([2-9]|\d\d)_[a-z]+1', name)) for name in self.names]


def parts_of(net: nn.Module, variables: Variables) -> Parts:
  """The residual blocks of a net, or the convolutional layers of a VGG.

  Raises:
    InputError: a net of another kind.
  """
  names = list(variables['params'])
  if any(re.fullmatch(r'stage\d+_conv\d+', name) for name in names):  # VGG
    return _passed_by(net, [name for name in names if '_conv' in name])
  if getattr(net, 'shortcut', '') == 'none':
    return _passed_by(net, [name for name in names if '_block' in name])
  gates = gating.at_test_time(net)

  def logits(variables: Variables, images: jax.Array, is_there: jax.Array) -> Any:
    return net.apply(variables, images, train=False, gates=gating.close(gates, is_there))

  return Parts(gating.block_names(net, variables['params']), logits)


def _passed_by(net: nn.Module, names: list[str]) -> Parts:
  """Deletes by sending on, in the place of a module's result, what it was given."""
  names = sorted(names, key=lambda name: [int(number) for number in re.findall(r'\d+', name)])
  # The norm goes with its convolution.
  index = {name.replace('_conv', suffix): i for i, name in enumerate(names) for suffix in
           ('_conv', '_norm')}  # fmt: skip

  def logits(variables: Variables, images: jax.Array, is_there: jax.Array) -> Any:
    def pass_by(call: Any, arguments: Any, fields: Any, context: Any) -> Any:
      result = call(*arguments, **fields)
      path = context.module.path
      if context.method_name != '__call__' or len(path) != 1 or path[0] not in index:
        return result
      given = layers.subsample(arguments[0], arguments[0].shape[1] // result.shape[1])
      given = layers.pad_channels(given, result.shape[-1])
      return jnp.where(is_there[index[path[0]]] > 0, result, given)

    with nn.intercept_methods(pass_by):
      return net.apply(variables, images, train=False)

  return Parts(names, logits)


class Lesions:
  """The errors of a net with lesions, on a sample."""

  def __init__(self, parts: Parts, variables: Variables, sample: Sample) -> None:
    """Compiles nothing yet.

    Args:
      parts: of the net.
      variables: its parameters and statistics.
      sample: what the error is measured on.
    """
    self._parts, self._variables, self._sample = parts, variables, sample

    def count(variables: Variables, is_there: jax.Array, images: jax.Array, labels: jax.Array):
      logits = parts.logits(variables, images, is_there)
      return jnp.sum(jnp.argmax(logits, axis=-1) == labels)

    self._count_correct = jax.jit(count)

  def error(self, is_there: jax.typing.ArrayLike, variables: Variables | None = None) -> float:
    """The error in [0, 1].

    Args:
      is_there: bool or float `[parts]`, false for what is deleted.
      variables: in the place of the trained ones.
    """
    variables = self._variables if variables is None else variables
    kept = jnp.asarray(is_there, jnp.float32)
    correct = [self._count_correct(variables, kept, *batch) for batch in self._sample]
    return 1.0 - int(sum(correct)) / self._sample.size

  def whole(self) -> float:
    """The error of the net as it was trained."""
    return self.error(np.ones(len(self._parts.names)))

  def each(self) -> list[float]:
    """The error without one part, of each."""
    return [self.error(row) for row in 1 - np.eye(len(self._parts.names))]

  def several(self, counts: Sequence[int], draws: int, random: np.random.Generator) -> Any:
    """The errors without `count` parts drawn at random, `draws` times, for each of `counts`."""
    num_parts = len(self._parts.names)
    rows = []
    for count in counts:
      deleted = [random.choice(num_parts, count, replace=False) for _ in range(draws)]
      kept = [~np.isin(np.arange(num_parts), which) for which in deleted]
      rows.append({'deleted': count, 'errors': [self.error(is_there) for is_there in kept]})
    return rows

  def permuted(self, swaps: Sequence[int], draws: int, random: np.random.Generator) -> Any:
    """The errors with pairs of blocks of the same shape exchanged, and how far from order they are.

    Args:
      swaps: numbers of exchanges, one after another.
      draws: how often for each.
      random: what draws the pairs.
    """
    groups = interchangeable(self._parts.names, self._variables)
    pairs = [(i, j) for group in groups for i in group for j in group if i < j]
    rows = []
    for count in swaps if pairs else ():
      for _ in range(draws):
        order = np.arange(len(self._parts.names))
        for i, j in random.choice(pairs, count):
          order[[i, j]] = order[[j, i]]
        error = self.error(np.ones(len(order)), permute(self._parts.names, self._variables, order))
        tau = scipy.stats.kendalltau(np.arange(len(order)), order).statistic
        rows.append({'swaps': count, 'kendall_tau': float(tau), 'error': error})
    return rows


def interchangeable(names: list[str], variables: Variables) -> list[list[int]]:
  """The blocks, by index, whose variables have the same names and shapes, in groups.

  Those of a scanned stage, which are stacked, are left out; so are layers that are no blocks.
  """
  groups: dict[Any, list[int]] = {}
  for i, name in enumerate(names):
    if '_block' in name and name in variables['params']:
      shapes = jax.tree.map(np.shape, _of_block(name, variables))
      groups.setdefault((name.partition('_')[0], str(shapes)), []).append(i)
  return [group for group in groups.values() if len(group) > 1]


def permute(names: list[str], variables: Variables, order: np.ndarray) -> Variables:
  """The variables with the blocks in another order.

  Args:
    names: of the blocks.
    variables: parameters and statistics.
    order: int `[blocks]`: the block at i becomes that of `order[i]`.
  """
  moved = {collection: dict(tree) for collection, tree in variables.items()}
  for i, j in enumerate(order):
    if i != j:
      for collection, tree in _of_block(names[j], variables).items():
        moved[collection][names[i]] = tree
  return moved


def _of_block(name: str, variables: Variables) -> dict[str, Any]:
  return {collection: tree[name] for collection, tree in variables.items() if name in tree}


def measure(opened: command.Opened, arguments: Any) -> dict[str, Any]:
  """All lesions of a run's net, ready for JSON; errors are in [0, 1]."""
  parts = parts_of(opened.model, opened.variables)
  lesions = Lesions(parts, opened.variables, opened.sample)
  random = np.random.default_rng(arguments.seed)
  num_parts = len(parts.names)
  each = zip(parts.names, parts.down_sampling, lesions.each(), strict=True)
  counts = sorted({round(share * num_parts) for share in np.linspace(0, 1, 11)[1:]} - {0})
  swaps = sorted({max(1, round(share * num_parts)) for share in (0.1, 0.2, 0.3, 0.5, 0.75, 1.0)})
  return {
    'error': lesions.whole(),
    'each': [{'name': name, 'down_sampling': down, 'error': error} for name, down, error in each],
    'several': lesions.several(counts, arguments.draws, random),
    'permuted': lesions.permuted(swaps, arguments.draws, random),
  }


def text(told: dict[str, Any]) -> str:
  """The table of the blocks, and a line a count."""
  lines = [f'whole net: {told["error"]:.2%} error', 'without one of:']
  lines += [
    f'  {row["name"]:16}{row["error"]:8.2%}{"  down-sampling" if row["down_sampling"] else ""}'
    for row in told['each']
  ]
  lines += ['without several, at random (median):']
  lines += [f'  {row["deleted"]:3}{np.median(row["errors"]):8.2%}' for row in told['several']]
  return '\n'.join(lines)


def main() -> None:
  """Deletes and permutes the blocks of trained nets, and measures the error."""
  parser = command.Parser(prog='python -m cifar_jax.analysis.lesion', description=main.__doc__)
  parser.add_argument('--draws', type=command.positive, default=10, help='of each random lesion')
  parser.add_argument('--seed', type=int, default=0, help='of the random lesions')
  command.analyse('lesion', parser, measure, text, report.figure)


if __name__ == '__main__':
  command.run(main)
