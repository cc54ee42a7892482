"""The look that the pictures of analyses share."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart in every common form of colour blindness; each has a marker
# of its own, for print without colour.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000')
MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')


def row(count: int, title: str = '') -> tuple['Figure', list['Axes']]:
  """A figure with panels side by side, each 5.2 by 4.4 inches."""
  from matplotlib.figure import Figure  # without pyplot: it draws by Agg, and leaves no state

  figure = Figure(figsize=(5.2 * count, 4.4), layout='constrained')
  figure.suptitle(title, fontsize=15)
  return figure, list(figure.subplots(1, count, squeeze=False)[0])


def label(axes: 'Axes', x: str, y: str, title: str = '') -> None:
  """Names the axes of a panel, and sets its letters and grid."""
  axes.set_xlabel(x, fontsize=13)
  axes.set_ylabel(y, fontsize=13)
  axes.set_title(title, fontsize=13)
  axes.tick_params(labelsize=11.5)
  axes.grid(color='#e5e5e5')
  axes.set_axisbelow(True)
  axes.spines[['top', 'right']].set_visible(False)


def style(index: int) -> dict[str, Any]:
  """Colour and marker of the run at an index."""
  return {'color': COLOURS[index % len(COLOURS)], 'marker': MARKERS[index % len(MARKERS)]}


def names(found: list[dict[str, Any]]) -> list[str]:
  """What each run is called: its model, with the run's directory where two have the same."""
  models = [told['model'] for told in found]
  return [
    told['model'] if models.count(told['model']) == 1 else f'{told["model"]} ({told["run"]})'
    for told in found
  ]
