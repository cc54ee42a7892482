"""The picture of activations and gradients over the depth of a net."""

from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

_TIMES = {'before': '--', 'after': '-'}  # of the training, and the style of the lines
_FEW_DEAD = 0.05


@output_files.own_settings()
def figure(results: list[dict[str, Any]]) -> 'Figure':
  """Draws panels over the depth: variance, gradient norm per kernel, and dead channels.

  Lines are dashed before training and solid after it. Where no layer has more than `_FEW_DEAD` dead
  channels, there is no panel of them.

  Args:
    results: measurements of `analysis.activations`, one dictionary per run.
  """
  shares = [row['dead'] for result in results for when in _TIMES for row in result[when]]
  has_dead = max(shares) > _FEW_DEAD
  picture, axes = panels.row(3 if has_dead else 2)
  for i, (result, name) in enumerate(zip(results, panels.names(results), strict=True)):
    colour = panels.style(i)['color']
    for when, line in _TIMES.items():
      rows = result[when]
      depth = [100 * (index + 1) / len(rows) for index in range(len(rows))]
      common: dict[str, Any] = {'color': colour, 'linestyle': line, 'linewidth': 1.6}
      common['label'] = f'{name}, {when} training'
      axes[0].plot(depth, [row['variance'] for row in rows], **common)
      axes[1].plot(depth, [row['gradient'] for row in rows], **common)
      if has_dead:
        axes[2].plot(depth, [100 * row['dead'] for row in rows], **common)
  depth_label = 'Depth (% of the convolutions)'
  panels.label(axes[0], depth_label, 'Variance', 'What a layer gives, before its ReLU')
  panels.label(axes[1], depth_label, 'Norm (nats)', 'Gradient of the loss by the kernel')
  panels.set_log_scale(axes[0], 'y')
  panels.set_log_scale(axes[1], 'y')
  if has_dead:
    panels.label(axes[2], depth_label, 'Channels (%)', 'Channels that no image makes positive')
    axes[2].set_ylim(bottom=0)
  panels.legends_below(*axes)
  return picture
