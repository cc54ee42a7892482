"""Short names for several runs that stand side by side, in a table or a picture."""

import collections
import pathlib
from collections.abc import Sequence


def of_directories(directories: Sequence[pathlib.Path]) -> list[str]:
  """Returns a name for each directory, unlike all the others.

  It is the last part of the directory's resolved path, such as `resnet20`. Where different
  directories have that part in common, as the `seed0` of a study's entries, the name has as many
  parts more as it takes to tell them apart, such as `se/seed0`. A directory that is given twice is
  numbered.
  """
  paths = [directory.resolve() for directory in directories]
  return numbered(
    [_shortest_tail(path, {other for other in paths if other != path}) for path in paths]
  )


def numbered(names: Sequence[str]) -> list[str]:
  """Returns the names, with ` 2`, ` 3`, ... at the end of those that occurred before."""
  taken, counts, result = set(names), collections.Counter[str](), []
  for name in names:
    counts[name] += 1
    unique = name
    while counts[name] > 1 and (unique := f'{name} {counts[name]}') in taken:
      counts[name] += 1
    taken.add(unique)
    result.append(unique)
  return result


def _shortest_tail(path: pathlib.Path, others: set[pathlib.Path]) -> str:
  """The last parts of a path, as few as no other path ends in; the whole path if all do."""
  for count in range(1, len(path.parts)):
    tail = path.parts[-count:]
    if all(other.parts[-count:] != tail for other in others):
      return '/'.join(tail)
  return str(path)
