"""The table of a study: measured errors beside those the paper prints, as files and a picture."""

import json
import os
import pathlib
from typing import Any

from cifar_jax import output_files
from cifar_jax.errors import InputError, cannot_write
from cifar_jax.report import page_data, study_differences, study_formats
from cifar_jax.report.figures import study as study_figure
from cifar_jax.runs import contents, legs
from cifar_jax.runs.results import read_config_dict, read_object

Row = dict[str, Any]

STUDY = 'study.json'


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
    (finished or not); from the finished runs `seeds` (rising), `errors` and `train_errors` (in
    percent), one of each per seed; `seconds` and `versions`, one of each per run; their different
    `commits` and `devices`; `has_legs`: whether one of them was trained longer after its end;
    `num_seen`: the most test images that the weights which one of them began with have seen;
    `ended_after`: the epochs of each run that `train.patience` ended; and `inputs`: of each run,
    what it read, as `page_data.Run.inputs`.

  Raises:
    InputError: the study or one of its runs cannot be read.
  """
  table = []
  for entry in read(folder)['entries']:
    paths = [pathlib.Path(folder, run) for run in entry['runs']]
    finished = [page_data.read(path) for path in paths if _is_finished(path, entry['epochs'])]
    errors = {seed: error for run in finished for seed, error in run.errors_of_seeds.items()}
    keys = ('label', 'epochs', 'full_epochs', 'published', 'published_train')
    table.append(
      {key: entry.get(key) for key in keys}
      | {
        'num_runs': len(paths),
        'num_finished': len(finished),
        'seeds': sorted(errors),
        'errors': [errors[seed] for seed in sorted(errors)],
        'train_errors': [error for run in finished for error in run.train_errors],
        'seconds': [run.result['seconds'] for run in finished],
        'commits': sorted({str(run.result.get('commit')) for run in finished}),
        'devices': sorted({run.result['device'] for run in finished}),
        'versions': [run.result.get('versions', {}) for run in finished],
        'inputs': [run.inputs for run in finished],
        'has_legs': any('legs' in run.result for run in finished),
        'num_seen': max((run.num_seen for run in finished), default=0),
        'ended_after': [run.epoch for run in finished if 'planned_epochs' in run.result],
      }
    )
  return table


def _is_finished(workdir: pathlib.Path, epochs: float) -> bool:
  """Whether a run has its result, and was planned for so many epochs: it can be trained longer."""
  return legs.is_finished(workdir) and read_config_dict(workdir)['train']['num_epochs'] == epochs


def write(folder: str | os.PathLike[str], baseline: str | None = None) -> str:
  """Writes the table of a study into its folder: JSON, text, Markdown, CSV, LaTeX and a picture.

  The files are `table.json`, `.txt`, `.md`, `.csv`, `.tex` and `.png`.

  Args:
    folder: directory of the study.
    baseline: label of the entry that the others are compared with; None for no comparison.

  Returns:
    The table as text.

  Raises:
    InputError: the folder holds no study, or cannot be written.
  """
  folder, study, table = pathlib.Path(folder), read(folder), rows(folder)
  if baseline is not None:
    table = study_differences.add(table, baseline)
  text = study_formats.text(study, table)
  texts = {
    'json': json.dumps(study | {'entries': table}, indent=1),
    'txt': text,
    'md': study_formats.markdown(study, table),
    'csv': study_formats.comma_separated(table),
    'tex': study_formats.latex(study, table),
  }
  try:
    for ending, content in texts.items():
      output_files.write_text(folder / f'table.{ending}', f'{content}\n')
  except OSError as error:
    raise cannot_write(f'in {folder}', error) from error
  if any(row['errors'] for row in table):
    output_files.save_figure(study_figure.figure(study, table), folder / 'table.png')
  return text
