"""The picture of branch correlations."""

from typing import TYPE_CHECKING, Any

import cifar_jax.report.panels as panels

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.figure import Figure

_LETTERS = {'even': 'E', 'shake': 'S', 'keep': 'K', 'image': 'I', 'batch': 'B'}


def figure(found: list[dict[str, Any]]) -> 'Figure':
  """Two panels: the branches' outputs by block, and by layer, over the blocks.

  Args:
    found: what `analysis.branch_correlation` measured, of one or several runs.
  """
  picture, (by_block, by_layer) = panels.row(2)
  for i, (told, name) in enumerate(zip(found, panels.names(found), strict=True)):
    mode = '-'.join(_LETTERS.get(value, value) for value in told['mode'].values())
    values = told['correlation']['branch']
    by_block.plot(range(1, len(values) + 1), values, label=f'{name}, {mode}', markersize=5,
                  **panels.style(i))  # fmt: skip
    layers = [layer for layer in told['correlation'] if layer != 'branch']
    for j, layer in enumerate(layers):
      line = ('-', '--', '-.', ':', '-', '--')[j % 6]
      by_layer.plot(range(1, len(values) + 1), told['correlation'][layer], linestyle=line,
                    color=panels.style(i)['color'], linewidth=1.5,
                    label=layer if i == 0 else None)  # fmt: skip
  panels.label(by_block, 'Block', 'Correlation', 'Between the outputs of both branches')
  panels.label(by_layer, 'Block', 'Correlation', 'Between the same convolutions of both branches')
  for axes in (by_block, by_layer):
    axes.axhline(0, color='#555555', linewidth=0.8)
    axes.legend(fontsize=10.5, frameon=False)
  return picture
