"""From the names of our layers to those of a Torch implementation, by ordered tables.

A table is read in one direction only; the engine names every layer of a model by it and looks names
up in what came out, so that the way back cannot differ from the way there.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

Rename = Callable[[Sequence[str]], dict[str, str]]

UNIT = r'stage(\d+)_block(\d+)'
# The last part of a Flax path, and of a state_dict's name.
LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}
BATCHES = 'num_batches_tracked'  # a counter that Torch keeps in each norm; nothing reads it here


class Rules(NamedTuple):
  """What a Torch implementation of one family calls its layers.

  Attributes:
    rename: from the dotted names of all layers of a model to those of the implementation.
    pointwise: a pattern of its names that are 1x1 convolutions where ours are dense layers.
  """

  rename: Rename
  pointwise: str = ''


class Row(NamedTuple):
  """One line of a table.

  Attributes:
    pattern: of the whole name of our layer.
    name: the other's, where `{2}` is the pattern's second group and `{2-1}` that number less one.
    beside: a layer, written as `name` is, that the model must have for the line to hold.
  """

  pattern: str
  name: str
  beside: str = ''


def table(*rows: tuple[str, ...]) -> Rename:
  """Renames each layer by the first row that holds; a layer without one keeps its name."""
  lines = [Row(*row) for row in rows]

  def rename(names: Sequence[str]) -> dict[str, str]:
    have = set(names)
    return {name: _renamed(name, lines, have) for name in names}

  return rename


def _renamed(name: str, lines: list[Row], have: set[str]) -> str:
  for line in lines:
    match = re.fullmatch(line.pattern, name)
    if match and (not line.beside or _filled(line.beside, match) in have):
      return _filled(line.name, match)
  return name


def _filled(template: str, match: re.Match[str]) -> str:
  def value(field: re.Match[str]) -> str:
    group = match[int(field[1])]
    return str(int(group) + int(field[2])) if field[2] else group

  return re.sub(r'\{(\d)([+-]\d)?\}', value, template)
