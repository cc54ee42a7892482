"""The picture of the table of models: published error against cost, with parameters as areas."""

import itertools
import math
import os
import pathlib
import re
from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.errors import InputError
from cifar_jax.report.figures import label_placement, panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

Row = dict[str, Any]

# Okabe and Ito's colours: people with any common form of colour blindness can distinguish them.
# From the ninth family on, the colours repeat with hatching.
_COLOURS = (
  *('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#F0E442', '#666666'),
)
_HATCHES = ('', '/////', '.....')
_EDGE: dict[str, Any] = {'edgecolor': '#333333', 'linewidth': 0.8}
_AREA = 24.0  # square points per million parameters
_LEGEND_MILLIONS = (1, 10, 50)  # parameters of the circles in the legend


def plot(
  rows: list[Row], dataset: str, dataset_name: str, path: str | os.PathLike[str]
) -> pathlib.Path:
  """Draws `figure` into a PNG of 2200 × 1500 pixels.

  Returns:
    The path of the picture. It replaces an older picture only when it is complete.

  Raises:
    InputError: no row has an error on the data set, or the file cannot be written.
  """
  path = pathlib.Path(path)
  output_files.save_figure(figure(rows, dataset, dataset_name), path)
  return path


@output_files.own_settings()
def figure(rows: list[Row], dataset: str, dataset_name: str) -> 'Figure':
  """Draws the published error in percent over the multiply-adds, both on logarithmic axes.

  The area of a circle is the number of parameters, its colour the family.

  Args:
    rows: rows of `models.cost.table`; used are `name`, `family`, `multiply_adds`, `num_params` and
      `published` (errors by data set, or None).
    dataset: key of a data set in `published`, such as `cifar10`; rows without an error on it are
      left out.
    dataset_name: the name to display for the data set, such as `CIFAR-10`.

  Raises:
    InputError: no row has an error on the data set.
  """
  from matplotlib import ticker
  from matplotlib.figure import Figure

  rows = [row for row in rows if row['published'] and row['published'][dataset] is not None]
  if not rows:
    raise InputError(f'none of these models has a published error on {dataset}')
  picture = Figure(figsize=(11, 7.5), layout='constrained')
  axes = picture.subplots()
  axes.set_xlabel('Multiply-adds for one image', fontsize=15)
  axes.set_ylabel(f'Published error on {dataset_name} (%)', fontsize=15)
  panels.set_log_scale(axes, 'x')
  panels.set_log_scale(axes, 'y')
  axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
  axes.xaxis.set_major_formatter(ticker.EngFormatter(sep=' '))
  axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)))
  axes.yaxis.set_major_formatter('{x:g}')
  axes.minorticks_off()
  axes.tick_params(labelsize=13)
  axes.grid(color='#e5e5e5')
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)
  axes.margins(0.07)
  _draw_circles(picture, axes, rows, dataset)
  picture.draw_without_rendering()  # fixes the position of the axes
  picture.set_layout_engine('none')
  _draw_labels(picture, axes, rows, dataset)
  return picture


def _prefix(rows: list[Row], family: str) -> str:
  """Returns the common start of a family's names, up to the first digit; empty for one name."""
  names = [row['name'] for row in rows if row['family'] == family]
  columns = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
  shared = itertools.takewhile(lambda letter: not letter.isdigit(), (c[0] for c in columns))
  return ''.join(shared) if len(names) > 1 else ''


def _short(name: str) -> str:
  """Returns a name without its last words that contain no digit, such as `_bottleneck`."""
  return re.sub(r'(_[a-z]+)+$', '', name)


def label_text(rows: list[Row], row: Row) -> str:
  """Returns a model's name without the prefix of its family, shortened if it stays unique."""
  shortened = [_short(other['name']) for other in rows]
  unique = shortened.count(_short(row['name'])) == 1
  name = _short(row['name']) if unique else row['name']
  return name.removeprefix(_prefix(rows, row['family']))


def _area(row: Row) -> float:
  return _AREA * row['num_params'] / 1e6


def _draw_circles(picture: 'Figure', axes: 'Axes', rows: list[Row], dataset: str) -> None:
  """Draws the circles, small ones in front, and two legends beside the axes."""
  styles: dict[str, dict[str, Any]] = {}
  for index, family in enumerate(dict.fromkeys(row['family'] for row in rows)):
    repeat, colour = divmod(index, len(_COLOURS))
    styles[family] = {'facecolor': f'{_COLOURS[colour]}b0', 'hatch': _HATCHES[repeat % 3]} | _EDGE
  for row in sorted(rows, key=lambda row: -row['num_params']):
    point = row['multiply_adds'], row['published'][dataset]
    axes.scatter(*point, s=_area(row), label=row['name'], **styles[row['family']])

  families = []
  for family, style in styles.items():
    prefix = _prefix(rows, family)
    families.append(axes.scatter([], [], s=130, label=f'{prefix}…' if prefix else family, **style))
  sizes = [
    axes.scatter([], [], s=_AREA * millions, facecolor='none', label=f'{millions} million', **_EDGE)
    for millions in _LEGEND_MILLIONS
  ]
  common: dict[str, Any] = {
    'frameon': False,
    'alignment': 'left',
    'fontsize': 12.5,
    'title_fontsize': 13.5,
  }
  picture.legend(
    handles=families,
    title='Family, and what its\nlabels begin with',
    loc='outside right upper',
    **common,
  )
  common |= {'labelspacing': 1.4, 'handletextpad': 1.4, 'borderpad': 1.0}
  picture.legend(handles=sizes, title='Parameters', loc='outside right lower', **common)


def _draw_labels(picture: 'Figure', axes: 'Axes', rows: list[Row], dataset: str) -> None:
  """Draws a label near each circle, with a line between them where they are far apart."""
  from matplotlib.patheffects import withStroke

  dots_per_point = picture.dpi / 72
  points = [(row['multiply_adds'], row['published'][dataset]) for row in rows]
  centres = axes.transData.transform(points)
  circles = [
    label_placement.Circle(x, y, dots_per_point * math.sqrt(_area(row) / math.pi))
    for (x, y), row in zip(centres, rows, strict=True)
  ]
  texts = [
    axes.annotate(
      label_text(rows, row), point, (0, 0), textcoords='offset points', ha='center', va='center',
      fontsize=11.5, path_effects=[withStroke(linewidth=2.2, foreground='#ffffffc0')],
    )
    for row, point in zip(rows, points, strict=True)
  ]  # fmt: skip
  sizes = [text.get_window_extent().size for text in texts]
  boxes = label_placement.place(circles, sizes, label_placement.Box(*axes.bbox.extents))
  for circle, box, point, text in zip(circles, boxes, points, texts, strict=True):
    x, y = box.centre
    text.set_position(((x - circle.x) / dots_per_point, (y - circle.y) / dots_per_point))
    if box.distance(circle.x, circle.y) > circle.radius + 0.5 * (box.top - box.bottom):
      x, y = box.nearest(circle.x, circle.y)
      offset = (x - circle.x) / dots_per_point, (y - circle.y) / dots_per_point
      axes.annotate(
        '', point, offset, textcoords='offset points',
        arrowprops={'arrowstyle': '-', 'color': '#333333', 'linewidth': 0.7, 'shrinkA': 0,
                    'shrinkB': circle.radius / dots_per_point},
      )  # fmt: skip
