"""The picture of lesions: the error with one or several blocks deleted, or blocks exchanged."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure


@output_files.own_settings()
def figure(results: list[dict[str, Any]]) -> 'Figure':
  """Draws three panels of errors: one block deleted, several deleted, and blocks exchanged.

  The third panel is left out where no run has blocks that can be exchanged.

  Args:
    results: measurements of `analysis.lesion`, one dictionary per run.
  """
  permuted = any(result['permuted'] for result in results)
  picture, axes = panels.row(3 if permuted else 2)
  _draw_each(axes[0], results)
  _draw_several(axes[1], results)
  if permuted:
    _draw_permuted(axes[2], results)
  panels.legends_below(*axes)
  return picture


def _draw_each(axes: 'Axes', results: list[dict[str, Any]]) -> None:
  same_depth = len({len(result['each']) for result in results}) == 1
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    style = panels.style(i)
    positions = np.arange(1.0, len(result['each']) + 1)
    if not same_depth:  # nets of different depths share the axis
      positions = positions / len(positions)
    errors = np.array([100 * row['error'] for row in result['each']])
    down = np.array([row['down_sampling'] for row in result['each']])
    axes.plot(positions, errors, linewidth=1, markersize=5, label=name, **style)
    axes.plot(positions[down], errors[down], linestyle='none', markersize=11,
              markerfacecolor='none', markeredgewidth=1.8, **style)  # fmt: skip
    axes.axhline(100 * result['error'], color=style['color'], linewidth=1, linestyle=':')
  if any(row['down_sampling'] for result in results for row in result['each']):
    axes.plot([], [], linestyle='none', marker='o', markersize=11, markerfacecolor='none',
              color='#555555', label='down-sampling')  # fmt: skip
  axes.plot([], [], linestyle=':', color='#555555', label='whole net')
  panels.label(axes, 'Block deleted' if same_depth else 'Block deleted (share of the depth)',
               'Error (%)', 'One block deleted')  # fmt: skip
  if same_depth:
    from matplotlib import ticker

    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  axes.set_ylim(bottom=0)


def _draw_several(axes: 'Axes', results: list[dict[str, Any]]) -> None:
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    style = panels.style(i)
    share = [100 * row['deleted'] / len(result['each']) for row in result['several']]
    errors = [np.percentile(row['errors'], (25, 50, 75)) * 100 for row in result['several']]
    low, middle, high = np.transpose(errors)
    start = 100 * result['error']
    axes.plot([0, *share], [start, *middle], linewidth=1.6, markersize=5, label=name, **style)
    axes.fill_between(
      [0, *share], [start, *low], [start, *high], color=style['color'], alpha=0.18, linewidth=0
    )
  panels.label(
    axes, 'Blocks deleted (%)', 'Error (%)', 'Several blocks deleted (median, quartiles)'
  )
  axes.set_ylim(0, 100)


def _draw_permuted(axes: 'Axes', results: list[dict[str, Any]]) -> None:
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    if not result['permuted']:  # of nets like PyramidNet, no two blocks have the same shape
      continue
    taus = [row['kendall_tau'] for row in result['permuted']]
    errors = [100 * row['error'] for row in result['permuted']]
    axes.plot(
      taus, errors, linestyle='none', markersize=5, alpha=0.6, markeredgewidth=0, label=name,
      **panels.style(i),
    )  # fmt: skip
  panels.label(axes, "Kendall's rank correlation with the trained order", 'Error (%)',
               'Blocks exchanged')  # fmt: skip
  axes.invert_xaxis()
  axes.set_ylim(0, 100)
