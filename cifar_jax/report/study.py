"""The table of a study and its picture: what was measured beside what the paper prints."""

import json
import os
import pathlib
import statistics
import textwrap
from typing import TYPE_CHECKING, Any

import cifar_jax.report.evidence as evidence
import cifar_jax.report.files as files
import cifar_jax.report.panels as panels
import cifar_jax.report.runs as runs
from cifar_jax.errors import InputError

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

Row = dict[str, Any]

STUDY = 'study.json'
_NONE = '-'
_TITLE_WIDTH = 85  # letters
_LOGARITHMIC = 5.0  # how many times the smallest error the largest is, from where on the axis is so


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
  """What a folder's study is: `study`, `title`, `source`, `changes`, `entries`.

  Raises:
    InputError: there is none, or it cannot be read.
  """
  told = runs.read_object(pathlib.Path(folder) / STUDY, 'give the --workdir of a study')
  if not {'study', 'title', 'source', 'changes', 'entries'} <= told.keys():
    raise InputError(f'{pathlib.Path(folder) / STUDY} is not of a study: give another --workdir')
  return told


def rows(folder: str | os.PathLike[str]) -> list[Row]:
  """The rows of the table, as far as the runs have ended.

  Returns:
    For each entry `label`, `epochs`, `full_epochs`, `published`, `published_train`, `num_runs` (how
    many there will be), and, of the runs that have ended, one number each, `errors`,
    `train_errors` (percent), `seconds`, and their `commits` and `devices`.
  """
  found = []
  for entry in read(folder)['entries']:
    paths = [pathlib.Path(folder, run) for run in entry['runs']]
    ended = [evidence.read(path) for path in paths if (path / 'result.json').exists()]
    kept = ('label', 'epochs', 'full_epochs', 'published', 'published_train')
    found.append(
      {key: entry[key] for key in kept}
      | {
        'num_runs': len(paths),
        'errors': [run.test_error for run in ended],
        'train_errors': [run.train_error for run in ended if run.train_error is not None],
        'seconds': [run.result['seconds'] for run in ended],
        'commits': sorted({str(run.result['commit']) for run in ended}),
        'devices': sorted({run.result['device'] for run in ended}),
      }
    )
  return found


def write(folder: str | os.PathLike[str]) -> str:
  """Writes `table.json`, `table.txt` and `table.png` of a study into its folder.

  Returns:
    The table to be read.

  Raises:
    InputError: the folder holds no study, or cannot be written.
  """
  folder, told, table = pathlib.Path(folder), read(folder), rows(folder)
  shown = text(told, table)
  try:
    (folder / 'table.json').write_text(json.dumps(told | {'entries': table}, indent=1) + '\n')
    (folder / 'table.txt').write_text(shown + '\n', encoding='utf-8')
  except OSError as error:
    raise InputError(f'cannot write in {folder}: {error.strerror}') from error
  if any(row['errors'] for row in table):
    files.save(figure(told, table), folder / 'table.png')
  return shown


def mean_and_deviation(values: list[float]) -> tuple[float | None, float | None]:
  """The mean, and from two values on the sample standard deviation (with n - 1)."""
  mean = statistics.fmean(values) if values else None
  return mean, statistics.stdev(values) if len(values) > 1 else None


def text(told: dict[str, Any], table: list[Row]) -> str:
  """The table to be read."""
  trains = any(row['published_train'] is not None for row in table)
  head = ['entry', 'runs', 'epochs', 'train error', *(['published'] if trains else [])]
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
        *([_printed(row['published_train'])] if trains else []),
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
  return '\n'.join([told['title'], told['source'], '', *formatted, '', *_remarks(told, table)])


def _epochs(row: Row) -> str:
  whole = row['epochs'] == row['full_epochs']
  return f'{row["epochs"]:g}' + ('' if whole else f' of {row["full_epochs"]:g}')


def _measured(values: list[float]) -> str:
  mean, deviation = mean_and_deviation(values)
  if mean is None:
    return _NONE
  return f'{mean:.2f}' if deviation is None else f'{mean:.2f} ± {deviation:.2f}'


def _printed(value: float | None) -> str:
  return _NONE if value is None else f'{value:.2f}'


def _remarks(told: dict[str, Any], table: list[Row]) -> list[str]:
  remarks = [
    'Errors in percent, of the last epoch; mean ± standard deviation over the seeds. Training',
    'errors are of the net as it learned, on augmented images.',
  ]
  if any(row['epochs'] != row['full_epochs'] for row in table):
    remarks.append("Not the papers' lengths: schedules keep their shape over fewer or more epochs.")
  if told['changes']:
    remarks.append(f'Changed for all: {" ".join(told["changes"])}')
  commits = sorted({commit for row in table for commit in row['commits']})
  devices = sorted({device for row in table for device in row['devices']})
  if commits:
    remarks.append(f'Commit {", ".join(commits)}; on {", ".join(devices)}.')
  return remarks


def figure(told: dict[str, Any], table: list[Row]) -> 'Figure':
  """Each entry's error, a bar of one standard deviation on either side, beside the published one.

  Args:
    told: as `read` gives it.
    table: as `rows` gives it, with at least one run that has ended.
  """
  from matplotlib import ticker
  from matplotlib.figure import Figure

  picture = Figure(figsize=(9, 2.2 + 0.42 * len(table)), layout='constrained')
  axes = picture.subplots()
  every = []
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
    every += [value for value in (*row['errors'], row['published']) if value is not None]
  axes.set_yticks(range(len(table)), [row['label'] for row in table])
  axes.invert_yaxis()
  axes.set_ylim(len(table) - 0.4, -0.6)
  panels.label(axes, 'Test error (%)', '')
  # Over the whole width: the labels leave the panel too little of it.
  heading = [textwrap.fill(told[part], _TITLE_WIDTH) for part in ('title', 'source')]
  picture.suptitle('\n'.join(heading), fontsize=13)
  if max(every) > _LOGARITHMIC * min(every) > 0:
    axes.set_xscale('log')
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 3, 5)))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
  _label_marks(axes, table)
  picture.legend(loc='outside lower center', ncols=2, fontsize=12, frameon=False)
  return picture


def _label_marks(axes: 'Axes', table: list[Row]) -> None:
  """Adds the marks of the legend."""
  most = max(len(row['errors']) for row in table)
  lengths = {_epochs(row) for row in table}
  epochs = f', {lengths.pop()} epochs' if len(lengths) == 1 else ''
  spread = ' (mean, standard deviation)' if most > 1 else ''
  axes.plot([], [], linestyle='none', markersize=8, label=f'measured{spread}{epochs}',
            **panels.style(0))  # fmt: skip
  if any(row['published'] is not None for row in table):
    axes.plot([], [], linestyle='none', markersize=8, markerfacecolor='white', markeredgewidth=2,
              label='published', **panels.style(1))  # fmt: skip
