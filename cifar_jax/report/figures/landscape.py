"""The picture of the loss and the error along a line through the weights of a net."""

from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure


@output_files.own_settings()
def figure(results: list[dict[str, Any]]) -> 'Figure':
  """Draws two panels along the line: loss and error.

  Args:
    results: measurements of `analysis.landscape`, one dictionary per run.
  """
  picture, (loss, error) = panels.row(2)
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    positions = [row['position'] for row in result['points']]
    label = f'{name} to {result["to"]}' if result['to'] else name
    common: dict[str, Any] = {'markersize': 5, 'linewidth': 1.5, **panels.style(i)}
    loss.plot(positions, [row['loss'] for row in result['points']], label=label, **common)
    error.plot(positions, [100 * row['error'] for row in result['points']], label=label, **common)
  between = any(result['to'] for result in results)
  x = 'Way from one net to the other' if between else 'Filter-normalised distance from the net'
  panels.label(loss, x, 'Loss (nats)')
  panels.label(error, x, 'Error (%)')
  if max(row['loss'] for result in results for row in result['points']) > 10:
    panels.set_log_scale(loss, 'y')
  error.set_ylim(0, 100)
  panels.legends_below(loss, error)
  return picture
