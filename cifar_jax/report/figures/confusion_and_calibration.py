"""Pictures of an evaluation: the confusion matrix and the reliability diagram."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cifar_jax import output_files

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

_COUNTED = 25  # with more classes than this, cells show no counts
_NAMED = 120  # with more classes than this, rows and columns have no names
_BLUE, _ORANGE = '#0072B2', '#E69F00'  # of Okabe and Ito's colours


@output_files.own_settings()
def confusion_matrix(confusion: np.ndarray, class_names: tuple[str, ...], title: str) -> 'Figure':
  """Draws how often each class is predicted for each true class, as shares of the true class.

  The colour grows with the square root of the share: rare confusions stay visible beside the
  diagonal.

  Args:
    confusion: counts, integer `[true class, predicted class]`.
    class_names: names of rows and columns.
    title: heading of the picture.
  """
  from matplotlib import colors, ticker
  from matplotlib.figure import Figure

  num_classes = len(class_names)
  side = 3.0 + 0.34 * num_classes if num_classes <= _COUNTED else 16.5  # inches
  figure = Figure(figsize=(1.1 * side, side), layout='constrained')
  axes = figure.subplots()
  shares = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
  norm = colors.PowerNorm(0.5, 0, 100)
  image = axes.imshow(shares, cmap='Blues', norm=norm)
  bar = figure.colorbar(image, ax=axes, shrink=0.82, pad=0.02)
  large = 12.5 if num_classes <= _COUNTED else 22
  bar.set_label('Share of the images of the true class (%)', fontsize=large)
  bar.ax.yaxis.set_major_locator(ticker.FixedLocator([0, 1, 5, 10, 25, 50, 75, 100]))
  bar.ax.tick_params(labelsize=large - 1.5)
  figure.suptitle(title, fontsize=large + 1)
  axes.set_xlabel('Predicted class', fontsize=large)
  axes.set_ylabel('True class', fontsize=large)
  if num_classes <= _NAMED:
    size = min(12.0, 1000 / num_classes)
    axes.set_xticks(range(num_classes), class_names, rotation=90, fontsize=size)
    axes.set_yticks(range(num_classes), class_names, fontsize=size)
  if num_classes <= _COUNTED:
    _write_counts(axes, confusion, shares)
  return figure


def _write_counts(axes: 'Axes', confusion: np.ndarray, shares: np.ndarray) -> None:
  size = min(11.0, 200 / len(confusion))
  for row, column in np.ndindex(*confusion.shape):
    if confusion[row, column]:
      axes.text(
        column, row, str(confusion[row, column]), ha='center', va='center', fontsize=size,
        color='white' if shares[row, column] > 30 else 'black',
      )  # fmt: skip


@output_files.own_settings()
def reliability(calibration: dict[str, Any], title: str) -> 'Figure':
  """Draws the reliability diagram: accuracy over confidence, and how often a confidence occurs.

  Args:
    calibration: `edges` of the bins (n + 1 numbers in [0, 1]); per bin `counts`, mean `confidence`
      and `accuracy` (None for an empty bin); and the `expected_calibration_error` in [0, 1].
    title: first line of the heading; the second states the calibration error.
  """
  from matplotlib.figure import Figure

  edges = np.array(calibration['edges'])
  counts = np.array(calibration['counts'])
  filled = counts > 0
  left, width = edges[:-1][filled], np.diff(edges)[filled]
  accuracy, confidence = (
    np.array(calibration[key], float)[filled] for key in ('accuracy', 'confidence')
  )
  figure = Figure(figsize=(5.4, 6.8), layout='constrained')
  upper, lower = figure.subplots(2, sharex=True, height_ratios=[3.2, 1])
  upper.bar(left, accuracy, width, align='edge', color=_BLUE, edgecolor='white', label='accuracy')
  upper.vlines(
    confidence, accuracy, confidence, color=_ORANGE, linewidth=5, label='gap to the confidence'
  )
  upper.plot([0, 1], [0, 1], color='black', linestyle='--', label='perfectly calibrated')
  upper.set_ylabel('Share right (accuracy)', fontsize=12.5)
  upper.set_ylim(0, 1)
  error = 100 * calibration['expected_calibration_error']
  heading = f'{title}\nexpected calibration error {error:.2f} %, {len(counts)} bins'
  figure.suptitle(heading.strip(), fontsize=12.5)
  shares = 100 * counts / counts.sum()
  lower.bar(edges[:-1], shares, np.diff(edges), align='edge', color='#666666', edgecolor='white')
  lower.set_ylabel('Images (%)', fontsize=12.5)
  lower.set_xlabel('Confidence: probability of the predicted class', fontsize=12.5)
  lower.set_xlim(0, 1)
  for axes in (upper, lower):
    axes.tick_params(labelsize=11)
    axes.grid(color='#e5e5e5')
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
  figure.align_ylabels()
  figure.legend(loc='outside lower center', ncols=2, fontsize=11, frameon=False)
  return figure
