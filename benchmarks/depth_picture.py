"""Draws the errors of plain and residual nets by depth, of `docs/gallery/plain_and_residual.json`.

`benchmarks.gallery` calls it.
"""

import statistics
from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.report.figures import panels

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure


@output_files.own_settings()
def figure(content: dict[str, Any]) -> 'Figure':
  """Two panels over the number of layers, training and test: the error of both kinds of net.

  Args:
    content: `entries` with a `label` such as `plain-20`, and `train_errors` and `errors` in
      percent, one of each seed.
  """
  drawn, axes = panels.row(2)
  # What labels begin with; the name; the height of the numbers above the line, in points.
  kinds = (('plain', 'plain', 7), ('ResNet', 'residual', -15))
  titles = {'train_errors': 'Training', 'errors': 'Test'}
  for panel, (key, title) in zip(axes, titles.items(), strict=True):
    for i, (kind, name, distance) in enumerate(kinds):
      entries = [entry for entry in content['entries'] if entry['label'].startswith(kind)]
      depths = [int(entry['label'].rpartition('-')[2]) for entry in entries]
      errors = [statistics.mean(entry[key]) for entry in entries]
      panel.plot(depths, errors, label=name, **panels.style(i))
      for depth, error in zip(depths, errors, strict=True):
        panel.annotate(
          f'{error:.1f}', (depth, error), (0, distance), textcoords='offset points', ha='center'
        )
      panel.set_xticks(depths)
    panels.label(panel, 'Layers', f'{title} error (%)')
    panel.set_ylim(0, 70)
  panels.legends_below(*axes)
  return drawn
