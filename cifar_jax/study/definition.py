"""Loads a study from its file: the entries of a table, and the errors that the paper prints."""

import dataclasses
import pathlib
import re
import runpy
from typing import Any

from cifar_jax.errors import InputError

FOLDER = pathlib.Path('configs', 'studies')


@dataclasses.dataclass(frozen=True)
class Entry:
  """A row of the table.

  Attributes:
    label: name of the row. Labels of a study must differ in letters or digits.
    config: `FILE.py:ARGUMENTS`, relative to the directory of the study's file.
    overrides: dotted keys of the configuration to values, in addition to those of the study.
    published: test error in percent that the source prints, or None.
    published_train: training error in percent that the source prints, or None.
  """

  label: str
  config: str
  overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
  published: float | None = None
  published_train: float | None = None

  @property
  def slug(self) -> str:
    """The name of the entry's directory, made from the label."""
    return re.sub(r'[^a-z0-9.]+', '-', self.label.lower()).strip('-.')


@dataclasses.dataclass(frozen=True)
class Study:
  """A study: the runs that reproduce a table.

  Attributes:
    path: file of the study.
    title: what the table compares, and the data set.
    source: paper and table.
    entries: rows of the table.
    overrides: dotted keys of the configuration to values, for all entries.
  """

  path: pathlib.Path
  title: str
  source: str
  entries: tuple[Entry, ...]
  overrides: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def name(self) -> str:
    """The stem of the study's file."""
    return self.path.stem


def load(path: pathlib.Path) -> Study:
  """Loads the study that a Python file defines as the dictionary `STUDY`; executes the file.

  Raises:
    InputError: the file is missing or raises an error, `STUDY` is missing or has wrong keys, or
      labels are not different.
  """
  if not path.is_file():
    known = ', '.join(map(str, available(path.parent))) or ', '.join(map(str, available()))
    raise InputError(f'no study {path}' + (f'; there are {known}' if known else ''))
  try:
    fields = dict(runpy.run_path(str(path))['STUDY'])
    entries = tuple(Entry(**entry) for entry in fields.pop('entries'))
    study = Study(path=path, entries=entries, **fields)
  except KeyError as error:
    raise InputError(f'{path} must define STUDY with {error.args[0]!r}') from error
  except Exception as error:  # the file is code and may raise anything; its author can fix it
    message = ' '.join(str(error).split())
    raise InputError(f'{path}: {type(error).__name__}: {message}') from error
  slugs = [entry.slug for entry in entries]
  unclear = [entry.label for entry in entries if slugs.count(entry.slug) > 1 or not entry.slug]
  if not entries:
    raise InputError(f'{path}: STUDY has no entries; each entry needs a label')
  if unclear:
    raise InputError(f'{path}: labels must differ in letters or digits: {unclear}')
  return study


def available(folder: pathlib.Path = FOLDER) -> list[pathlib.Path]:
  """Returns the files in a folder of studies, sorted."""
  return sorted(folder.glob('*.py'))
