"""The common look of the pictures: rows of panels, axes, colours and markers."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

# Okabe and Ito's colours: people with any common form of colour blindness can distinguish them.
# Each has a different marker, for black-and-white print.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000')
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')


def row(count: int, title: str = '') -> tuple['Figure', list['Axes']]:
  """Makes a figure with panels side by side, each 5.2 by 4.4 inches."""
  from matplotlib.figure import Figure  # without pyplot: no display needed, no global state

  figure = Figure(figsize=(5.2 * count, 4.4), layout='constrained')
  figure.suptitle(title, fontsize=15)
  return figure, list(figure.subplots(1, count, squeeze=False)[0])


def label(axes: 'Axes', x: str, y: str, title: str = '') -> None:
  """Labels the axes of a panel, and sets its font sizes and grid."""
  axes.set_xlabel(x, fontsize=13)
  axes.set_ylabel(y, fontsize=13)
  axes.set_title(title, fontsize=13)
  axes.tick_params(labelsize=11.5)
  axes.grid(color='#e5e5e5')
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)


def style(index: int) -> dict[str, Any]:
  """Returns the colour and the marker of the run at an index."""
  return {'color': COLOURS[index % len(COLOURS)], 'marker': MARKERS[index % len(MARKERS)]}


def names(results: list[dict[str, Any]]) -> list[str]:
  """Returns a name for each run: its model, with the directory where several have the same model.

  Args:
    results: measurements of an analysis, one dictionary per run, with `model` and `run`.
  """
  models = [result['model'] for result in results]
  return [
    result['model']
    if models.count(result['model']) == 1
    else f'{result["model"]} ({result["run"]})'
    for result in results
  ]
