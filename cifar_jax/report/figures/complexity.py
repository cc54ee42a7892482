"""The picture of accuracy against cost."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

_BATCHES = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512])


@output_files.own_settings()
def figure(results: list[dict[str, Any]]) -> 'Figure':
  """Draws four panels: error against operations, parameters and time, and memory against batch.

  Args:
    results: measurements of `analysis.complexity`, one dictionary per run.
  """
  from matplotlib import ticker

  picture, axes = panels.row(4)
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    point: dict[str, Any] = {'markersize': 9, 'linestyle': 'none', 'label': name, **panels.style(i)}
    error = 100 * result['error']
    axes[0].plot(result['multiply_adds'], error, **point)
    axes[1].plot(result['num_params'], error, **point)
    axes[2].plot(1e3 / result['images_per_second'], error, **point)
    memory = result['state_bytes'] + _BATCHES * result['training_bytes']
    axes[3].plot(_BATCHES, memory / 1e9, color=panels.style(i)['color'], linewidth=1.6, label=name)
  panels.label(axes[0], 'Multiply-adds for one image', 'Error (%)', 'Error against operations')
  panels.label(axes[1], 'Parameters', 'Error (%)', 'Error against parameters')
  panels.label(axes[2], 'Milliseconds for one image, evaluated', 'Error (%)', 'Error against time')
  panels.label(axes[3], 'Images in a batch', 'Memory (GB)', 'State and kept activations, training')
  for panel in axes[:3]:
    panels.set_log_scale(panel, 'x')
    panel.set_ylim(bottom=0)
  for panel in axes[:2]:
    panel.xaxis.set_major_formatter(ticker.EngFormatter(sep=' '))
    panel.xaxis.set_minor_formatter(ticker.NullFormatter())
  panels.set_log_scale(axes[3], 'x', base=2)
  panels.set_log_scale(axes[3], 'y')
  axes[3].xaxis.set_major_formatter('{x:g}')
  panels.legends_below(*axes)
  return picture
