"""The picture of the augmentations: an image before and after each."""

import os
import pathlib
from typing import TYPE_CHECKING, Any

import cifar_jax.report.files as files

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.figure import Figure

Row = dict[str, Any]

_COLUMNS = 2
# In inches: an image's side, space between images, after the first image, and between columns.
_SIDE, _SPACE, _AFTER, _BETWEEN = 1.05, 0.06, 0.22, 0.55
# In inches: a title above, a line of the captions below, space between rows, and around it all.
_TITLE, _LINE, _ROW_SPACE, _MARGIN = 0.3, 0.17, 0.16, 0.25


def plot(rows: list[Row], title: str, path: str | os.PathLike[str]) -> pathlib.Path:
  """Draws `figure` into a PNG.

  Returns:
    The path of the picture, which replaces an older one only once it is whole.

  Raises:
    InputError: the file cannot be written.
  """
  picture = figure(rows, title)
  path = pathlib.Path(path)
  with files.replacing(path) as unfinished:
    picture.savefig(unfinished, format='png', dpi=150)
  return path


def figure(rows: list[Row], title: str) -> 'Figure':
  """The rows in two columns, read downwards: the image before, and apart from it those after.

  Args:
    rows: dicts of `title`, `before` (uint8 `[height, width, 3]`), `after` (uint8 `[n, height,
      width, 3]`) and `captions` (one of up to two lines for each image, or empty).
    title: what stands above all.
  """
  from matplotlib.figure import Figure

  halves = [rows[: -(-len(rows) // _COLUMNS)], rows[-(-len(rows) // _COLUMNS) :]]
  row_width = _SIDE + _AFTER + len(rows[0]['after']) * (_SIDE + _SPACE) - _SPACE
  width = 2 * _MARGIN + _COLUMNS * row_width + (_COLUMNS - 1) * _BETWEEN
  head = 0.85
  height = 2 * _MARGIN + head + max(sum(map(_height, half)) for half in halves) - _ROW_SPACE
  picture = Figure(figsize=(width, height))
  top = height - _MARGIN
  picture.text(_MARGIN / width, top / height, title, fontsize=20, va='top')
  for column, half in enumerate(halves):
    left = _MARGIN + column * (row_width + _BETWEEN)
    below = top - head
    for words, x in (('before', left), ('after', left + _SIDE + _AFTER)):
      picture.text(
        x / width, (below + 0.1) / height, words, fontsize=13, color='#555555', style='italic'
      )
    for row in half:
      _draw(picture, row, left, below)
      below -= _height(row)
  return picture


def _height(row: Row) -> float:
  """Of a row with its title, captions and the space below it, in inches."""
  lines = max(caption.count('\n') + 1 if caption else 0 for caption in row['captions'])
  return _TITLE + _SIDE + lines * _LINE + _ROW_SPACE


def _draw(picture: 'Figure', row: Row, left: float, top: float) -> None:
  """One row, whose upper left corner is there, in inches from the lower left of the picture."""
  width, height = picture.get_size_inches()
  picture.text(left / width, (top - 0.07) / height, row['title'], fontsize=13, va='top')
  bottom = top - _TITLE - _SIDE
  for i, (image, caption) in enumerate(
    zip([row['before'], *row['after']], row['captions'], strict=True)
  ):
    x = left + i * (_SIDE + _SPACE) + (_AFTER - _SPACE if i else 0.0)
    axes = picture.add_axes((x / width, bottom / height, _SIDE / width, _SIDE / height))
    axes.imshow(image, interpolation='nearest')
    axes.set_axis_off()
    if caption:
      picture.text(
        x / width, (bottom - 0.03) / height, caption, fontsize=8.5, va='top', linespacing=1.15
      )
