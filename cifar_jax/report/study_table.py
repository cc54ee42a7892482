"""The table of a study and its picture: measured errors beside the errors the paper prints."""

import json
import os
import pathlib
import statistics
import textwrap
from typing import TYPE_CHECKING, Any

from cifar_jax import output_files
from cifar_jax.errors import InputError, cannot_write
from cifar_jax.report import page_data
from cifar_jax.report.figures import panels
from cifar_jax.runs import contents
from cifar_jax.runs.results import read_object

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

Row = dict[str, Any]

STUDY = 'study.json'
_NONE = '-'
_TITLE_WIDTH = 85  # letters
_LOGARITHMIC = 5.0  # the axis is logarithmic if the largest error is over this times the smallest


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
  """Reads `study.json`: `study` (its name), `title`, `source`, `changes`, `entries`.

  Args:
    folder: directory of the study.

  Raises:
    InputError: the file is missing, cannot be read, or lacks one of these values.
  """
  path = pathlib.Path(folder) / STUDY
  study = read_object(path, 'give the --workdir of a study')
  if wrong := contents.wrong_value(study, contents.STUDY):
    raise InputError(
      f'{path} describes no study ({wrong} is missing or wrong): give another --workdir'
    )
  return study


def rows(folder: str | os.PathLike[str]) -> list[Row]:
  """Returns the rows of the table, with the results of all finished runs.

  Args:
    folder: directory of the study.

  Returns:
    For each entry `label`, `epochs`, `full_epochs`, `published`, `published_train` and `num_runs`
    (finished or not); from the finished runs `errors` and `train_errors` (in percent) and
    `seconds`, one number per run, and their different `commits` and `devices`.

  Raises:
    InputError: the study or one of its runs cannot be read.
  """
  table = []
  for entry in read(folder)['entries']:
    paths = [pathlib.Path(folder, run) for run in entry['runs']]
    finished = [page_data.read(path) for path in paths if (path / 'result.json').exists()]
    keys = ('label', 'epochs', 'full_epochs', 'published', 'published_train')
    table.append(
      {key: entry.get(key) for key in keys}
      | {
        'num_runs': len(paths),
        'errors': [run.test_error for run in finished],
        'train_errors': [run.train_error for run in finished if run.train_error is not None],
        'seconds': [run.result['seconds'] for run in finished],
        'commits': sorted({str(run.result.get('commit')) for run in finished}),
        'devices': sorted({run.result['device'] for run in finished}),
      }
    )
  return table


def write(folder: str | os.PathLike[str]) -> str:
  """Writes `table.json`, `table.txt` and `table.png` of a study into its folder.

  Returns:
    The table as text.

  Raises:
    InputError: the folder holds no study, or cannot be written.
  """
  folder, study, table = pathlib.Path(folder), read(folder), rows(folder)
  table_text = text(study, table)
  try:
    content = json.dumps(study | {'entries': table}, indent=1)
    output_files.write_text(folder / 'table.json', content + '\n')
    output_files.write_text(folder / 'table.txt', table_text + '\n')
  except OSError as error:
    raise cannot_write(f'in {folder}', error) from error
  if any(row['errors'] for row in table):
    output_files.save_figure(figure(study, table), folder / 'table.png')
  return table_text


def mean_and_deviation(values: list[float]) -> tuple[float | None, float | None]:
  """Returns the mean and the sample standard deviation (with n - 1) of some values.

  Without values the mean is None, below two values the deviation.
  """
  mean = statistics.fmean(values) if values else None
  return mean, statistics.stdev(values) if len(values) > 1 else None


