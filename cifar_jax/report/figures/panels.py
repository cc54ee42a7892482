"""The common look of the pictures: rows of panels, axes, colours and markers."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

# Okabe and Ito's colours: people with any common form of colour blindness can distinguish them.
# Each has a different marker, for black-and-white print.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000')
SUPERSCRIPTS = str.maketrans('-\N{MINUS SIGN}0123456789', '⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹')
# What matplotlib labels logarithmic axes with: a factor, the base and the exponent.
MATHEMATICS = re.compile(r'\$\\mathdefault\{(?:(.+)\\times)?(.+)\^\{(.+)\}\}\$')
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


def set_log_scale(axes: 'Axes', axis: str, base: int = 10, **options: Any) -> None:
  """Gives an axis a logarithmic scale, whose labels are plain text: 10⁻³.

  matplotlib's own labels are mathematics, which `output_files.own_settings` switches off.

  Args:
    axes: the panel.
    axis: `x` or `y`.
    base: of the logarithm.
    **options: further arguments of `set_xscale`.
  """
  from matplotlib import ticker

  class Powers(ticker.LogFormatterSciNotation):
    """Labels such as 10⁻³ and 2×10⁻³."""

    def __call__(self, x: float, pos: int | None = None) -> str:
      match = MATHEMATICS.fullmatch(super().__call__(x, pos))
      if not match:
        return ''
      factor, number, exponent = match.groups()
      return f'{factor}×' * bool(factor) + number + exponent.translate(SUPERSCRIPTS)

  getattr(axes, f'set_{axis}scale')('log', base=base, **options)
  scale = getattr(axes, f'{axis}axis')
  scale.set_major_formatter(Powers(base))
  scale.set_minor_formatter(Powers(base, labelOnlyBase=base != 10))


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
