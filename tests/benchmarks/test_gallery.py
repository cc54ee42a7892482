"""The pictures of the gallery are those of the numbers beside them, and each shows something."""

import numpy as np

from benchmarks import gallery


def test_every_picture_is_drawn_from_its_numbers_and_no_panel_is_empty_or_flat() -> None:
  drawn = dict(gallery.figures())
  assert {*drawn} == {*gallery.FOLDER.glob('*.png')}
  for path, figure in drawn.items():
    for axes in figure.axes:
      values = [np.asarray(line.get_ydata(), float) for line in axes.lines]
      assert values and np.ptp(np.concatenate(values)) > 0, (path.name, axes.get_title())
