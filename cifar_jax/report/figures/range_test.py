"""The picture of a learning-rate range test: the loss over the rate."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure


@output_files.own_settings()
def figure(
  rates: Sequence[float],
  losses: Sequence[float],
  smoothed: Sequence[float],
  marks: dict[str, float],
  title: str,
) -> 'Figure':
  """Draws the losses and their running mean.

  Args:
    rates: the rate of each step, rising.
    losses: the loss of each step, in nats.
    smoothed: the mean of the losses up to each step.
    marks: rates to be marked by a vertical line, by their names.
    title: heading of the picture.
  """
  picture, (axes,) = panels.row(1, title)
  axes.plot(rates, losses, color='#999999', linewidth=0.8, label='each step')
  axes.plot(rates, smoothed, color=panels.COLOURS[0], linewidth=2, label='running mean')
  for i, (name, rate) in enumerate(marks.items()):
    label = f'{name}: {rate:.2g}'
    axes.axvline(rate, color=panels.COLOURS[i + 1], linestyle='--', linewidth=1.2, label=label)
  panels.label(axes, 'Learning rate', 'Training loss (nats)')
  panels.set_log_scale(axes, 'x')
  axes.set_ylim(0.9 * min(smoothed), 1.1 * max(smoothed))
  panels.legends_below(axes)
  return picture
