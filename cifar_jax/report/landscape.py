"""The picture of the loss along a line."""

from typing import TYPE_CHECKING, Any

import cifar_jax.report.panels as panels

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.figure import Figure


def figure(found: list[dict[str, Any]]) -> 'Figure':
  """Two panels: loss and error.

  Args:
    found: what `analysis.landscape` measured, of one or several runs.
  """
  picture, (loss, error) = panels.row(2)
  for i, (told, name) in enumerate(zip(found, panels.names(found), strict=True)):
    positions = [row['position'] for row in told['points']]
    label = f'{name} to {told["to"]}' if told['to'] else name
    common: dict[str, Any] = {'markersize': 5, 'linewidth': 1.5, **panels.style(i)}
    loss.plot(positions, [row['loss'] for row in told['points']], label=label, **common)
    error.plot(positions, [100 * row['error'] for row in told['points']], **common)
  between = any(told['to'] for told in found)
  x = 'Way from one net to the other' if between else 'Filter-normalised distance from the net'
  panels.label(loss, x, 'Loss (nats)')
  panels.label(error, x, 'Error (%)')
  if max(row['loss'] for told in found for row in told['points']) > 10:
    loss.set_yscale('log')
  error.set_ylim(0, 100)
  loss.legend(fontsize=10.5, frameon=False)
  return picture
