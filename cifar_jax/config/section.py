"""A section of a configuration: a dataclass whose fields carry their defaults and their limits."""

import dataclasses
import math
from typing import Any, ClassVar

from cifar_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Limits:
  """The values that a key may have. Numbers must also be finite.

  Attributes:
    at_least: the smallest value.
    above: a bound that the value must exceed.
    at_most: the largest value.
    below: a bound that the value must stay under.
    one_of: the possible values of a text; empty for a number.
    meaning: an explanation for the message, such as the unit.
  """

  at_least: float | None = None
  above: float | None = None
  at_most: float | None = None
  below: float | None = None
  one_of: tuple[str, ...] = ()
  meaning: str = ''

  def allow(self, value: Any) -> bool:
    """Whether `value` is within the limits."""
    if self.one_of:
      return value in self.one_of
    return (
      -math.inf < value < math.inf
      and (self.at_least is None or value >= self.at_least)
      and (self.above is None or value > self.above)
      and (self.at_most is None or value <= self.at_most)
      and (self.below is None or value < self.below)
    )

  def __str__(self) -> str:
    """The limits in words, to follow 'it must be'."""
    if self.one_of:
      return f'one of {", ".join(self.one_of)}'
    bounds = {
      'at least': self.at_least, 'above': self.above, 'at most': self.at_most, 'below': self.below,
    }  # fmt: skip
    words = [f'{name} {bound:g}' for name, bound in bounds.items() if bound is not None]
    return ' and '.join(words) + (f' ({self.meaning})' if self.meaning else '')


def setting(default: Any, **limits: Any) -> Any:
  """Makes a field of a section from its default and the fields of its `Limits`."""
  return dataclasses.field(default=default, metadata={'limits': Limits(**limits)})


@dataclasses.dataclass(frozen=True)
class Section:
  """The base class of all sections, which checks each field against its limits.

  Attributes:
    NAME: the section's name in a configuration.
  """

  NAME: ClassVar[str]

  def __post_init__(self) -> None:
    """Raises InputError for the first value outside its limits."""
    for field in dataclasses.fields(self):
      limits, value = field.metadata.get('limits'), getattr(self, field.name)
      if limits and not limits.allow(value):
        raise InputError(f'{self.NAME}.{field.name} is {value!r}; it must be {limits}')
