"""Learning curves of a run, from its `metrics.jsonl`."""

import math
import os
import pathlib
from typing import TYPE_CHECKING, Any

import cifar_jax.report.files as files
import cifar_jax.report.panels as panels
import cifar_jax.report.runs as runs

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart in every common form of colour blindness, and by their
# lightness in print. Training has many noisy points: a thin line.
_STYLES: dict[str, dict[str, Any]] = {
  'train': {'color': '#56B4E9', 'linewidth': 1.2},
  'validation': {'color': '#D55E00', 'linewidth': 2},
  'test': {'color': '#000000', 'linestyle': 'none', 'markersize': 9},
}
_FEW_POINTS = 15  # a curve of no more points than this marks each of them


def learning_curves(workdir: str | os.PathLike[str], title: str) -> pathlib.Path:
  """Draws the learning curves of a run, finished or not, into `plots/learning_curves.png`.

  Args:
    workdir: the run's directory, which holds its `metrics.jsonl`.
    title: what stands above the curves, such as the run's name.

  Returns:
    The path of the picture, about 1400 × 1600 pixels. It replaces an older one only once it is
    whole.

  Raises:
    InputError: the records are missing or unreadable (see `runs.read_records`), or the file cannot
      be written.
  """
  figure = learning_curves_figure(runs.read_records(workdir), title)
  path = pathlib.Path(workdir) / 'plots' / 'learning_curves.png'
  path.parent.mkdir(exist_ok=True)
  files.save(figure, path)
  return path


def learning_curves_figure(records: list[runs.Record], title: str) -> 'Figure':
  """Three panels over the epochs: the loss, the error in %, and the learning rate.

  A split without records has no curve; the test split, measured when the run ends, is a point. Loss
  and error are on a logarithmic axis if they span enough for one; there a 0 lies below the panel.

  Args:
    records: as `runs.read_records` gives them.
    title: what stands above the panels.

  Returns:
    The figure; its lines are labelled with the split, followed by the last value.
  """
  from matplotlib.figure import Figure  # without pyplot: it draws by Agg, and leaves no state

  losses = {split: runs.series(records, split, 'loss') for split in ('train', 'validation')}
  errors = {split: _error_percent(records, split) for split in ('train', 'validation', 'test')}
  learning_rates = {'train': runs.series(records, 'train', 'learning_rate')}

  figure = Figure(figsize=(7, 8), layout='constrained')
  figure.suptitle(title, fontsize=16)
  loss_axes, error_axes, rate_axes = figure.subplots(3, sharex=True, height_ratios=[3, 3, 1.6])
  _draw_curves(loss_axes, losses, 'Loss (nats)', '{:.3g}')
  _draw_curves(error_axes, errors, 'Error (%)', '{:.2f} %')
  _draw_curves(rate_axes, learning_rates, 'Learning rate', '{:.3g}')
  for axes, curves in ((loss_axes, losses), (error_axes, errors)):
    _set_scale(axes, [value for _, values in curves.values() for value in values])
  rate_axes.set_xlabel('Epoch', fontsize=14)
  rate_axes.set_xlim(left=0)
  figure.align_ylabels()
  return figure


def compared_curves_figure(runs_records: dict[str, list[runs.Record]]) -> 'Figure':
  """The curves of several runs: training loss, and the error on training and held-out images.

  Args:
    runs_records: of each run by its name, as `runs.read_records` gives them.

  Returns:
    The figure: thin lines for training, thick ones for validation, a point for the test split.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(9, 8), layout='constrained')
  loss_axes, error_axes = figure.subplots(2, sharex=True)
  losses, errors = [], []
  for i, (name, records) in enumerate(runs_records.items()):
    style = panels.style(i)
    loss = runs.series(records, 'train', 'loss')
    loss_axes.plot(*loss, color=style['color'], linewidth=1.2, label=name)
    train = _error_percent(records, 'train')
    error_axes.plot(*train, color=style['color'], linewidth=0.8, alpha=0.5)
    validation = _error_percent(records, 'validation')
    error_axes.plot(*validation, color=style['color'], linewidth=2)
    test = _error_percent(records, 'test')
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


def _error_percent(records: list[runs.Record], split: str) -> runs.Curve:
  """The epochs and the errors in % of a split."""
  epochs, accuracies = runs.series(records, split, 'accuracy')
  return epochs, [100 * (1 - accuracy) for accuracy in accuracies]


def _draw_curves(axes: 'Axes', curves: dict[str, runs.Curve], label: str, value: str) -> None:
  """Draws the curves that have points; `value` formats the last of each for the legend."""
  for split, (epochs, values) in curves.items():
    if epochs:
      style = _STYLES[split] | ({'marker': 'o'} if len(epochs) <= _FEW_POINTS else {})
      axes.plot(epochs, values, label=f'{split}: {value.format(values[-1])}', **style)
  axes.set_ylabel(label, fontsize=14)
  axes.tick_params(labelsize=12)
  axes.grid(color='#e5e5e5')
  if len(curves) > 1 and axes.lines:
    axes.legend(fontsize=12, edgecolor='none')


def _set_scale(axes: 'Axes', values: list[float]) -> None:
  """Makes an axis logarithmic if the values are a factor of 5 or more apart.

  From there on at least two of the ticks at 1, 2 and 5 times a power of 10 show.
  """
  from matplotlib import ticker

  positive = [value for value in values if 0 < value < math.inf]
  if not positive or max(positive) < 5 * min(positive):
    return
  few_decades = max(positive) < 1000 * min(positive)
  axes.set_yscale('log', nonpositive='clip')
  axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if few_decades else (1,)))
  axes.yaxis.set_major_formatter('{x:g}')
  axes.yaxis.set_minor_formatter(ticker.NullFormatter())
