"""The table of a study as text for a terminal, Markdown, CSV and LaTeX."""

import csv
import io
import itertools
import textwrap
from typing import Any

from cifar_jax.report import study_differences
from cifar_jax.report.figures.study import changes_line, epochs_text
from cifar_jax.runs.results import mean_and_deviation

Row = dict[str, Any]

_NONE = '-'
_WIDTH = 88  # letters of the remarks below a table
_LATEX = str.maketrans({
  **{letter: f'\\{letter}' for letter in '&%$#_{}'},
  '\\': r'\textbackslash{}',
  '~': r'\textasciitilde{}',
  '^': r'\textasciicircum{}',
  '±': r'$\pm$',
  '−': '$-$',
  '×': r'$\times$',
  'α': r'$\alpha$',
  'β': r'$\beta$',
})  # fmt: skip


def text(study: dict[str, Any], table: list[Row]) -> str:
  """Returns the table in columns of equal width, with title, source and remarks.

  Args:
    study: the study, as `study_table.read` returns it.
    table: the rows, as `study_table.rows` returns them, perhaps with differences to a baseline.
  """
  lines = _cells(table)
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  formatted = [
    '  '.join(
      [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
    )
    for line in lines
  ]
  remarks = textwrap.wrap(' '.join(_remarks(study, table)), _WIDTH, break_on_hyphens=False)
  return '\n'.join([study['title'], study['source'], '', *formatted, '', *remarks])


def markdown(study: dict[str, Any], table: list[Row]) -> str:
  """Returns the table in the form of GitHub's Markdown; the arguments are those of `text`."""
  head, *body = [[cell.replace('|', '\\|') for cell in line] for line in _cells(table)]
  rule = ['---', *('---:' for _ in head[1:])]
  lines = [f'| {" | ".join(line)} |' for line in (head, rule, *body)]
  return '\n'.join([
    f'**{study["title"]}** ({study["source"]})', '', *lines, '', ' '.join(_remarks(study, table))
  ])  # fmt: skip


def latex(study: dict[str, Any], table: list[Row]) -> str:
  """Returns the table as a LaTeX `table`, which needs no package; arguments as for `text`."""
  head, *body = [' & '.join(cell.translate(_LATEX) for cell in line) for line in _cells(table)]
  words = [f'{study["title"]} ({study["source"]}).', *_remarks(study, table)]
  caption = ' '.join(words).translate(_LATEX)
  columns = 'l' + 'r' * head.count('&')
  return '\n'.join([
    r'\begin{table}', r'\centering', f'\\begin{{tabular}}{{{columns}}}', r'\hline',
    f'{head} \\\\', r'\hline', *(f'{line} \\\\' for line in body), r'\hline',
    r'\end{tabular}', f'\\caption{{{caption}}}', r'\end{table}',
  ])  # fmt: skip


def comma_separated(table: list[Row]) -> str:
  """Returns one line of plain numbers per entry, with a head; unknown numbers are empty.

  Args:
    table: as for `text`.
  """
  lines = []
  for row in table:
    error, deviation = mean_and_deviation(row['errors'])
    train_error, train_deviation = mean_and_deviation(row['train_errors'])
    line = {
      'entry': row['label'],
      'runs': row['num_finished'],
      'planned_runs': row['num_runs'],
      'seeds': ' '.join(map(str, row['seeds'])),
      'epochs': row['epochs'],
      'ended_after_epochs': ' '.join(f'{epochs:g}' for epochs in row['ended_after']),
      'full_epochs': row['full_epochs'],
      'train_error_percent': train_error,
      'train_error_deviation': train_deviation,
      'published_train_error_percent': row['published_train'],
      'test_error_percent': error,
      'test_error_deviation': deviation,
      'published_test_error_percent': row['published'],
    }
    if study_differences.KEY in row:
      difference = row[study_differences.KEY] or {}
      low, high = difference.get('interval') or (None, None)
      line |= {
        'difference_to_baseline': difference.get('difference'),
        'interval_low': low,
        'interval_high': high,
        'p_value': difference.get('p_value'),
      }
    lines.append(line)
  buffer = io.StringIO()
  writer = csv.DictWriter(buffer, lines[0].keys(), lineterminator='\n')
  writer.writeheader()
  writer.writerows(lines)
  return buffer.getvalue().rstrip('\n')


def _cells(table: list[Row]) -> list[list[str]]:
  """Returns the head and the rows as text, without the columns that no row would fill."""
  has_train = any(row['published_train'] is not None for row in table)
  has_baseline = any(study_differences.KEY in row for row in table)
  head = ['entry', 'runs', 'epochs', 'train error', *(['published'] if has_train else [])]
  head += ['test error', 'published', 'to published']
  head += ['to baseline', '95 % interval', 'p'] if has_baseline else []
  lines = [head]
  for row in table:
    mean, _ = mean_and_deviation(row['errors'])
    published = row['published']
    difference = _NONE if None in (mean, published) else f'{mean - published:+.2f}'
    lines.append(
      [
        row['label'],
        f'{row["num_finished"]} of {row["num_runs"]}',
        epochs_text(row),
        _measured(row['train_errors']),
        *([_printed(row['published_train'])] if has_train else []),
        *(_measured(row['errors']), _printed(published), difference),
        *(_difference_cells(row) if has_baseline else ()),
      ]
    )
  return lines


def _difference_cells(row: Row) -> tuple[str, str, str]:
  """Returns the difference to the baseline, its interval and the p-value."""
  difference = row[study_differences.KEY]
  if difference is None:
    return _NONE, _NONE, _NONE
  interval, p_value = difference['interval'], difference['p_value']
  return (
    f'{difference["difference"]:+.2f}',
    _NONE if interval is None else f'{interval[0]:+.2f} to {interval[1]:+.2f}',
    _NONE if p_value is None else f'{p_value:.2g}',
  )


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
  """Returns the sentences below the table."""
  remarks = [
    'Errors in percent, of the last epoch; mean ± standard deviation over the seeds.',
    'Training errors are measured during training, on augmented images.',
  ]
  if any(row['epochs'] != row['full_epochs'] for row in table):
    remarks.append("Not the papers' lengths: schedules keep their shape over fewer or more epochs.")
  for row in table:
    if row['ended_after']:
      epochs = ', '.join(f'{number:g}' for number in row['ended_after'])
      remarks.append(f'Ended early by train.patience: {row["label"]}, after {epochs} epochs.')
  if in_legs := [row['label'] for row in table if row['has_legs']]:
    remarks.append(f'Trained longer after it had ended: {", ".join(in_legs)}.')
  if seen := [f'{row["label"]} ({row["num_seen"]})' for row in table if row['num_seen']]:
    remarks.append(f'No test: init.source has seen test images of {", ".join(seen)}.')
  remarks += _remarks_on_inputs(table)
  remarks += _remarks_on_baseline(table)
  if study['changes']:
    remarks.append(f'{changes_line(study)}.')
  commits = sorted({commit for row in table for commit in row['commits']})
  devices = sorted({device for row in table for device in row['devices']})
  if commits:
    remarks.append(f'Commit {", ".join(commits)}; on {", ".join(devices)}.')
  versions: dict[str, set[str]] = {}
  for name, version in (pair for row in table for of in row['versions'] for pair in of.items()):
    versions.setdefault(name, set()).add(version)
  if several := [f'{name} {", ".join(sorted(v))}' for name, v in versions.items() if len(v) > 1]:
    remarks.append(f'The runs had different versions: {"; ".join(several)}.')
  return remarks


def _remarks_on_inputs(table: list[Row]) -> list[str]:
  """Returns a sentence on each input that differs, although the configurations say the same."""
  remarks = []
  for name in sorted({name for row in table for inputs in row['inputs'] for name in inputs}):
    read = {row['label']: [i[name] for i in row['inputs'] if name in i] for row in table}
    digests = dict(itertools.chain(*read.values()))
    if others := [
      label for label in read if any(digests[said] != sha256 for said, sha256 in read[label])
    ]:
      remarks.append(f'NOT COMPARABLE: between runs the {name} changed: {", ".join(others)}.')
  return remarks


def _remarks_on_baseline(table: list[Row]) -> list[str]:
  """Returns sentences on the baseline, and on how differences were tested."""
  compared = [row[study_differences.KEY] for row in table if row.get(study_differences.KEY)]
  if not compared:
    return []
  remarks = [f'Baseline: {compared[0]["baseline"]}; a negative difference is better.']
  tested = [difference for difference in compared if difference['p_value'] is not None]
  tests = [
    name
    for name, paired in (('paired by seed', True), ("Welch's, unpaired", False))
    if any(difference['paired'] is paired for difference in tested)
  ]
  if tests:
    remarks.append(f'p of t tests ({" or ".join(tests)}), not corrected for their number.')
  if len(tested) < len(compared):
    remarks.append('A test needs two seeds of both entries, with different errors.')
  return remarks
