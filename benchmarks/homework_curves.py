"""Draws the published homework's accuracies by epoch beside ours, of `docs/gallery/homework.json`.

`benchmarks.gallery` calls it. The published run is a ResNet-34 of 5,000 images at 128x128 pixels.
"""

from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure


@output_files.own_settings()
def figure(content: dict[str, Any]) -> 'Figure':
  """Two panels over the epochs, training and test: the accuracy in percent, ours and published.

  Args:
    content: `published`, with a list of accuracies in percent by split, and `runs`, which maps the
      label of each of our runs to such lists; one that was not measured is absent.
  """
  drawn, axes = panels.row(2)
  splits = {'train': 'Training', 'test': 'Test'}
  for panel, (split, title) in zip(axes, splits.items(), strict=True):
    curves = {'published': content['published'], **content['runs']}
    for i, (label, curve) in enumerate(curves.items()):
      if values := curve.get(split):
        panel.plot(range(1, len(values) + 1), values, label=label, **panels.style(i))
    panels.label(panel, 'Epoch', f'{title} accuracy (%)')
    panel.set_xlim(left=0.5)
    panel.set_ylim(bottom=0)
  panels.legends_below(*axes)
  return drawn
