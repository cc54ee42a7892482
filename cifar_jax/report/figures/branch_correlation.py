"""The picture of correlations between the branches of Shake-Shake blocks."""

from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

_LETTERS = {'even': 'E', 'shake': 'S', 'keep': 'K', 'image': 'I', 'batch': 'B'}


@output_files.own_settings()
def figure(results: list[dict[str, Any]]) -> 'Figure':
  """Draws two panels over the blocks: correlation of the branches' outputs, and of each layer.

  Args:
    results: measurements of `analysis.branch_correlation`, one dictionary per run.
  """
  picture, (by_block, by_layer) = panels.row(2)
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    mode = '-'.join(_LETTERS.get(value, value) for value in result['mode'].values())
    values = result['correlation']['branch']
    by_block.plot(range(1, len(values) + 1), values, label=f'{name}, {mode}', markersize=5,
                  **panels.style(i))  # fmt: skip
    layers = [layer for layer in result['correlation'] if layer != 'branch']
    for j, layer in enumerate(layers):
      line = ('-', '--', '-.', ':', '-', '--')[j % 6]
      by_layer.plot(range(1, len(values) + 1), result['correlation'][layer], linestyle=line,
                    color=panels.style(i)['color'], linewidth=1.5,
                    label=layer if i == 0 else None)  # fmt: skip
  panels.label(by_block, 'Block', 'Correlation', 'Between the outputs of both branches')
  panels.label(by_layer, 'Block', 'Correlation', 'Between the same convolutions of both branches')
  for axes in (by_block, by_layer):
    axes.axhline(0, color='#555555', linewidth=0.8)
    axes.legend(fontsize=10.5, frameon=False)
  return picture
