"""Pictures of images with their captions or their predicted classes."""

from typing import TYPE_CHECKING

import numpy as np

from cifar_jax import output_files

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

_BLUE, _GREY = '#0072B2', '#999999'
_LONGEST = 28  # characters; a longer file name is cut at its beginning


@output_files.own_settings()
def grid(images: np.ndarray, captions: list[str], title: str, columns: int = 5) -> 'Figure':
  """Draws images in rows, each with its caption below.

  Args:
    images: uint8 `[n, height, width, 3]`, at least one.
    captions: caption of each image; all should have the same number of lines.
    title: heading of the picture.
    columns: images per row.
  """
  from matplotlib.figure import Figure

  columns = min(columns, len(images))
  rows = -(-len(images) // columns)
  height = 2.05 + 0.28 * (1 + max(caption.count('\n') for caption in captions))
  total = height * rows + 0.8
  margin = (
    0.2 / total
  )  # the layout does not count the captions, of which the last row's would be cut
  figure = Figure(figsize=(max(2.1 * columns, 6), total))
  figure.set_layout_engine('constrained', rect=(0, margin, 1, 1 - margin))
  figure.suptitle(title, fontsize=16)
  cells = list(figure.subplots(rows, columns, squeeze=False).flat)
  for axes in cells:
    axes.axis('off')
  for axes, image, caption in zip(cells, images, captions, strict=False):
    _show(axes, image)
    axes.text(0.5, -0.04, caption, transform=axes.transAxes, ha='center', va='top', fontsize=12.5)
  return figure


@output_files.own_settings()
def guesses(
  images: np.ndarray, names: list[str], ranked: list[list[tuple[str, float]]], title: str
) -> 'Figure':
  """Draws images, each with bars for its likeliest classes beside it.

  Args:
    images: uint8 `[n, height, width, 3]`, at least one.
    names: name of each image, such as its file name.
    ranked: for each image the classes to show and their probabilities in [0, 1], likeliest first.
    title: heading of the picture.
  """
  from matplotlib.figure import Figure

  columns = min(2, len(images))
  rows = -(-len(images) // columns)
  figure = Figure(figsize=(6.4 * columns, 2.3 * rows + 0.7), layout='constrained')
  figure.suptitle(title, fontsize=16)
  cells = figure.subplots(rows, 2 * columns, squeeze=False, width_ratios=[1, 1.6] * columns)
  for axes in cells.flat:
    axes.axis('off')
  pairs = cells.reshape(-1, 2)
  for (left, right), image, name, likeliest in zip(pairs, images, names, ranked, strict=False):
    _show(left, image)
    short = name if len(name) <= _LONGEST else f'…{name[1 - _LONGEST :]}'
    right.set_title(short, fontsize=13, loc='left', parse_math=False)
    _draw_bars(right, likeliest)
  return figure


def _show(axes: 'Axes', image: np.ndarray) -> None:
  """Draws an image without interpolation, so that its pixels are visible."""
  axes.imshow(image, interpolation='nearest')


def _draw_bars(axes: 'Axes', likeliest: list[tuple[str, float]]) -> None:
  for row, (name, probability) in enumerate(likeliest):
    axes.barh(row, probability, height=0.42, color=_GREY if row else _BLUE)
    label = f'{name}  {100 * probability:.1f} %'
    axes.text(0, row - 0.28, label, va='bottom', fontsize=12.5, parse_math=False)
  axes.set_xlim(0, 1)
  axes.set_ylim(len(likeliest) - 0.4, -0.95)
