"""What was read of a run and is kept, until the run has gone on or is another one."""

import pathlib
from collections.abc import Callable
from typing import Any, TypeVar

from cifar_jax.runs import damaged

T = TypeVar('T')


class KeptValues:
  """Values by name, each with the checkpoints that there were when it was read."""

  def __init__(self, directory: pathlib.Path) -> None:
    """Begins without values; `directory` is that of the checkpoints."""
    self._directory = directory
    self._values: dict[str, tuple[Any, Any]] = {}

  def get(self, name: str, read: Callable[[], T]) -> T:
    """The value of a name; `read` is called where there is none, or the checkpoints are others."""
    there = damaged.identities(self._directory)
    if self._values.get(name, ())[:1] != (there,):
      self._values[name] = there, read()
    return self._values[name][1]
