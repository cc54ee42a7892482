"""`study.json`: what the directory of a study holds, for the next start and for the report."""

import json
import pathlib

from cifar_jax import config, workdir
from cifar_jax.errors import InputError
from cifar_jax.report import study as report
from cifar_jax.study.plan import Run
from cifar_jax.study.table import Study


def check(folder: pathlib.Path, study: Study) -> None:
  """Raises InputError, having touched nothing, where a study may not begin or go on in a folder."""
  if folder.exists() and not folder.is_dir():
    raise InputError(f'{folder} is a file; --workdir names a directory')
  if (folder / report.STUDY).exists():
    held = report.read(folder)['study']
    if held != study.name:
      raise InputError(f'{folder} holds the study {held}; give another --workdir')
  elif folder.is_dir() and any(folder.iterdir()):
    raise InputError(f'{folder} is not empty and holds no study; give another --workdir')


def write(folder: pathlib.Path, study: Study, planned: list[Run], overrides: list[str]) -> None:
  """Makes the folder and writes the file.

  Args:
    folder: of the study.
    study: the table.
    planned: its runs.
    overrides: `--config.SECTION.KEY=VALUE` for all of them.

  Raises:
    InputError: the folder cannot be written.
  """
  entries = []
  for entry in study.entries:
    runs = [run for run in planned if run.entry is entry]
    entries.append(
      {
        'label': entry.label,
        'published': entry.published,
        'published_train': entry.published_train,
        'epochs': runs[0].config.train.num_epochs,
        'full_epochs': runs[0].full_epochs,
        'runs': [str(run.workdir.relative_to(folder)) for run in runs],
      }
    )
  harmless = tuple(f'--config.{key}' for key in config.MAY_CHANGE)
  told = {
    'study': study.name,
    'title': study.title,
    'source': study.source,
    'changes': [word for word in overrides if not word.startswith(harmless)],
    'entries': entries,
  }
  try:
    folder.mkdir(parents=True, exist_ok=True)
    workdir.write(folder / report.STUDY, json.dumps(told, indent=2) + '\n')
  except OSError as error:
    raise InputError(f'cannot write in {folder}: {error.strerror}') from error
