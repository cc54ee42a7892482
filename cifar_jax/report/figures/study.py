"""The picture of a study: measured errors beside the errors that the paper prints."""

import textwrap
from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.report.figures import panels
from cifar_jax.runs.results import mean_and_deviation

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

Row = dict[str, Any]

_TITLE_WIDTH = 85  # letters
_LOGARITHMIC = 5.0  # the axis is logarithmic if the largest error is over this times the smallest


def epochs_text(row: Row) -> str:
  """Returns the number of epochs of a row, and the number in the paper if that differs.

  Where `train.patience` ended runs, the number is the highest that one could have.
  """
  whole = row['epochs'] == row['full_epochs']
  at_most = 'at most ' if row.get('ended_after') else ''
  return f'{at_most}{row["epochs"]:g}' + ('' if whole else f' of {row["full_epochs"]:g}')


def changes_line(study: dict[str, Any]) -> str:
  """Returns the line on the overrides of a study, which titles and labels do not know."""
  return f'Changed for all: {" ".join(study["changes"])}'


@output_files.own_settings()
def figure(study: dict[str, Any], table: list[Row]) -> 'Figure':
  """Draws the mean error of each entry, with one standard deviation, beside the published error.

  Args:
    study: the study, as `study_table.read` returns it.
    table: the rows, as `study_table.rows` returns them, with at least one finished run.
  """
  from matplotlib import ticker
  from matplotlib.figure import Figure

  picture = Figure(figsize=(9, 2.2 + 0.42 * len(table)), layout='constrained')
  axes = picture.subplots()
  all_errors = []
  for y, row in enumerate(table):
    mean, deviation = mean_and_deviation(row['errors'])
    if None not in (mean, row['published']):
      axes.plot([mean, row['published']], [y, y], color='#bbbbbb', linewidth=1.5, zorder=1)
    if mean is not None:
      axes.errorbar(
        mean, y, xerr=deviation, capsize=4, markersize=8, linestyle='none', **panels.style(0)
      )
      if len(row['errors']) > 1:
        axes.plot(row['errors'], [y] * len(row['errors']), '|', color='#0072B2', alpha=0.6)
    if row['published'] is not None:
      axes.plot(row['published'], y, markersize=8, markerfacecolor='white', markeredgewidth=2,
                linestyle='none', **panels.style(1))  # fmt: skip
    all_errors += [value for value in (*row['errors'], row['published']) if value is not None]
  axes.set_yticks(range(len(table)), [row['label'] for row in table])
  axes.invert_yaxis()
  axes.set_ylim(len(table) - 0.4, -0.6)
  panels.label(axes, 'Test error (%)', '')
  # The heading is as wide as the figure: beside the labels, the panel is too narrow for it.
  lines = [study['title'], study['source'], *([changes_line(study)] if study['changes'] else [])]
  heading = [textwrap.fill(line, _TITLE_WIDTH, break_on_hyphens=False) for line in lines]
  picture.suptitle('\n'.join(heading), fontsize=13)
  if max(all_errors) > _LOGARITHMIC * min(all_errors) > 0:
    panels.set_log_scale(axes, 'x')
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
  _label_marks(axes, table)
  picture.legend(loc='outside lower center', ncols=2, fontsize=12, frameon=False)
  return picture


def _label_marks(axes: 'Axes', table: list[Row]) -> None:
  """Adds the marks that the legend explains."""
  most = max(len(row['errors']) for row in table)
  lengths = {epochs_text(row) for row in table}
  epochs = f', {lengths.pop()} epochs' if len(lengths) == 1 else ''
  spread = ' (mean, standard deviation)' if most > 1 else ''
  axes.plot([], [], linestyle='none', markersize=8, label=f'measured{spread}{epochs}',
            **panels.style(0))  # fmt: skip
  if any(row['published'] is not None for row in table):
    axes.plot([], [], linestyle='none', markersize=8, markerfacecolor='white', markeredgewidth=2,
              label='published', **panels.style(1))  # fmt: skip
