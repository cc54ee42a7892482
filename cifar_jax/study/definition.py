"""Loads a study from its file: the entries of a table, and the errors that the paper prints."""

import dataclasses
import os
import pathlib
import re
from typing import Any

from cifar_jax.config import locations, python_file
from cifar_jax.config.command_line import nearest
from cifar_jax.errors import InputError

# What `report.study_table` writes beside the directories of the entries.
_FILES = re.compile(r'study\.json|table\..*')
_LONGEST_SLUG = 200  # letters; most file systems take names of 255 bytes


@dataclasses.dataclass(frozen=True)
class Entry:
  """A row of the table.

  Attributes:
    label: name of the row. Labels of a study must differ in letters or digits, and none may be the
      name of a file of the study, such as `table.md`.
    config: `FILE.py:ARGUMENTS`, relative to the directory of the study's file, or the name of a
      recipe of the package, `NAME:ARGUMENTS`.
    overrides: dotted keys of the configuration to values, in addition to those of the study.
    published: test error in percent that the source prints, or None.
    published_train: training error in percent that the source prints, or None.
  """

  label: str
  config: str
  overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
  published: float | None = None
  published_train: float | None = None

  def __post_init__(self) -> None:
    """Raises InputError for a value that the table could not show after the training."""
    where = f'entry {self.label!r}'
    _check_text(where, 'label', self.label)
    _check_text(where, 'config', self.config)
    _check_overrides(where, self.overrides)
    for key in ('published', 'published_train'):
      value = getattr(self, key)
      is_number = isinstance(value, int | float) and not isinstance(value, bool)
      if value is not None and not (is_number and 0 <= value <= 100):
        raise InputError(f'{where}: {key} is {value!r}; it must be an error in percent, or None')
    if len(self.slug) > _LONGEST_SLUG:
      raise InputError(f'{where}: a label can have at most {_LONGEST_SLUG} letters and digits')
    if _FILES.fullmatch(self.slug):
      raise InputError(
        f'{where}: its directory {self.slug} would be in the place of a file of the study; change '
        'the label'
      )

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

  def __post_init__(self) -> None:
    """Raises InputError for a value that the table could not show after the training."""
    _check_text('STUDY', 'title', self.title)
    _check_text('STUDY', 'source', self.source)
    _check_overrides('STUDY', self.overrides)

  @property
  def name(self) -> str:
    """The stem of the study's file."""
    return self.path.stem


def _check_keys(where: str, given: object, kind: type[Study] | type[Entry]) -> None:
  """Raises InputError unless a dictionary has the keys that a class needs, and no others."""
  if not isinstance(given, dict):
    raise InputError(f'{where} is {given!r}; it must be a dictionary')
  fields = dataclasses.fields(kind)
  missing = dataclasses.MISSING
  for field in fields:
    if {field.default, field.default_factory} == {missing} and field.name not in given:
      raise InputError(f'{where} lacks the key {field.name!r}')
  known = [field.name for field in fields]
  for key in given:
    if key not in known:
      raise InputError(f'{where} has the unknown key {key!r}{nearest(str(key), known)}')


def _check_text(where: str, key: str, value: object) -> None:
  if not isinstance(value, str) or not value.strip():
    raise InputError(f'{where}: {key} is {value!r}; it must be a text')


def _check_overrides(where: str, overrides: object) -> None:
  if not isinstance(overrides, dict):
    raise InputError(f'{where}: overrides are {overrides!r}; they must be a dict of keys to values')
  for key, value in overrides.items():
    if not isinstance(key, str) or not isinstance(value, bool | int | float | str | tuple):
      raise InputError(
        f'{where}: an override is {key!r}: {value!r}; it must be a key such as '
        "'optimizer.momentum', and a number, a text, True, False or a tuple"
      )


def load(path: str | os.PathLike[str]) -> Study:
  """Loads the study that a Python file defines as the dictionary `STUDY`; executes the file.

  Args:
    path: of the file, or a study of the package, in one of the forms of `locations.find`.

  Raises:
    InputError: the file is missing or raises an error, `STUDY` is missing or has wrong keys or
      values, or labels are not different.
  """
  path = locations.find(os.fspath(path), locations.STUDIES)
  with python_file.run(path) as names:
    table = names.get('STUDY')
    if not isinstance(table, dict) or 'entries' not in table:
      raise InputError("the file must define the dictionary STUDY with 'entries'")
    for entry in table['entries']:
      _check_keys('an entry', entry, Entry)
    _check_keys('STUDY', {'path': path, **table}, Study)
    entries = tuple(Entry(**entry) for entry in table['entries'])
    study = Study(path=path, **(table | {'entries': entries}))
  slugs = [entry.slug for entry in entries]
  unclear = [entry.label for entry in entries if slugs.count(entry.slug) > 1 or not entry.slug]
  if not entries:
    raise InputError(f'{path}: STUDY has no entries; each entry needs a label')
  if unclear:
    raise InputError(f'{path}: labels must differ in letters or digits: {unclear}')
  return study
