"""Learning curves of a run, from its `metrics.jsonl`."""

import math
import os
import pathlib
from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.report.figures import panels
from cifar_jax.runs.results import (
  Curve,
  Record,
  last_epoch_mean,
  read_records,
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


NAME = 'plots/learning_curves.png'  # in a run's directory


def learning_curves(workdir: str | os.PathLike[str], title: str) -> pathlib.Path:
  """Draws the learning curves of a run, finished or not, into `plots/learning_curves.png`.

  Args:
    workdir: directory of the run, with its `metrics.jsonl`.
    title: heading of the picture, such as the name of the run.

  Returns:
    The path of the picture, about 1400 × 1600 pixels. It replaces an older picture only when it is
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
  """Draws three panels over the epochs: the loss, the error in %, and the learning rate.

  A split without records has no curve. The test split is measured when the run ends, which is one
  point, or after each epoch.
  The axes of loss and error are logarithmic if the values span enough; a 0 then lies below the
  panel.

  Args:
    records: records of a run, as `runs.results.read_records` returns them.
    title: heading of the picture.

  Returns:
    The figure. The label of a line is the split and the last value; in training, where a value is
    of few batches, the mean of the last epoch.
  """
  from matplotlib.figure import Figure  # without pyplot: no display needed, no global state

  losses = {split: _curve(records, split, 'loss') for split in ('train', 'validation')}
  errors = {split: _error_percent(records, split) for split in ('train', 'validation', 'test')}
  learning_rates = {'train': series(records, 'train', 'learning_rate')}
  loss, accuracy = (last_epoch_mean(records, key) for key in ('loss', 'accuracy'))
  error = None if accuracy is None else _percent_wrong(accuracy)

  figure = Figure(figsize=(7, 8), layout='constrained')
  figure.suptitle(title, fontsize=16)
  loss_axes, error_axes, rate_axes = figure.subplots(3, sharex=True, height_ratios=[3, 3, 1.6])
  _draw_curves(loss_axes, losses, 'Loss (nats)', '{:.3g}', loss)
  _draw_curves(error_axes, errors, 'Error (%)', '{:.2f} %', error)
  _draw_curves(rate_axes, learning_rates, 'Learning rate', '{:.3g}')
  for axes, curves in ((loss_axes, losses), (error_axes, errors)):
    _set_scale(axes, [value for _, values in curves.values() for value in values])
  rate_axes.set_xlabel('Epoch', fontsize=14)
  rate_axes.set_xlim(left=0)
  figure.align_ylabels()
  return figure


@output_files.own_settings()
def compared_curves_figure(runs_records: dict[str, list[Record]]) -> 'Figure':
  """Draws the curves of several runs: training loss, and error on training and held-out images.

  Args:
    runs_records: name of each run to its records, as `runs.results.read_records` returns them.

  Returns:
    The figure: thin lines for training, thick lines for validation, a point for the test split.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(9, 8), layout='constrained')
  loss_axes, error_axes = figure.subplots(2, sharex=True)
  losses, errors = [], []
  for i, (name, records) in enumerate(runs_records.items()):
    style = panels.style(i)
    loss = training_curve(records, 'loss')
    loss_axes.plot(*loss, color=style['color'], linewidth=1.2, label=name)
    train = _error_percent(records, 'train')
    error_axes.plot(*train, color=style['color'], linewidth=0.8, alpha=0.5)
    validation = _error_percent(records, 'validation')
    error_axes.plot(*validation, color=style['color'], linewidth=2)
    test = tuple(values[-1:] for values in _error_percent(records, 'test'))
    label = f'{name}: {test[1][-1]:.2f} %' if test[1] else name
    error_axes.plot(*test, linestyle='none', markersize=9, label=label, **style)
    losses += loss[1]
    errors += train[1] + validation[1] + test[1]
  panels.label(loss_axes, '', 'Training loss (nats)')
  panels.label(error_axes, 'Epoch', 'Error (%)', 'thin: training, thick: validation, point: test')
  for axes, values in ((loss_axes, losses), (error_axes, errors)):
    _set_scale(axes, values)
    axes.legend(fontsize=11, edgecolor='none')
  error_axes.set_xlim(left=0)
  return figure


def _error_percent(records: list[Record], split: str) -> Curve:
  """Returns the epochs and the errors in % of a split."""
  epochs, accuracies = _curve(records, split, 'accuracy')
  return epochs, [_percent_wrong(accuracy) for accuracy in accuracies]


def _percent_wrong(accuracy: float) -> float:
  return 100 * (1 - accuracy)


def _curve(records: list[Record], split: str, key: str) -> Curve:
  return training_curve(records, key) if split == 'train' else series(records, split, key)


def _draw_curves(
  axes: 'Axes',
  curves: dict[str, Curve],
  label: str,
  value: str,
  last_epoch: float | None = None,
) -> None:
  """Draws the curves that have points.

  Args:
    axes: panel to draw into.
    curves: name of each split to its curve.
    label: label of the vertical axis.
    value: format string for the last value of a curve in the legend.
    last_epoch: mean of the last epoch, which is shown for the training split.
  """
  for split, (epochs, values) in curves.items():
    if epochs:
      style = _STYLES[split] | ({'marker': 'o'} if len(epochs) <= _FEW_POINTS else {})
      if split == 'test' and len(epochs) > 1:
        style = _STYLES[split] | {'linestyle': '--', 'linewidth': 1.2}
      if split == 'train' and last_epoch is not None:
        text = f'train, mean of the last epoch: {value.format(last_epoch)}'
      else:
        text = f'{split}: {value.format(values[-1])}'
      axes.plot(epochs, values, label=text, **style)
  axes.set_ylabel(label, fontsize=14)
  axes.tick_params(labelsize=12)
  axes.grid(color='#e5e5e5')
  if len(curves) > 1 and axes.lines:
    axes.legend(fontsize=12, edgecolor='none')


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
