"""Learning curves of a run, from its `metrics.jsonl`."""

import math
import os
import pathlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cifar_jax import output_files
from cifar_jax.report.figures import panels
from cifar_jax.runs.results import (
  Record,
  last_epoch_mean,
  read_records,
  records_of_seeds,
  series,
  training_curve,
)

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

# Okabe and Ito's colours: people with any common form of colour blindness can distinguish them,
# and their lightness differs in black-and-white print. Training has many noisy points: a thin line.
_STYLES: dict[str, dict[str, Any]] = {
  'train': {'color': '#56B4E9', 'linewidth': 1.2},
  'validation': {'color': '#D55E00', 'linewidth': 2},
  'test': {'color': '#000000', 'linestyle': 'none', 'markersize': 9},
}
_FEW_POINTS = 15  # curves of at most this many points have a marker at each point
_BAND: dict[str, Any] = {'alpha': 0.2, 'linewidth': 0}


NAME = 'plots/learning_curves.png'  # in a run's directory


class Band(NamedTuple):
  """A curve with its spread over the seeds.

  Attributes:
    epochs: where the points are.
    values: the means over the seeds.
    deviations: their sample standard deviations; 0 for one seed.
  """

  epochs: list[float]
  values: list[float]
  deviations: list[float]


def learning_curves(workdir: str | os.PathLike[str], title: str) -> pathlib.Path:
  """Draws the learning curves of a run, finished or not, into `plots/learning_curves.png`.

  Args:
    workdir: directory of the run, with its `metrics.jsonl`.
    title: heading of the picture, such as the name of the run.

  Returns:
    The path of the picture, about 3100 × 1000 pixels. It replaces an older picture only when it is
    complete.

  Raises:
    InputError: the records are missing or unreadable (see `runs.results.read_records`), or the
      picture cannot be written.
  """
  figure = learning_curves_figure(read_records(workdir), title)
  path = pathlib.Path(workdir) / NAME
  path.parent.mkdir(exist_ok=True)
  output_files.save_figure(figure, path)
  return path


@output_files.own_settings()
def learning_curves_figure(records: list[Record], title: str) -> 'Figure':
  """Draws panels over the epochs: the loss, the error in %, and the learning rate if it changes.

  A split without records has no curve. The test split is measured when the run ends, which is one
  point, or after each epoch. Of several seeds the mean is drawn, in a band of one deviation.
  The axes of loss and error are logarithmic if the values span enough; a 0 then lies below the
  panel.

  Args:
    records: records of a run, as `runs.results.read_records` returns them.
    title: heading of the picture.

  Returns:
    The figure. The label of a line is the split and the last value; in training, where a value is
    of few batches, the mean of the last epoch.
  """
  losses = {split: _band(records, split, 'loss') for split in ('train', 'validation')}
  errors = {split: _errors(records, split) for split in ('train', 'validation', 'test')}
  epochs, rates = series(records, 'train', 'learning_rate')
  loss, accuracy = (last_epoch_mean(records, key) for key in ('loss', 'accuracy'))
  error = None if accuracy is None else 100 * (1 - accuracy)

  figure, axes = panels.row(3 if len(set(rates)) > 1 else 2, title)
  constant = f'Learning rate {rates[0]:g}' if len(set(rates)) == 1 else ''
  panels.label(axes[0], 'Epoch', 'Loss (nats)', constant)
  panels.label(axes[1], 'Epoch', 'Error (%)')
  _draw_curves(axes[0], losses, '{:.3g}', loss)
  _draw_curves(axes[1], errors, '{:.2f}', error, ' %')
  for panel, curves in ((axes[0], losses), (axes[1], errors)):
    _set_scale(panel, [value for curve in curves.values() for value in curve.values])
    panel.set_xlim(left=0)
  if len(axes) > 2:
    panels.label(axes[2], 'Epoch', 'Learning rate')
    axes[2].plot(epochs, rates, color=panels.COLOURS[2], linewidth=1.6)
    axes[2].set_xlim(left=0)
  panels.legends_below(*axes)
  return figure


