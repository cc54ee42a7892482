"""Writes output files so that each is complete or absent, even after a kill or a power failure."""

import contextlib
import itertools
import logging
import os
import pathlib
import secrets
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from cifar_jax import input_files, json_text, own_files
from cifar_jax.errors import InputError, cannot_write

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

DOTS_PER_INCH = 200
OWN_PICTURE = {'Software': 'cifar_jax'}  # metadata of a PNG, by which data readers know it
TEMPORARY_SUFFIX = '.tmp'  # of files that a killed process may leave behind, half written
# What a run cannot go on without, the configuration first; only the run itself writes these files.
_OF_A_RUN = (
  *('config.json', 'metrics.jsonl', 'result.json', 'lock', 'log.txt', 'checkpoints.saved'),
  'trackers.json',
)
_OF_A_CHECKPOINT = 'commit_success.txt'  # a file in the folder of each checkpoint


@contextlib.contextmanager
def replacing(path: pathlib.Path, outdated: Sequence[pathlib.Path] = ()) -> Iterator[pathlib.Path]:
  """Yields a temporary path to write to, and renames it to `path` when the block ends.

  The new content is on disk before the rename. Whenever the process is killed, `path` holds the old
  content or the new, and neither is cut off. If the block raises an exception, or the disk is full,
  all files stay as they were.

  Args:
    path: of the file.
    outdated: files that were made of the old content, such as pictures. They are removed just
      before the rename, so that no failure or kill leaves them with the new content.

  Raises:
    InputError: the file cannot be written there, or belongs to a run.
    ShortageError: the disk is full, for example.
  """
  for file in (path, *outdated):
    check_not_of_a_run(file)
  try:
    with _renaming(path, outdated) as temporary:
      yield temporary
  except OSError as error:
    raise cannot_write(path, error) from error


def check_not_of_a_run(path: pathlib.Path) -> None:
  """Raises InputError if a path is of a file or folder that a run cannot go on without."""
  folder = path.absolute().parent
  if path.name in _OF_A_RUN and (folder / _OF_A_RUN[0]).exists():
    raise InputError(f'{path} belongs to the run in {path.parent}: give another name')
  if any((place / _OF_A_CHECKPOINT).exists() for place in (folder, *folder.parents)):
    raise InputError(f'{path} is in the folder of a checkpoint: give another name')


def check_is_own(path: pathlib.Path, *keys: str, beside: Iterable[pathlib.Path] = ()) -> None:
  """Raises InputError if a file is there that this program did not write.

  For a JSON file beside an output, whose name the user did not give and may have used before.

  Args:
    path: of the file to write.
    keys: which the object, or each object of the list, in a file of this program has.
    beside: the pictures that this program writes after `path`, so that without it they are not its.
  """
  if not path.exists():
    others = [picture for picture in beside if picture.exists()]
    if others:
      raise not_own(others[0])
    return
  try:
    content = json_text.parse(input_files.read_text(path))
  except (OSError, ValueError):
    content = None
  rows = content if isinstance(content, list) else [content]
  if not rows or not all(isinstance(row, dict) and row.keys() >= set(keys) for row in rows):
    raise not_own(path)


def check_is_of(path: pathlib.Path, theirs: object, sources: Sequence[object]) -> None:
  """Raises InputError if there is a result of other sources, such as runs, in the place of a file.

  Args:
    path: of the file to write.
    theirs: a list of the absolute paths of the sources of the file that is there; None without one,
      and where an earlier version did not write them.
    sources: the absolute paths of those of the new file.
  """
  if isinstance(theirs, list) and theirs != (own := [str(source) for source in sources]):
    others = [str(source) for source in theirs if source not in own] or ['other options']
    raise InputError(f'{path} is of {", ".join(map(str, others))}: give another --out')


def set_aside(files: Sequence[pathlib.Path]) -> pathlib.Path | None:
  """Renames files that belong together to `STEM-2`, `STEM-3`, ..., whichever is free.

  Returns:
    The new name of the first that is there; None if none is.
  """
  there = [file for file in files if file.exists()]
  for number in itertools.count(2):
    free = [file.with_stem(f'{file.stem}-{number}') for file in there]
    if not any(file.exists() for file in free):
      break
  for file, new in zip(there, free, strict=True):
    file.rename(new)
  return free[0] if free else None


