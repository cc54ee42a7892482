"""Finds the official CIFAR files, where their authors, people and other libraries leave them.

A directory is searched for these, in this order: the unpacked binary version, the unpacked Python
version, the archive of either. If there is none, the directories below it are searched too, for
Keras unpacks into `datasets/cifar-10-batches-py-target/`, and tensorflow-datasets into
`downloads/extracted/`. An archive may have any name: it is known by its size, and its checksum is
compared when it is read.
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

from cifar_jax.data.official import Form, Official
from cifar_jax.errors import InputError

_LEVELS_BELOW = 3
_MOST_DIRECTORIES = 1000  # so that a whole disk is not searched


@dataclasses.dataclass(frozen=True)
class Source:
  """The place of the official files.

  Attributes:
    form: the form in which they are published.
    paths: the files of an unpacked folder, or one archive.
    is_archive: whether `paths` is an archive.
  """

  form: Form
  paths: tuple[pathlib.Path, ...]
  is_archive: bool

  def identity(self) -> list[Any]:
    """Returns names, sizes and times of change, to compare a cache with; ready for JSON.

    The system alone sets the time of a change (`st_ctime`). That of a modification does not tell:
    `tar`, `rsync` and images of containers give new files old ones.
    """
    stats = [(path.name, path.stat()) for path in self.paths if path.exists()]
    return [[name, stat.st_size, stat.st_ctime_ns] for name, stat in stats]


def find(path: pathlib.Path, official: Official) -> Source | None:
  """Finds the official files at a path; None if it is a directory without them.

  Raises:
    InputError: the path is a file but not an official archive, or an archive that does not exist.
  """
  if path.suffix == '.gz' and not path.exists():
    raise InputError(f'{path} does not exist: data.data_dir must be a directory or an archive')
  if path.is_file():
    if source := _archive([path], official):
      return source
    expected = ' or '.join(form.archive for form in official.forms)
    raise InputError(
      f'{path} is neither a directory nor an archive named {expected}, nor one of these under '
      'another name'
    )
  if not path.is_dir():
    return None
  for form in official.forms:
    for folder in (path / form.folder, path):
      if any((folder / file).is_file() for file in form.data_files):
        return _unpacked(form, folder)
  return _archive(_paths_in(path), official) or next(_below(path, official), None)


def _unpacked(form: Form, folder: pathlib.Path) -> Source:
  files = (*form.data_files, form.names_file)
  return Source(form, tuple(folder / file for file in files), is_archive=False)


def _archive(files: list[pathlib.Path], official: Official) -> Source | None:
  """The first archive among files: one with the name of a form before one with its size."""
  for form in official.forms:
    if named := [file for file in files if file.name == form.archive and file.is_file()]:
      return Source(form, (named[0],), is_archive=True)
  for file in files:
    size = file.stat().st_size if file.is_file() else None
    for form in official.forms:
      if size == form.archive_bytes:
        return Source(form, (file,), is_archive=True)
  return None


def _below(path: pathlib.Path, official: Official) -> Iterator[Source]:
  """The official files in the directories below a path, those nearest to it first."""
  directories = [path]
  for _ in range(_LEVELS_BELOW):
    directories = [
      inner
      for directory in directories[:_MOST_DIRECTORIES]
      for inner in _paths_in(directory)
      if inner.is_dir()
    ]
    for form in official.forms:
      for directory in directories:
        if all((directory / form.folder / file).is_file() for file in form.data_files):
          yield _unpacked(form, directory / form.folder)
    for directory in directories:
      if source := _archive(_paths_in(directory), official):
        yield source


def _paths_in(directory: pathlib.Path) -> list[pathlib.Path]:
  """What is in a directory, sorted; nothing where it cannot be read."""
  try:
    return sorted(directory.iterdir())
  except OSError:
    return []
