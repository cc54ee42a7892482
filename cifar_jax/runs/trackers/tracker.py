"""What the rest of the program knows of a service that tracks runs."""

import pathlib
from collections.abc import Mapping
from typing import Protocol

from cifar_jax.runs.results import Record


class Tracker(Protocol):
  """A run as a service has it, open for writing.

  Any method may raise what the service's library raises.

  Attributes:
    run_id: by which the service finds the run again.
  """

  run_id: str

  def write(self, record: Record) -> None:
    """Sends the scalars of a record."""

  def write_pictures(self, step: int, pictures: Mapping[str, pathlib.Path]) -> None:
    """Sends PNG files by their titles, after the last step."""

  def close(self, *, is_finished: bool) -> None:
    """Ends the session, of a run that is finished or that will go on; sends what is left."""
