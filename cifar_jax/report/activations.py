"""The picture of activations and gradients by depth."""

from typing import TYPE_CHECKING, Any

import cifar_jax.report.panels as panels

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.figure import Figure


def figure(found: list[dict[str, Any]]) -> 'Figure':
  """Three panels over the depth: variance, dead channels, and the gradient by the kernels.

  Args:
    found: what `analysis.activations` measured, of one or several runs; dashed before training.
  """
  picture, axes = panels.row(3)
  for i, (told, name) in enumerate(zip(found, panels.names(found), strict=True)):
    colour = panels.style(i)['color']
    for when, line in (('before', '--'), ('after', '-')):
      rows = told[when]
      depth = [100 * (index + 1) / len(rows) for index in range(len(rows))]
      common: dict[str, Any] = {'color': colour, 'linestyle': line, 'linewidth': 1.6}
      axes[0].plot(depth, [row['variance'] for row in rows], **common)
      axes[1].plot(depth, [100 * row['dead'] for row in rows], **common)
      axes[2].plot(depth, [row['gradient'] for row in rows], **common,
                   label=f'{name}, {when} training')  # fmt: skip
  depth_label = 'Depth (% of the convolutions)'
  panels.label(axes[0], depth_label, 'Variance', 'What a layer gives, before its ReLU')
  panels.label(axes[1], depth_label, 'Channels (%)', 'Channels that no image makes positive')
  panels.label(axes[2], depth_label, 'Norm (nats)', 'Gradient of the loss by the kernel')
  axes[0].set_yscale('log')
  axes[2].set_yscale('log')
  axes[1].set_ylim(bottom=0)
  axes[2].legend(fontsize=10.5, frameon=False)
  return picture
