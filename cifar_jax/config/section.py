"""A section of a configuration: a dataclass whose fields carry their defaults and their limits."""

import dataclasses
import math
from typing import Any, ClassVar

from cifar_jax.errors import InputError

LARGEST_INT = 2**31 - 1  # JAX computes with 32 bits
LARGEST_FLOAT = 3.4e38
_LONGEST = 100  # characters of a value in a message


@dataclasses.dataclass(frozen=True)
class Limits:
  """The values that a key may have. Numbers must also be finite, and fit into 32 bits.

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
        raise InputError(f'{self.NAME}.{field.name} is {shortened(value)}; it must be {limits}')
      if limits and not limits.below:
        check_size(f'{self.NAME}.{field.name}', value)


def check_size(name: str, value: Any, largest_int: int = LARGEST_INT) -> None:
  """Raises InputError if a number, or one of a tuple, is too large; any other value passes.

  Args:
    name: of the key, the beginning of the message.
    value: the value. A float must fit into 32 bits.
    largest_int: the largest integer.
  """
  for item in value if isinstance(value, tuple) else ():
    check_size(name, item, largest_int)
  for kind, largest in ((int, largest_int), (float, LARGEST_FLOAT)):
    if isinstance(value, kind) and abs(value) > largest:
      raise InputError(f'{name} is {shortened(value)}; it must be at most {largest}')


def shortened(value: Any) -> str:
  """A value for a message: its `repr`, without the middle of a long one."""
  text = repr(value)
  return text if len(text) <= _LONGEST else f'{text[: _LONGEST // 2]}…{text[-5:]}'
