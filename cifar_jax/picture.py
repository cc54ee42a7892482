"""Pictures that a notebook shows and that can be saved, also with the numbers that they show."""

import io
import os
import pathlib
from typing import TYPE_CHECKING, Any

from cifar_jax import output_files

if TYPE_CHECKING:  # importing matplotlib takes a second
  from matplotlib.figure import Figure

_DOTS_PER_INCH = 80  # on a screen; files have more


class Picture:
  """A figure of matplotlib. As the last value of a notebook's cell it is shown.

  Attributes:
    figure: the figure, which can be changed.
  """

  def __init__(self, figure: 'Figure') -> None:
    """Wraps a figure."""
    self.figure = figure

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes a PNG file; raises InputError if it cannot be written."""
    output_files.save_figure(self.figure, pathlib.Path(path))

  @output_files.own_settings()
  def _repr_png_(self) -> bytes:
    """The picture as PNG, for IPython."""
    buffer = io.BytesIO()
    self.figure.savefig(buffer, format='png', dpi=_DOTS_PER_INCH)
    return buffer.getvalue()


class Analysis(Picture):
  """What an analysis measured; a notebook shows its picture, `print` its table.

  Attributes:
    numbers: the measurements, as in the JSON file of the command.
    figure: the figure.
  """

  def __init__(self, numbers: dict[str, Any], table: str, figure: 'Figure') -> None:
    """Joins numbers, table and figure."""
    super().__init__(figure)
    self.numbers, self._table = numbers, table

  def __str__(self) -> str:
    """The table that the command prints."""
    return self._table