def text(study: dict[str, Any], table: list[Row]) -> str:
  """Returns the table as text, with title, source and remarks.

  Args:
    study: the study, as `read` returns it.
    table: the rows, as `rows` returns them.
  """
  has_train = any(row['published_train'] is not None for row in table)
  head = ['entry', 'runs', 'epochs', 'train error', *(['published'] if has_train else [])]
  head += ['test error', 'published', 'difference']
  lines = [head]
  for row in table:
    mean, _ = mean_and_deviation(row['errors'])
    published = row['published']
    difference = _NONE if None in (mean, published) else f'{mean - published:+.2f}'
    lines.append(
      [
        row['label'],
        f'{len(row["errors"])} of {row["num_runs"]}',
        _epochs(row),
        _measured(row['train_errors']),
        *([_printed(row['published_train'])] if has_train else []),
        *(_measured(row['errors']), _printed(published), difference),
      ]
    )
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  formatted = [
    '  '.join(
      [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
    )
    for line in lines
  ]
  return '\n'.join([study['title'], study['source'], '', *formatted, '', *_remarks(study, table)])


def _epochs(row: Row) -> str:
  """Returns the number of epochs, and the number in the paper if that differs."""
  whole = row['epochs'] == row['full_epochs']
  return f'{row["epochs"]:g}' + ('' if whole else f' of {row["full_epochs"]:g}')


def _measured(values: list[float]) -> str:
  """Formats the mean and the standard deviation of measured errors."""
  mean, deviation = mean_and_deviation(values)
  if mean is None:
    return _NONE
  return f'{mean:.2f}' if deviation is None else f'{mean:.2f} ± {deviation:.2f}'


def _printed(value: float | None) -> str:
  """Formats an error that a paper prints."""
  return _NONE if value is None else f'{value:.2f}'


def _remarks(study: dict[str, Any], table: list[Row]) -> list[str]:
  """Returns the lines below the table."""
  remarks = [
    'Errors in percent, of the last epoch; mean ± standard deviation over the seeds. Training',
    'errors are measured during training, on augmented images.',
  ]
  if any(row['epochs'] != row['full_epochs'] for row in table):
    remarks.append("Not the papers' lengths: schedules keep their shape over fewer or more epochs.")
  if study['changes']:
    remarks.append(_changes(study))
  commits = sorted({commit for row in table for commit in row['commits']})
  devices = sorted({device for row in table for device in row['devices']})
  if commits:
    remarks.append(f'Commit {", ".join(commits)}; on {", ".join(devices)}.')
  return remarks


def _changes(study: dict[str, Any]) -> str:
  """Returns the line on the overrides, which titles and labels do not know."""
  return f'Changed for all: {" ".join(study["changes"])}'


@output_files.own_settings()
def figure(study: dict[str, Any], table: list[Row]) -> 'Figure':
  """Draws the mean error of each entry, with one standard deviation, beside the published error.

  Args:
    study: the study, as `read` returns it.
    table: the rows, as `rows` returns them, with at least one finished run.
  """
  from matplotlib import ticker
  from matplotlib.figure import Figure

  picture = Figure(figsize=(9, 2.2 + 0.42 * len(table)), layout='constrained')
  axes = picture.subplots()
  all_errors = []
  for y, row in enumerate(table):
    mean, deviation = mean_and_deviation(row['errors'])
    if None not in (mean, row['published']):
      axes.plot([mean, row['published']], [y, y], color='#bbbbbb', linewidth=1.5, zorder=1)
    if mean is not None:
      axes.errorbar(
        mean, y, xerr=deviation, capsize=4, markersize=8, linestyle='none', **panels.style(0)
      )
      if len(row['errors']) > 1:
        axes.plot(row['errors'], [y] * len(row['errors']), '|', color='#0072B2', alpha=0.6)
    if row['published'] is not None:
      axes.plot(row['published'], y, markersize=8, markerfacecolor='white', markeredgewidth=2,
                linestyle='none', **panels.style(1))  # fmt: skip
    all_errors += [value for value in (*row['errors'], row['published']) if value is not None]
  axes.set_yticks(range(len(table)), [row['label'] for row in table])
  axes.invert_yaxis()
  axes.set_ylim(len(table) - 0.4, -0.6)
  panels.label(axes, 'Test error (%)', '')
  # The heading is as wide as the figure: beside the labels, the panel is too narrow for it.
  lines = [study['title'], study['source'], *([_changes(study)] if study['changes'] else [])]
  heading = [textwrap.fill(line, _TITLE_WIDTH, break_on_hyphens=False) for line in lines]
  picture.suptitle('\n'.join(heading), fontsize=13)
  if max(all_errors) > _LOGARITHMIC * min(all_errors) > 0:
    panels.set_log_scale(axes, 'x')
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
  _label_marks(axes, table)
  picture.legend(loc='outside lower center', ncols=2, fontsize=12, frameon=False)
  return picture


def _label_marks(axes: 'Axes', table: list[Row]) -> None:
  """Adds the marks that the legend explains."""
  most = max(len(row['errors']) for row in table)
  lengths = {_epochs(row) for row in table}
  epochs = f', {lengths.pop()} epochs' if len(lengths) == 1 else ''
  spread = ' (mean, standard deviation)' if most > 1 else ''
  axes.plot([], [], linestyle='none', markersize=8, label=f'measured{spread}{epochs}',
            **panels.style(0))  # fmt: skip
  if any(row['published'] is not None for row in table):
    axes.plot([], [], linestyle='none', markersize=8, markerfacecolor='white', markeredgewidth=2,
              label='published', **panels.style(1))  # fmt: skip
