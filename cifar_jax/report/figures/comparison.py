"""The picture of a comparison: whether pairs of models err on the same images."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cifar_jax import output_files

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

LEVEL = 0.05  # two models differ significantly if the p-value of McNemar's test is below this
_NUMBERED = 12  # with more models than this, cells show no numbers


@output_files.own_settings()
def matrix(models: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> 'Figure':
  """Draws the error consistency of each pair, and marks differences in error that may be chance.

  Args:
    models: dictionaries of `name` and `error_percent`, in the order of rows and columns.
    pairs: dictionaries of `first` and `second` (names of models), `error_consistency` (Cohen's
      kappa, or None where it is undefined) and `mcnemar_p` (p-value of McNemar's test).
  """
  from matplotlib.figure import Figure

  names = [model['name'] for model in models]
  index_of = {name: index for index, name in enumerate(names)}
  kappa = np.full((len(models), len(models)), np.nan)
  chance = []
  for pair in pairs:
    column, row = index_of[pair['first']], index_of[pair['second']]
    if pair['error_consistency'] is not None:
      kappa[row, column] = pair['error_consistency']
    if pair['mcnemar_p'] >= LEVEL:
      chance.append((row, column))

  names_width = 0.13 * max(len(name) for name in names)
  size = len(models) * (0.42 if len(models) > _NUMBERED else 0.9)
  figure = Figure(figsize=(max(9.0, size + names_width + 3.2), size + 2.0), layout='constrained')
  figure.suptitle(
    "Do they err on the same images? Error consistency (Cohen's kappa)\n"
    f"○  the difference in error may be chance (McNemar's p ≥ {LEVEL})",
    fontsize=17,
  )
  axes = figure.subplots()
  low, high = min(0.0, np.nanmin(kappa, initial=0.0)), np.nanmax(kappa, initial=0.1)
  image = axes.imshow(kappa, cmap='viridis', vmin=low, vmax=high, aspect='auto')
  bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
  bar.set_label('Kappa', fontsize=16)
  bar.ax.tick_params(labelsize=14)
  for row, column in chance:
    axes.plot(column, row, 'o', color='white', markeredgecolor='black', markersize=8)
  if len(models) <= _NUMBERED:
    for row, column in np.argwhere(~np.isnan(kappa)):
      colour = 'white' if kappa[row, column] < low + 0.6 * (high - low) else 'black'
      number = f'{kappa[row, column]:.2f}'
      axes.text(column, row - 0.27, number, ha='center', va='center', color=colour, fontsize=15)
  labels = [
    f'{model["name"]}   {model["error_percent"]:.2f} %   {number}'
    for number, model in enumerate(models, 1)
  ]
  axes.set_yticks(range(len(names)), labels, fontsize=15, parse_math=False)
  numbers = [str(number) for number in range(1, len(models) + 1)]
  axes.set_xticks(range(len(names)), numbers, fontsize=15)
  axes.set_xlabel('Number of the model', fontsize=15)
  axes.spines[:].set_visible(False)
  axes.tick_params(length=0)
  return figure
