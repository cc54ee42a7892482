"""The picture of a comparison: how far each two models err on the same images."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.figure import Figure

LEVEL = 0.05  # below it McNemar's test calls two models different
_NUMBERED = 12  # models up to which each cell says its number


def matrix(models: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> 'Figure':
  """Error consistency of each two, and where their difference in error may be chance.

  Args:
    models: `name` and `error_percent`, in the order of rows and columns.
    pairs: `first`, `second`, `error_consistency` (or None) and `mcnemar_p`.
  """
  from matplotlib.figure import Figure
  from matplotlib.lines import Line2D

  names = [model['name'] for model in models]
  place = {name: index for index, name in enumerate(names)}
  kappa = np.full((len(models), len(models)), np.nan)
  chance = []
  for pair in pairs:
    low, high = place[pair['first']], place[pair['second']]
    if pair['error_consistency'] is not None:
      kappa[high, low] = pair['error_consistency']
    if pair['mcnemar_p'] >= LEVEL:
      chance.append((high, low))

  size = 0.42 * len(models) if len(models) > _NUMBERED else 0.8 * len(models)
  figure = Figure(figsize=(size + 5.5, size + 2.6), layout='constrained')
  axes = figure.subplots()
  low = min(0.0, np.nanmin(kappa, initial=0.0))
  high = np.nanmax(kappa, initial=0.1)
  image = axes.imshow(kappa, cmap='viridis', vmin=low, vmax=high)
  bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
  bar.set_label("Error consistency (Cohen's kappa)", fontsize=18)
  bar.ax.tick_params(labelsize=15)
  for row, column in chance:
    axes.plot(column, row, 'o', color='white', markeredgecolor='black', markersize=7)
  if len(models) <= _NUMBERED:
    for row, column in np.argwhere(~np.isnan(kappa)):
      colour = 'white' if kappa[row, column] < low + 0.6 * (high - low) else 'black'
      axes.text(
        column, row - 0.22, f'{kappa[row, column]:.2f}', ha='center', va='center', color=colour,
        fontsize=13,
      )  # fmt: skip
  labels = [f'{model["name"]}   {model["error_percent"]:.2f} %' for model in models]
  axes.set_yticks(range(len(names)), labels, fontsize=15, parse_math=False)
  axes.set_xticks(range(len(names)), names, fontsize=15, rotation=90, parse_math=False)
  axes.spines[:].set_visible(False)
  axes.tick_params(length=0)
  axes.set_title('Do they err on the same images?', fontsize=20)
  dot = Line2D([], [], marker='o', color='white', markeredgecolor='black', markersize=9, ls='none')
  told = f"difference in error may be chance\n(McNemar's p ≥ {LEVEL})"
  axes.legend([dot], [told], fontsize=16, loc='upper right', edgecolor='none')
  return figure
