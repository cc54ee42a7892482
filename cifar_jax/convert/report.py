"""What matched between two sets of named shapes, and what did not."""

import dataclasses
from collections.abc import Iterable, Mapping

SHOWN = 3  # of each list, in the one line; the lists themselves are whole

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Misshapen:
  """An array of a shape other than the one it must have."""

  name: str
  shape: Shape
  expected: Shape

  def __str__(self) -> str:
    """`name is [64, 3], not [10, 64]`."""
    return f'{self.name} is {list(self.shape)}, not {list(self.expected)}'


@dataclasses.dataclass(frozen=True)
class Report:
  """The outcome of a comparison, each list in the order of its side.

  Attributes:
    matched: names on both sides, with equal shapes.
    missing: names that are expected and not given.
    unknown: names that are given and have no place.
    misshapen: names on both sides, with different shapes.
  """

  matched: tuple[str, ...]
  missing: tuple[str, ...]
  unknown: tuple[str, ...]
  misshapen: tuple[Misshapen, ...]

  @property
  def complete(self) -> bool:
    """Whether everything matched."""
    return not (self.missing or self.unknown or self.misshapen)

  def __str__(self) -> str:
    """One line: the counts, and the first few names of each list that is not empty."""
    expected = len(self.matched) + len(self.missing) + len(self.misshapen)
    parts = [f'{len(self.matched)} of {expected} arrays match']
    for names, what in (
      (self.missing, 'missing'),
      (self.unknown, 'without a place'),
      (self.misshapen, 'of another shape'),
    ):
      if names:
        parts.append(f'{len(names)} {what} ({_first(names)})')
    return '; '.join(parts)


def match(given: Mapping[str, Shape], expected: Mapping[str, Shape]) -> Report:
  """Compares names and shapes."""
  both = [name for name in expected if name in given]
  return Report(
    matched=tuple(name for name in both if given[name] == expected[name]),
    missing=tuple(name for name in expected if name not in given),
    unknown=tuple(name for name in given if name not in expected),
    misshapen=tuple(
      Misshapen(name, given[name], expected[name]) for name in both if given[name] != expected[name]
    ),
  )


def _first(names: Iterable[object]) -> str:
  words = [str(name) for name in names]
  return ', '.join(words[:SHOWN] + ['...'] * (len(words) > SHOWN))
