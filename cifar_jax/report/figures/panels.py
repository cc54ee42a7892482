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


_HEIGHT = 4.4  # inches
_BELOW_AXES = 0.56  # inches, for the numbers and the name of the horizontal axis
_ENTRY_HEIGHT = 0.215  # inches
_SHORT = 22  # letters; entries of a legend up to this length stand in two columns


def row(count: int, title: str = '') -> tuple['Figure', list['Axes']]:
  """Makes a figure with panels side by side, each 5.2 by 4.4 inches."""
  from matplotlib.figure import Figure  # without pyplot: no display needed, no global state

  figure = Figure(figsize=(5.2 * count, _HEIGHT), layout='constrained')
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


def legends_below(*panels: 'Axes') -> None:
  """Draws the legend of each panel below it, where it covers no data; the figure grows by them.

  Args:
    *panels: all panels of a figure of `row`; those without labelled lines get no legend.
  """
  from matplotlib.transforms import ScaledTranslation

  most_rows = 0
  for axes in panels:
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
      continue
    columns = 2 if max(map(len, labels)) <= _SHORT and len(labels) > 1 else 1
    most_rows = max(most_rows, -(-len(labels) // columns))
    place = axes.transAxes + ScaledTranslation(0, -_BELOW_AXES, axes.figure.dpi_scale_trans)
    axes.legend(
      handles, labels, loc='upper center', bbox_to_anchor=(0.5, 0), bbox_transform=place,
      borderaxespad=0, ncols=columns, fontsize=10.5, frameon=False,
    )  # fmt: skip
  figure = panels[0].get_figure(root=True)
  assert figure is not None
  figure.set_figheight(_HEIGHT + _ENTRY_HEIGHT * most_rows)


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
    results: measurements of an analysis, one dictionary per run, with `model` and `run`; with
      `seed` where `is_one_of_several_seeds`.
  """
  models = [result['model'] for result in results]
  nets = []
  for result in results:
    words = [result['run']] if models.count(result['model']) > 1 else []
    words += [f'seed {result["seed"]}'] if result.get('is_one_of_several_seeds') else []
    nets.append(result['model'] + (f' ({", ".join(words)})' if words else ''))
  return nets