def not_own(path: pathlib.Path) -> InputError:
  """The error for a file, whose name the user did not give, that this program did not write."""
  return InputError(
    f'{path} would be replaced, but this command did not write it: give the output another name'
  )


def write_text(path: pathlib.Path, text: str, outdated: Sequence[pathlib.Path] = ()) -> None:
  """Writes a text file in UTF-8, or replaces one, in the way of `replacing`.

  Args:
    path: of the file.
    text: its content.
    outdated: files that were made of the old content; none of a run.

  Raises:
    OSError: the file cannot be written. It stays an OSError so that `cli.run` can tell a full disk
      from a wrong path.
  """
  with _renaming(path, outdated) as temporary:
    temporary.write_text(text, encoding='utf-8')


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
  """Within the block matplotlib has its default settings, and text is never mathematics.

  Also a decorator, for functions that draw. A notebook passes its backend on to the commands that
  it starts, and a user's settings may need TeX; a class may be called `a$^$b`.
  """
  backend = os.environ.pop('MPLBACKEND', None)  # of no use here, and perhaps not installed
  try:
    import matplotlib
  finally:
    if backend is not None:
      os.environ['MPLBACKEND'] = backend
  settings = {**matplotlib.rcParamsDefault, 'text.parse_math': False}
  del settings['backend']
  with matplotlib.rc_context(cast(Any, settings)):
    yield


@own_settings()
def save_figure(
  figure: 'Figure', path: pathlib.Path, outdated: Sequence[pathlib.Path] = ()
) -> None:
  """Writes a figure as a PNG, in the way of `replacing`.

  Args:
    figure: is rendered at `DOTS_PER_INCH`.
    path: of the PNG, in a directory that exists.
    outdated: files that were made with the old picture.

  Raises:
    InputError: the file cannot be written.
  """
  with replacing(path, outdated) as temporary, warnings.catch_warnings():
    warnings.simplefilter('ignore', UserWarning)  # of a name that is too long, or a missing letter
    figure.savefig(temporary, format='png', dpi=DOTS_PER_INCH, metadata=OWN_PICTURE)


@contextlib.contextmanager
def decoration(path: pathlib.Path) -> Iterator[None]:
  """Within the block a picture or a page is made that nothing depends on.

  Whatever goes wrong is a warning that names the file: no result is lost to its picture.
  """
  try:
    yield
  except Exception as error:
    reason = ' '.join(str(error).split())[:200] or type(error).__name__
    logger.warning('%s could not be made: %s', path, reason)


def make_folder(folder: pathlib.Path) -> None:
  """Makes a folder for results; raises what `replacing` raises if it cannot be written to.

  A link out of the directory of a run cannot be: whoever gave the run to others may have set it.
  """
  if folder.is_symlink() and (folder.parent / _OF_A_RUN[0]).exists():
    raise own_files.link_error(folder)
  own_files.check_held(folder)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    probe = _temporary(folder / 'probe')
    probe.touch()
    probe.unlink()
  except OSError as error:
    raise cannot_write(f'in {folder}', error, '; give another --out') from error


@contextlib.contextmanager
def _renaming(path: pathlib.Path, outdated: Sequence[pathlib.Path]) -> Iterator[pathlib.Path]:
  """Does the work of `replacing`, and lets an OSError pass."""
  own_files.check_held(path)
  temporary = _temporary(path)
  try:
    yield temporary
    sync(temporary)
    for file in outdated:
      file.unlink(missing_ok=True)
    temporary.replace(path)
    sync(path.parent)
  finally:
    temporary.unlink(missing_ok=True)


def _temporary(path: pathlib.Path) -> pathlib.Path:
  """A path beside another that no thread, process or machine uses, and that nobody can guess."""
  return path.with_name(f'{path.name}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}')


def sync(path: pathlib.Path) -> None:
  """Returns when a file, or the list of a directory's files, is on disk.

  Until then a power failure can leave a file empty whose name is there already.
  """
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def sync_tree(directory: pathlib.Path) -> None:
  """Returns when a directory is on disk with all files and directories in it."""
  for path in directory.rglob('*'):
    sync(path)
  sync(directory)
