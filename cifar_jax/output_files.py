"""Writes output files so that each is complete or absent, even after a kill or a power failure."""

import contextlib
import errno
import fcntl
import itertools
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, cast

from cifar_jax.errors import InputError, cannot_write

if TYPE_CHECKING:  # importing matplotlib takes a second; only the functions that draw import it
  from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

DOTS_PER_INCH = 200
TEMPORARY_SUFFIX = '.tmp'  # of files that a killed process may leave behind, half written
# What a run cannot go on without, the configuration first; only the run itself writes these files.
_OF_A_RUN = ('config.json', 'metrics.jsonl', 'result.json')
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a temporary path to write to, and renames it to `path` when the block ends.

  The new content is on disk before the rename. Whenever the process is killed, `path` holds the old
  content or the new, and neither is cut off. If the block raises an exception, `path` stays as it
  was.

  Raises:
    InputError: the file cannot be written there, or belongs to a run.
    ShortageError: the disk is full, for example.
  """
  check_not_of_a_run(path)
  try:
    with _renaming(path) as temporary:
      yield temporary
  except OSError as error:
    raise cannot_write(path, error) from error


def check_not_of_a_run(path: pathlib.Path) -> None:
  """Raises InputError if a path is that of a file that a run cannot go on without."""
  if path.name in _OF_A_RUN and (path.parent / _OF_A_RUN[0]).exists():
    raise InputError(f'{path} belongs to the run in {path.parent}: give another name')


def write_text(path: pathlib.Path, text: str) -> None:
  """Writes a text file in UTF-8, or replaces one, in the way of `replacing`.

  Raises:
    OSError: the file cannot be written. It stays an OSError so that `cli.run` can tell a full disk
      from a wrong path.
  """
  with _renaming(path) as temporary:
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
def save_figure(figure: 'Figure', path: pathlib.Path) -> None:
  """Writes a figure as a PNG, in the way of `replacing`.

  Args:
    figure: is rendered at `DOTS_PER_INCH`.
    path: of the PNG, in a directory that exists.

  Raises:
    InputError: the file cannot be written.
  """
  with replacing(path) as temporary:
    figure.savefig(temporary, format='png', dpi=DOTS_PER_INCH)


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
  """Makes a folder for results; raises what `replacing` raises if it cannot be written to."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f'{os.getpid()}{TEMPORARY_SUFFIX}'
    probe.touch()
    probe.unlink()
  except OSError as error:
    raise cannot_write(f'in {folder}', error, '; give another --out') from error


def unused(path: pathlib.Path) -> pathlib.Path:
  """A path, or the first of `PATH-2`, `PATH-3`, ... if it is in use."""
  names = itertools.chain([path.name], (f'{path.name}-{number}' for number in itertools.count(2)))
  return next(path.with_name(name) for name in names if not os.path.lexists(path.with_name(name)))


def lock(file: IO[Any], *, wait: bool) -> None:
  """Locks an open file until it is closed.

  On a file system without locks, as some of clusters are, it goes on with a warning.

  Args:
    file: open for writing.
    wait: whether to wait for a process that holds the lock.

  Raises:
    BlockingIOError: another process holds the lock, and `wait` is false.
    OSError: the file system is out of order.
  """
  try:
    fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
  except OSError as error:
    if error.errno not in _NO_LOCKS:
      raise
    logger.warning(
      'the file system of %s has no locks (%s): start only one process that writes there',
      *(file.name, error.strerror),
    )


@contextlib.contextmanager
def _renaming(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Does the work of `replacing`, and lets an OSError pass."""
  # Two processes that write the same file must not write the same temporary file.
  temporary = path.with_name(f'{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}')
  try:
    yield temporary
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)
  finally:
    temporary.unlink(missing_ok=True)


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
