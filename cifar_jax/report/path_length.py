"""The picture of path lengths: how many paths, how much gradient along one, and the product."""

from typing import TYPE_CHECKING, Any

import numpy as np

import cifar_jax.report.panels as panels

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.figure import Figure


def figure(found: list[dict[str, Any]]) -> 'Figure':
  """Three panels over the length of a path.

  Args:
    found: what `analysis.path_length` measured, of one or several runs.
  """
  from scipy import stats

  picture, (number, magnitude, product) = panels.row(3)
  for i, (told, name) in enumerate(zip(found, panels.names(found), strict=True)):
    colour = panels.style(i)['color']
    blocks = told['num_blocks']
    every = np.arange(blocks + 1)
    number.plot(every, 100 * stats.binom.pmf(every, blocks, 0.5), color=colour, label=name)

    lengths = [row['length'] for row in told['lengths']]
    low, _, high = np.transpose([row['quartiles'] for row in told['lengths']])
    means = [row['norm'] for row in told['lengths']]
    magnitude.plot(lengths, means, markersize=4, linewidth=1.4, **panels.style(i))
    magnitude.fill_between(lengths, low, high, color=colour, alpha=0.18, linewidth=0)

    share = 100 * np.array(told['share'])
    shortest, longest = told['bulk']
    inside = (every >= shortest) & (every <= longest)
    product.plot(every, share, color=colour)
    product.fill_between(every, share, where=inside, color=colour, alpha=0.25, linewidth=0,
                         label=f'95 % in {shortest} to {longest} of {blocks}')  # fmt: skip
  panels.label(number, 'Length of path (branches)', 'Paths (%)', 'How many paths have a length')
  panels.label(magnitude, 'Length of path (branches)', 'Gradient norm at the input (nats)',
               'Along one path (mean, quartiles)')  # fmt: skip
  panels.label(product, 'Length of path (branches)', 'Share of the gradient (%)',
               'Along all paths of a length')  # fmt: skip
  magnitude.set_yscale('log')
  for axes in (number, product):
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=10.5, frameon=False)
  return picture
