"""A study as its file has it: the entries of a table, and what the paper prints for each."""

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
    label: its name; no two are the same but for punctuation.
    config: `FILE.py:ARGUMENTS`, relative to the study's own directory.
    overrides: dotted key of the configuration to value, beside those of the study.
    published: test error in percent that the source prints; None where it prints none.
    published_train: training error in percent, likewise.
  """

  label: str
  config: str
  overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
  published: float | None = None
  published_train: float | None = None

  @property
  def slug(self) -> str:
    """The label as the name of a directory."""
    return re.sub(r'[^a-z0-9.]+', '-', self.label.lower()).strip('-.')


@dataclasses.dataclass(frozen=True)
class Study:
  """A table.

  Attributes:
    path: of its file.
    title: what is compared, on which data.
    source: paper and table.
    entries: the rows.
    overrides: dotted key of the configuration to value, for all entries.
  """

  path: pathlib.Path
  title: str
  source: str
  entries: tuple[Entry, ...]
  overrides: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def name(self) -> str:
    """That of its file."""
    return self.path.stem


def load(path: pathlib.Path) -> Study:
  """Reads the table `STUDY` of a file, which is Python and is executed.

  Raises:
    InputError: there is no such file, it does not run, or it holds no such table.
  """
  if not path.is_file():
    known = ', '.join(map(str, available(path.parent))) or ', '.join(map(str, available()))
    raise InputError(f'no study {path}' + (f'; there are {known}' if known else ''))
  try:
    told = dict(runpy.run_path(str(path))['STUDY'])
    entries = tuple(Entry(**entry) for entry in told.pop('entries'))
    study = Study(path=path, entries=entries, **told)
  except KeyError as error:
    raise InputError(f'{path} must define STUDY with {error.args[0]!r}') from error
  except Exception as error:  # a study is code: whatever it raises is its author's to mend
    message = ' '.join(str(error).split())
    raise InputError(f'{path}: {type(error).__name__}: {message}') from error
  slugs = [entry.slug for entry in entries]
  twice = [entry.label for entry in entries if slugs.count(entry.slug) > 1 or not entry.slug]
  if twice or not entries:
    raise InputError(f'{path}: each entry needs a label of its own' + f': {twice}' * bool(twice))
  return study


def available(folder: pathlib.Path = FOLDER) -> list[pathlib.Path]:
  """The files of a folder of studies."""
  return sorted(folder.glob('*.py'))
