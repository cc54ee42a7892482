"""Figures as elements of the page, panel by panel, so that they fit any width.

Diagrams have no background: a dark page inverts them (`css.py`). A picture from a file is shown as
it is.
"""

import io
import pathlib
from typing import TYPE_CHECKING, Any

from cifar_jax import input_files, output_files
from cifar_jax.report import page_data
from cifar_jax.report.markup import Html, tag

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure
  from matplotlib.transforms import Bbox

_DOTS_PER_INCH = 130
_MARGIN = 0.06  # inches around a panel
# What a figure raises for numbers that it does not know.
OTHER_FORM = (
  *(ArithmeticError, AttributeError, ImportError, LookupError, RecursionError),
  *(TypeError, ValueError),
)


def panels(figure: 'Figure', alternative: str) -> Html:
  """Returns the panels of a figure, which stand side by side where the page is wide enough.

  Args:
    figure: of `figures.panels.row`; its heading is not shown.
    alternative: what is seen, for readers without pictures.
  """
  numbered = enumerate(_render(figure, [*figure.axes]), 1)
  many = len(figure.axes) > 1
  images = [
    _image(png, f'{alternative}, panel {number}' if many else alternative)
    for number, png in numbered
  ]
  return tag('div', *images, class_='side')


def whole(figure: 'Figure', alternative: str) -> Html:
  """Returns a figure as one picture; the arguments are those of `panels`."""
  (png,) = _render(figure, [None])
  return _image(png, alternative)


def of_file(path: pathlib.Path, alternative: str, *, is_photographs: bool = False) -> Html | None:
  """Returns a picture from a file; None if there is none that can be read.

  Args:
    path: a PNG.
    alternative: what is seen, for readers without pictures.
    is_photographs: whether a dark page must not invert it.
  """
  try:
    png = input_files.read_bytes(path)
  except (OSError, ValueError):
    return None
  return _image(png, alternative, 'photographs wide' if is_photographs else 'diagram wide')


def leave_out(path: pathlib.Path) -> None:
  """Warns that numbers in a file are of another form, and that no picture stands for them."""
  page_data.leave_out(path, 'its numbers cannot be drawn, and there is no picture of them')


def _image(png: bytes, alternative: str, kind: str = 'diagram') -> Html:
  image = tag('img', src=page_data.data_url(png), alt=alternative)
  return tag('figure', image, class_=kind)


@output_files.own_settings()
def _render(figure: 'Figure', parts: 'list[Axes | None]') -> list[bytes]:
  """Returns a PNG without background for each panel; None stands for the whole figure."""
  import PIL.Image
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  figure.set_dpi(_DOTS_PER_INCH)
  figure.patch.set_alpha(0)
  for axes in figure.axes:
    axes.patch.set_alpha(0)
  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  picture = PIL.Image.fromarray(_pixels(canvas))
  renderer = canvas.get_renderer()
  images = []
  for part in parts:
    box = None if part is None else part.get_tightbbox(renderer)
    cropped = picture if box is None else picture.crop(_corners(box, picture.height))
    buffer = io.BytesIO()
    cropped.save(buffer, format='png')
    images.append(buffer.getvalue())
  return images


def _pixels(canvas: Any) -> Any:
  import numpy as np

  return np.asarray(canvas.buffer_rgba())


def _corners(box: 'Bbox', height: int) -> tuple[int, int, int, int]:
  """Returns the corners of a box with a margin, counted from the top as images are."""
  margin = _MARGIN * _DOTS_PER_INCH
  left, right = box.x0 - margin, box.x1 + margin
  top, bottom = height - box.y1 - margin, height - box.y0 + margin
  return round(left), round(top), round(right), round(bottom)
