"""Tables that map the names of our layers to those of a Torch implementation.

A table is read in one direction only. The engine names every layer of a model by it and looks up
Torch's names among the results, so that both directions of a conversion agree.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

Rename = Callable[[Sequence[str]], dict[str, str]]

UNIT = r'stage(\d+)_block(\d+)'
# From the last part of a Flax path to the last part of a name in a state_dict.
LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}
COUNTER = 'num_batches_tracked'  # of each norm in Torch; not read here


class Channels(NamedTuple):
  """Where an implementation has the channels of one of our layers; empty for the same order.

  Attributes:
    inputs: the index there of each channel that the layer reads.
    outputs: the index there of each channel that the layer makes.
  """

  inputs: tuple[int, ...] = ()
  outputs: tuple[int, ...] = ()


class Rules(NamedTuple):
  """The names that a Torch implementation gives to the layers of one family.

  Attributes:
    rename: maps the dotted names of all layers of a model to the implementation's names.
    pointwise: regular expression of the implementation's names that are 1x1 convolutions where our
      layers are dense.
    channels_of: where the implementation has the channels of a layer with a dotted name of ours.
  """

  rename: Rename
  pointwise: str = ''
  channels_of: Callable[[str], Channels] = lambda _: Channels()


class Row(NamedTuple):
  """A line of a table.

  Attributes:
    pattern: regular expression of the whole name of our layer.
    name: template of the implementation's name, in which `{2}` is the pattern's second group, and
      `{2-1}` that number less one.
    requires: template of the name of one of our layers that the model must have for the line to
      apply; empty for none.
  """

  pattern: str
  name: str
  requires: str = ''


def table(*rows: tuple[str, ...]) -> Rename:
  """Returns a function that renames each layer by the first row that applies.

  A layer without such a row keeps its name.
  """
  lines = [Row(*row) for row in rows]

  def rename(names: Sequence[str]) -> dict[str, str]:
    layers = set(names)
    return {name: _rename_one(name, lines, layers) for name in names}

  return rename


def _rename_one(name: str, lines: list[Row], layers: set[str]) -> str:
  for line in lines:
    match = re.fullmatch(line.pattern, name)
    if match and (not line.requires or _fill_in(line.requires, match) in layers):
      return _fill_in(line.name, match)
  return name


def _fill_in(template: str, match: re.Match[str]) -> str:
  def value(field: re.Match[str]) -> str:
    group = match[int(field[1])]
    return str(int(group) + int(field[2])) if field[2] else group

  return re.sub(r'\{(\d)([+-]\d)?\}', value, template)
