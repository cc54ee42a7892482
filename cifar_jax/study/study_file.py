"""Writes and checks `study.json`, which describes the study in a directory and its runs."""

import json
import pathlib

from cifar_jax import output_files
from cifar_jax.config import loading
from cifar_jax.errors import InputError, cannot_write
from cifar_jax.report import study_table
from cifar_jax.runs.results import RESULT
from cifar_jax.runs.workdir import LOCK
from cifar_jax.study.definition import Study
from cifar_jax.study.plan import PlannedRun


def check(folder: pathlib.Path, study: Study) -> None:
  """Checks that a study may start or resume in a folder; changes nothing.

  Raises:
    InputError: the folder is a file, holds another study, or holds other files.
  """
  if folder.exists() and not folder.is_dir():
    raise InputError(f'{folder} is a file; --workdir names a directory')
  if (folder / study_table.STUDY).exists():
    there = study_table.read(folder)
    labels = {entry['label'] for entry in there['entries']}
    if there['study'] != study.name or labels.isdisjoint(entry.label for entry in study.entries):
      of = f'{there["study"]} ({", ".join(sorted(labels))})'
      raise InputError(f'{folder} holds the study {of}; give another --workdir')
  elif folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()):
    raise InputError(f'{folder} is not empty and holds no study; give another --workdir')


def check_keeps(folder: pathlib.Path, runs: list[PlannedRun]) -> None:
  """Checks that the table has all results of a study so far; changes nothing.

  Args:
    folder: directory of the study, perhaps new.
    runs: all runs that are planned now.

  Raises:
    InputError: a run with a result is not among them, as with fewer seeds than before.
  """
  if not (folder / study_table.STUDY).exists():
    return
  before = [run for entry in study_table.read(folder)['entries'] for run in entry['runs']]
  planned = {run.workdir.resolve() for run in runs}
  left_out = [
    run
    for run in before
    if (folder / run).resolve() not in planned and (folder / run / RESULT).exists()
  ]
  if left_out:
    raise InputError(
      f'the table of {folder} would leave out {", ".join(left_out)}: give as many --seeds and the '
      'entries as before, or move them away'
    )


def write(folder: pathlib.Path, study: Study, runs: list[PlannedRun], overrides: list[str]) -> None:
  """Makes the folder of a study and writes `study.json` into it.

  Args:
    folder: directory of the study.
    study: the study.
    runs: all runs of the study.
    overrides: `--config.SECTION.KEY=VALUE` for all runs.

  Raises:
    InputError: the folder cannot be written.
  """
  entries = []
  for entry in study.entries:
    entry_runs = [run for run in runs if run.entry is entry]
    entries.append(
      {
        'label': entry.label,
        'published': entry.published,
        'published_train': entry.published_train,
        'epochs': entry_runs[0].config.train.num_epochs,
        'full_epochs': entry_runs[0].full_epochs,
        'runs': [str(run.workdir.relative_to(folder)) for run in entry_runs],
      }
    )
  content = {
    'study': study.name,
    'title': study.title,
    'source': study.source,
    'changes': [option for option in overrides if not loading.may_change(_key(option))],
    'entries': entries,
  }
  try:
    folder.mkdir(parents=True, exist_ok=True)
    output_files.write_text(folder / study_table.STUDY, json.dumps(content, indent=2) + '\n')
  except OSError as error:
    raise cannot_write(f'in {folder}', error) from error


def _key(option: str) -> str:
  """The key that an option `--config.KEY=VALUE` sets."""
  return option.partition('=')[0].removeprefix('--config.')
