"""The picture of what accuracy costs."""

from typing import TYPE_CHECKING, Any

import numpy as np

import cifar_jax.report.panels as panels

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.figure import Figure

_BATCHES = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512])


def figure(found: list[dict[str, Any]]) -> 'Figure':
  """Four panels: error against operations, parameters and time, and memory against the batch.

  Args:
    found: what `analysis.complexity` measured, of one or several runs.
  """
  from matplotlib import ticker

  picture, axes = panels.row(4)
  for i, (told, name) in enumerate(zip(found, panels.names(found), strict=True)):
    point: dict[str, Any] = {'markersize': 9, 'linestyle': 'none', **panels.style(i)}
    error = 100 * told['error']
    axes[0].plot(told['multiply_adds'], error, label=name, **point)
    axes[1].plot(told['num_params'], error, **point)
    axes[2].plot(1e3 / told['images_per_second'], error, **point)
    memory = told['state_bytes'] + _BATCHES * told['training_bytes']
    axes[3].plot(_BATCHES, memory / 1e9, color=panels.style(i)['color'], linewidth=1.6)
  panels.label(axes[0], 'Multiply-adds for one image', 'Error (%)', 'Error against operations')
  panels.label(axes[1], 'Parameters', 'Error (%)', 'Error against parameters')
  panels.label(axes[2], 'Milliseconds for one image, evaluated', 'Error (%)', 'Error against time')
  panels.label(axes[3], 'Images in a batch', 'Memory (GB)', 'State and kept activations, training')
  for panel in axes[:3]:
    panel.set_xscale('log')
    panel.set_ylim(bottom=0)
  for panel in axes[:2]:
    panel.xaxis.set_major_formatter(ticker.EngFormatter(sep=' '))
    panel.xaxis.set_minor_formatter(ticker.NullFormatter())
  axes[3].set_xscale('log', base=2)
  axes[3].set_yscale('log')
  axes[3].xaxis.set_major_formatter('{x:g}')
  axes[0].legend(fontsize=10.5, frameon=False, loc='lower left')
  return picture
