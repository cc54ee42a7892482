"""The picture of lesions: the error without one block, without several, and out of order."""

from typing import TYPE_CHECKING, Any

import numpy as np

import cifar_jax.report.panels as panels

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure


def figure(found: list[dict[str, Any]]) -> 'Figure':
  """Three panels; two where no blocks could be exchanged.

  Args:
    found: what `analysis.lesion` measured, of one or several runs.
  """
  permuted = any(told['permuted'] for told in found)
  picture, axes = panels.row(3 if permuted else 2)
  _draw_each(axes[0], found)
  _draw_several(axes[1], found)
  if permuted:
    _draw_permuted(axes[2], found)
  return picture


def _draw_each(axes: 'Axes', found: list[dict[str, Any]]) -> None:
  for i, (told, name) in enumerate(zip(found, panels.names(found), strict=True)):
    style = panels.style(i)
    positions = np.arange(1.0, len(told['each']) + 1)
    if len({len(other['each']) for other in found}) > 1:  # nets of different depths, side by side
      positions = positions / len(positions)
    errors = np.array([100 * row['error'] for row in told['each']])
    down = np.array([row['down_sampling'] for row in told['each']])
    axes.plot(positions, errors, linewidth=1, markersize=5, label=name, **style)
    axes.plot(positions[down], errors[down], linestyle='none', markersize=11,
              markerfacecolor='none', markeredgewidth=1.8, **style)  # fmt: skip
    axes.axhline(100 * told['error'], color=style['color'], linewidth=1, linestyle=':')
  axes.plot([], [], linestyle='none', marker='o', markersize=11, markerfacecolor='none',
            color='#555555', label='down-sampling')  # fmt: skip
  axes.plot([], [], linestyle=':', color='#555555', label='whole net')
  same = len({len(told['each']) for told in found}) == 1
  panels.label(axes, 'Block deleted' if same else 'Block deleted (share of the depth)',
               'Error (%)', 'One block deleted')  # fmt: skip
  if same:
    from matplotlib import ticker

    axes.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  axes.set_ylim(bottom=0)
  axes.legend(fontsize=10.5, frameon=False)


def _draw_several(axes: 'Axes', found: list[dict[str, Any]]) -> None:
  for i, told in enumerate(found):
    style = panels.style(i)
    share = [100 * row['deleted'] / len(told['each']) for row in told['several']]
    errors = [np.percentile(row['errors'], (25, 50, 75)) * 100 for row in told['several']]
    low, middle, high = np.transpose(errors)
    start = 100 * told['error']
    axes.plot([0, *share], [start, *middle], linewidth=1.6, markersize=5, **style)
    axes.fill_between(
      [0, *share], [start, *low], [start, *high], color=style['color'], alpha=0.18, linewidth=0
    )
  panels.label(
    axes, 'Blocks deleted (%)', 'Error (%)', 'Several blocks deleted (median, quartiles)'
  )
  axes.set_ylim(0, 100)


def _draw_permuted(axes: 'Axes', found: list[dict[str, Any]]) -> None:
  for i, told in enumerate(found):
    taus = [row['kendall_tau'] for row in told['permuted']]
    errors = [100 * row['error'] for row in told['permuted']]
    axes.plot(
      taus, errors, linestyle='none', markersize=5, alpha=0.6, markeredgewidth=0, **panels.style(i)
    )
  panels.label(axes, "Kendall's rank correlation with the trained order", 'Error (%)',
               'Blocks exchanged')  # fmt: skip
  axes.invert_xaxis()
  axes.set_ylim(0, 100)
