"""The picture of the augmentations: one image before and after each augmentation."""

import os
import pathlib
from typing import TYPE_CHECKING, Any

from cifar_jax import output_files

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

Row = dict[str, Any]

_COLUMNS = 2
# In inches: the side of an image, the space between images, the space after the first image, and
# the space between the columns.
_SIDE, _SPACE, _FIRST_SPACE, _COLUMN_SPACE = 1.05, 0.06, 0.22, 0.55
# In inches: the title above a row, a line of the captions below it, the space between rows, and the
# margin around the picture.
_TITLE, _LINE, _ROW_SPACE, _MARGIN = 0.3, 0.17, 0.16, 0.25


def plot(rows: list[Row], title: str, path: str | os.PathLike[str]) -> pathlib.Path:
  """Draws `figure` into a PNG.

  Returns:
    The path of the picture. It replaces an older picture only when it is complete.

  Raises:
    InputError: the file cannot be written.
  """
  picture = figure(rows, title)
  path = pathlib.Path(path)
  with output_files.replacing(path) as unfinished:
    picture.savefig(unfinished, format='png', dpi=150, metadata=output_files.OWN_PICTURE)
  return path


@output_files.own_settings()
def figure(rows: list[Row], title: str) -> 'Figure':
  """Draws the rows in two columns, to be read downwards.

  A row shows the image before the augmentation and, after a gap, the augmented images.

  Args:
    rows: dictionaries of `title`, `before` (uint8 `[height, width, 3]`), `after` (uint8 `[n,
      height, width, 3]`) and `captions` (n + 1 strings of up to two lines, possibly empty).
    title: heading of the picture.
  """
  from matplotlib.figure import Figure

  first_half = -(-len(rows) // _COLUMNS)  # rounded up
  halves = [rows[:first_half], rows[first_half:]]
  row_width = _SIDE + _FIRST_SPACE + len(rows[0]['after']) * (_SIDE + _SPACE) - _SPACE
  width = 2 * _MARGIN + _COLUMNS * row_width + (_COLUMNS - 1) * _COLUMN_SPACE
  head = 0.85
  height = 2 * _MARGIN + head + max(sum(map(_height, half)) for half in halves) - _ROW_SPACE
  picture = Figure(figsize=(width, height))
  top = height - _MARGIN
  picture.text(_MARGIN / width, top / height, title, fontsize=20, va='top')
  for column, half in enumerate(halves):
    left = _MARGIN + column * (row_width + _COLUMN_SPACE)
    below = top - head
    for words, x in (('before', left), ('after', left + _SIDE + _FIRST_SPACE)):
      picture.text(
        x / width, (below + 0.1) / height, words, fontsize=13, color='#555555', style='italic'
      )
    for row in half:
      _draw(picture, row, left, below)
      below -= _height(row)
  return picture


def _height(row: Row) -> float:
  """Returns the height in inches of a row with its title, captions and the space below it."""
  lines = max(caption.count('\n') + 1 if caption else 0 for caption in row['captions'])
  return _TITLE + _SIDE + lines * _LINE + _ROW_SPACE


def _draw(picture: 'Figure', row: Row, left: float, top: float) -> None:
  """Draws one row.

  Args:
    picture: figure to draw into.
    row: row to draw.
    left: distance in inches of the row's left edge from the left edge of the picture.
    top: distance in inches of the row's upper edge from the lower edge of the picture.
  """
  width, height = picture.get_size_inches()
  picture.text(left / width, (top - 0.07) / height, row['title'], fontsize=13, va='top')
  bottom = top - _TITLE - _SIDE
  for i, (image, caption) in enumerate(
    zip([row['before'], *row['after']], row['captions'], strict=True)
  ):
    x = left + i * (_SIDE + _SPACE) + (_FIRST_SPACE - _SPACE if i else 0.0)
    axes = picture.add_axes((x / width, bottom / height, _SIDE / width, _SIDE / height))
    axes.imshow(image, interpolation='nearest')
    axes.set_axis_off()
    if caption:
      picture.text(
        x / width, (bottom - 0.03) / height, caption, fontsize=8.5, va='top', linespacing=1.15
      )
