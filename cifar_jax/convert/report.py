"""Compares two sets of named shapes, and reports what matches and what does not."""

import dataclasses
from collections.abc import Iterable, Mapping

SHOWN_NAMES = 3  # of each list, in the one-line summary; the lists themselves are complete

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Misshapen:
  """An array of another shape than the one that is expected."""

  name: str
  shape: Shape
  expected: Shape

  def __str__(self) -> str:
    """Returns a text such as `name is [64, 3], not [10, 64]`."""
    return f'{self.name} is {list(self.shape)}, not {list(self.expected)}'


@dataclasses.dataclass(frozen=True)
class Report:
  """The result of a comparison.

  Attributes:
    matched: names on both sides, with equal shapes, in the order of the expected ones.
    missing: names that are expected and not given.
    unknown: names that are given and not expected.
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
    """Returns one line: the counts, and the first few names of each list that is not empty."""
    expected = len(self.matched) + len(self.missing) + len(self.misshapen)
    phrases = [f'{len(self.matched)} of {expected} arrays match']
    for names, problem in (
      (self.missing, 'missing'),
      (self.unknown, 'unknown'),
      (self.misshapen, 'of another shape'),
    ):
      if names:
        phrases.append(f'{len(names)} {problem} ({_first_names(names)})')
    return '; '.join(phrases)


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


def _first_names(names: Iterable[object]) -> str:
  words = [str(name) for name in names]
  return ', '.join(words[:SHOWN_NAMES] + ['...'] * (len(words) > SHOWN_NAMES))