@output_files.own_settings()
def compared_curves_figure(runs_records: dict[str, list[Record]]) -> 'Figure':
  """Draws the curves of several runs: training loss, and error on training and held-out images.

  Args:
    runs_records: name of each run to its records, as `runs.results.read_records` returns them.

  Returns:
    The figure: thin lines for training, thick lines for validation, a point for the test split, and
    bands of one deviation for several seeds.
  """
  figure, (loss_axes, error_axes) = panels.row(2)
  losses, errors = [], []
  for i, (name, records) in enumerate(runs_records.items()):
    style = panels.style(i)
    loss = _band(records, 'train', 'loss')
    _draw_band(loss_axes, loss, color=style['color'], linewidth=1.2, label=name)
    train, validation, test = (_errors(records, s) for s in ('train', 'validation', 'test'))
    error_axes.plot(train.epochs, train.values, color=style['color'], linewidth=0.8, alpha=0.5)
    _draw_band(error_axes, validation, color=style['color'], linewidth=2)
    label = f'{name}: {_with_deviation(test, "{:.2f}")} %' if test.values else name
    error_axes.plot(
      test.epochs[-1:], test.values[-1:], linestyle='none', markersize=9, label=label, **style
    )
    losses += loss.values
    errors += train.values + validation.values + test.values
  panels.label(loss_axes, 'Epoch', 'Training loss (nats)')
  panels.label(error_axes, 'Epoch', 'Error (%)', 'thin: training, thick: validation, point: test')
  for axes, values in ((loss_axes, losses), (error_axes, errors)):
    _set_scale(axes, values)
    axes.set_xlim(left=0)
  panels.legends_below(loss_axes, error_axes)
  return figure


def _errors(records: list[Record], split: str) -> Band:
  """Returns the curve of the errors in % of a split."""
  epochs, accuracies, deviations = _band(records, split, 'accuracy')
  return Band(epochs, [100 * (1 - a) for a in accuracies], [100 * d for d in deviations])


def _band(records: list[Record], split: str, key: str) -> Band:
  """Returns the curve of a key of a split, with its deviation over the seeds."""
  curves = [
    training_curve(of_seed, key) if split == 'train' else series(of_seed, split, key)
    for of_seed in records_of_seeds(records)
  ]
  epochs, values = curves[0][0], np.array([values for _, values in curves])
  with np.errstate(invalid='ignore'):  # of a run that diverged
    deviations = values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(len(epochs))
  return Band(epochs, values.mean(axis=0).tolist(), deviations.tolist())


def _with_deviation(curve: Band, form: str) -> str:
  """Formats the last value of a curve, with its deviation if there is one."""
  last, deviation = form.format(curve.values[-1]), curve.deviations[-1]
  return f'{last} ± {form.format(deviation)}' if deviation else last


def _draw_curves(
  axes: 'Axes',
  curves: dict[str, Band],
  form: str,
  last_epoch: float | None = None,
  unit: str = '',
) -> None:
  """Draws the curves that have points.

  Args:
    axes: panel to draw into.
    curves: name of each split to its curve.
    form: format string for the last value of a curve in the legend.
    last_epoch: mean of the last epoch, which is shown for the training split.
    unit: what stands behind the value in the legend.
  """
  for split, curve in curves.items():
    if curve.epochs:
      style = _STYLES[split] | ({'marker': 'o'} if len(curve.epochs) <= _FEW_POINTS else {})
      if split == 'test' and len(curve.epochs) > 1:
        style = _STYLES[split] | {'linestyle': '--', 'linewidth': 1.2}
      if split == 'train' and last_epoch is not None:
        text = f'train, mean of the last epoch: {form.format(last_epoch)}{unit}'
      else:
        text = f'{split}: {_with_deviation(curve, form)}{unit}'
      _draw_band(axes, curve, label=text, **style)


def _draw_band(axes: 'Axes', curve: Band, **style: Any) -> None:
  """Draws a curve, in a band of one deviation where there are several seeds."""
  axes.plot(curve.epochs, curve.values, **style)
  if any(curve.deviations):
    low, high = np.subtract(curve.values, curve.deviations), np.add(curve.values, curve.deviations)
    if len(curve.epochs) > 1:
      axes.fill_between(curve.epochs, low, high, color=style['color'], **_BAND)
    else:
      axes.vlines(curve.epochs, low, high, color=style['color'], linewidth=1.5)


def _set_scale(axes: 'Axes', values: list[float]) -> None:
  """Makes the vertical axis logarithmic if the values differ by a factor of 5 or more.

  From that factor on, at least two of the ticks at 1, 2 and 5 times a power of 10 are visible.
  """
  from matplotlib import ticker

  positive = [value for value in values if 0 < value < math.inf]
  if not positive or max(positive) < 5 * min(positive):
    return
  few_decades = max(positive) < 1000 * min(positive)
  panels.set_log_scale(axes, 'y', nonpositive='clip')
  axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if few_decades else (1,)))
  axes.yaxis.set_major_formatter('{x:g}')
  axes.yaxis.set_minor_formatter(ticker.NullFormatter())
