"""The picture of correlations between the branches of Shake-Shake blocks."""

from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

_LETTERS = {'even': 'E', 'shake': 'S', 'keep': 'K', 'image': 'I', 'batch': 'B'}

_SAME = 1e-3  # correlations of layers that differ by less are the same but for rounding


@output_files.own_settings()
def figure(results: list[dict[str, Any]]) -> 'Figure':
  """Draws two panels over the blocks: correlation of the branches' outputs, and of each layer.

  A layer whose correlation is that of the whole branch, as its last convolution's is before a norm,
  is left out of the second panel; where no other is left, there is no second panel.

  Args:
    results: measurements of `analysis.branch_correlation`, one dictionary per run.
  """
  layers_of = [_layers(result['correlation']) for result in results]
  picture, axes = panels.row(2 if any(layers_of) else 1)
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    mode = '-'.join(_LETTERS.get(value, value) for value in result['mode'].values())
    values = result['correlation']['branch']
    axes[0].plot(range(1, len(values) + 1), values, label=f'{name}, {mode}', markersize=5,
                  **panels.style(i))  # fmt: skip
    for j, layer in enumerate(layers_of[i]):
      line = ('-', '--', '-.', ':', '-', '--')[j % 6]
      axes[1].plot(range(1, len(values) + 1), result['correlation'][layer], linestyle=line,
                   color=panels.style(i)['color'], linewidth=1.5,
                   label=f'{name}, {mode}: {layer}')  # fmt: skip
  titles = (
    'Between the outputs of both branches',
    'Between the same layers of both branches',
  )
  for panel, title in zip(axes, titles, strict=False):
    panels.label(panel, 'Block', 'Correlation', title)
    panel.axhline(0, color='#555555', linewidth=0.8)
  panels.legends_below(*axes)
  return picture


def _layers(correlation: dict[str, list[float]]) -> list[str]:
  """Returns the layers whose correlation differs from that of the whole branch."""
  whole = correlation['branch']
  return [
    layer
    for layer, values in correlation.items()
    if any(abs(value - other) > _SAME for value, other in zip(values, whole, strict=True))
  ]
