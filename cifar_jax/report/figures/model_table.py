"""The picture of the table of models: published error against cost, with parameters as areas."""

import math
import os
import pathlib
from collections.abc import Sequence
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
_FRONT: dict[str, Any] = {'color': '#888888', 'linewidth': 1.2, 'linestyle': '--'}
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

  The area of a circle is the number of parameters, its colour the family. A line joins the models
  of which none else has a lower error at no higher cost, the Pareto front; they alone have their
  names beside them.

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
  points = [(row['multiply_adds'], row['published'][dataset]) for row in rows]
  front = pareto_front(points)
  axes.plot(*zip(*(points[i] for i in front), strict=True), zorder=0, **_FRONT)
  picture.draw_without_rendering()  # fixes the position of the axes
  picture.set_layout_engine('none')
  _draw_labels(picture, axes, rows, points, front)
  return picture


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
  """Returns the indices of the points that no other point is better than, by rising x.

  Args:
    points: pairs of which less is better in both. Of equal points the first is on the front.
  """
  front: list[int] = []
  for index in sorted(range(len(points)), key=lambda index: (*points[index], index)):
    if not front or points[index][1] < points[front[-1]][1]:
      front.append(index)
  return front


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

  families = [
    axes.scatter([], [], s=130, label=family, **style) for family, style in styles.items()
  ]
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
  picture.legend(handles=families, title='Family', loc='outside right upper', **common)
  common |= {'labelspacing': 1.4, 'handletextpad': 1.4, 'borderpad': 1.0}
  picture.legend(handles=sizes, title='Parameters', loc='outside right lower', **common)


def _draw_labels(
  picture: 'Figure',
  axes: 'Axes',
  rows: list[Row],
  points: list[tuple[float, float]],
  front: list[int],
) -> None:
  """Draws the names of the rows of a front near their circles, with a line where they are far.

  No label covers another, and few cover circles, those without a label included.
  """
  from matplotlib.patheffects import withStroke

  dots_per_point = picture.dpi / 72
  circles = [
    label_placement.Circle(x, y, dots_per_point * math.sqrt(_area(row) / math.pi))
    for (x, y), row in zip(axes.transData.transform(points), rows, strict=True)
  ]
  texts = [
    axes.annotate(
      rows[i]['name'], points[i], (0, 0), textcoords='offset points', ha='center', va='center',
      fontsize=11.5, path_effects=[withStroke(linewidth=2.2, foreground='#ffffffc0')],
    )
    for i in front
  ]  # fmt: skip
  sizes = [text.get_window_extent().size for text in texts]
  others = [circle for i, circle in enumerate(circles) if i not in front]
  labelled = [circles[i] for i in front]
  within = label_placement.Box(*axes.bbox.extents)
  boxes = label_placement.place(labelled, sizes, within, others)
  for i, box, text in zip(front, boxes, texts, strict=True):
    circle, (x, y) = circles[i], box.centre
    text.set_position(((x - circle.x) / dots_per_point, (y - circle.y) / dots_per_point))
    if box.distance(circle.x, circle.y) > circle.radius + 0.5 * (box.top - box.bottom):
      x, y = box.nearest(circle.x, circle.y)
      offset = (x - circle.x) / dots_per_point, (y - circle.y) / dots_per_point
      axes.annotate(
        '', points[i], offset, textcoords='offset points',
        arrowprops={'arrowstyle': '-', 'color': '#333333', 'linewidth': 0.7, 'shrinkA': 0,
                    'shrinkB': circle.radius / dots_per_point},
      )  # fmt: skip
