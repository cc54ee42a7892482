"""The picture of activations and gradients over the depth of a net."""

from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure


@output_files.own_settings()
def figure(results: list[dict[str, Any]]) -> 'Figure':
  """Draws three panels over the depth: variance, dead channels, and gradient norm per kernel.

  Lines are dashed before training and solid after it.

  Args:
    results: measurements of `analysis.activations`, one dictionary per run.
  """
  picture, axes = panels.row(3)
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    colour = panels.style(i)['color']
    for when, line in (('before', '--'), ('after', '-')):
      rows = result[when]
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
  panels.set_log_scale(axes[0], 'y')
  panels.set_log_scale(axes[2], 'y')
  axes[1].set_ylim(bottom=0)
  axes[2].legend(fontsize=10.5, frameon=False)
  return picture
