"""The picture of path lengths: number of paths, gradient along one path, and their product."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure


@output_files.own_settings()
def figure(results: list[dict[str, Any]]) -> 'Figure':
  """Draws three panels over the length of a path, which is its number of residual branches.

  Args:
    results: measurements of `analysis.path_length`, one dictionary per run.
  """
  from scipy import stats

  picture, (number, magnitude, product) = panels.row(3)
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    colour = panels.style(i)['color']
    all_lengths = np.arange(len(result['share']))  # from 0 to the number of blocks
    blocks = len(all_lengths) - 1
    paths = 100 * stats.binom.pmf(all_lengths, blocks, 0.5)
    number.plot(all_lengths, paths, color=colour, label=name)

    lengths = [row['length'] for row in result['lengths']]
    low, _, high = np.transpose([row['quartiles'] for row in result['lengths']])
    means = [row['norm'] for row in result['lengths']]
    magnitude.plot(lengths, means, markersize=4, linewidth=1.4, label=name, **panels.style(i))
    magnitude.fill_between(lengths, low, high, color=colour, alpha=0.18, linewidth=0)

    share = 100 * np.array(result['share'])
    shortest, longest = result['bulk']
    inside = (all_lengths >= shortest) & (all_lengths <= longest)
    product.plot(all_lengths, share, color=colour)
    product.fill_between(all_lengths, share, where=inside, color=colour, alpha=0.25, linewidth=0,
                         label=f'{name}: 95 % in {shortest} to {longest} of {blocks}')  # fmt: skip
  panels.label(number, 'Length of path (branches)', 'Paths (%)', 'How many paths have a length')
  panels.label(magnitude, 'Length of path (branches)', 'Gradient norm at the input (nats)',
               'Along one path (mean, quartiles)')  # fmt: skip
  panels.label(product, 'Length of path (branches)', 'Share of the gradient (%)',
               'Along all paths of a length')  # fmt: skip
  panels.set_log_scale(magnitude, 'y')
  for axes in (number, product):
    axes.set_ylim(bottom=0)
  panels.legends_below(number, magnitude, product)
  return picture
