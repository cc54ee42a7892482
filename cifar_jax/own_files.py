"""Files that this program keeps open, locks, moves or removes: its own alone, never through links.

A folder may come from a stranger, or be changed by one. A symbolic link in it must not lead this
program to files elsewhere.
"""

import contextlib
import errno
import fcntl
import itertools
import logging
import os
import pathlib
import shutil
import stat
from collections.abc import Iterator
from typing import IO, Any

from cifar_jax.errors import InputError

logger = logging.getLogger(__name__)

# The locked file of each folder that this process holds; `hold` fills it.
_held: dict[pathlib.Path, IO[Any]] = {}
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def link_error(path: pathlib.Path) -> InputError:
  """The exception for a symbolic link in the place of a file or folder of this program."""
  return InputError(f'{path} is a symbolic link, and nothing is written where it leads: remove it')


def open_own(path: pathlib.Path, mode: str = 'a', errors: str | None = None) -> IO[Any]:
  """Opens a file that stays under its name while it is written, such as a log.

  Args:
    path: of the file, which is made if there is none.
    mode: as of `open`, to append or to write.
    errors: as of `open`.

  Raises:
    InputError: it is a symbolic link, which would lead to a file of someone else, or a pipe or a
      device.
    OSError: it cannot be opened.
  """
  if path.is_symlink():
    raise link_error(path)

  def open_at_once(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)

  encoding = None if 'b' in mode else 'utf-8'
  try:
    file = open(path, mode, encoding=encoding, errors=errors, opener=open_at_once)  # noqa: SIM115
  except OSError as error:
    if error.errno == errno.ENXIO:  # a pipe that nothing reads, or a socket
      raise _not_a_file(path) from error
    raise
  if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
    file.close()
    raise _not_a_file(path)
  return file


def _not_a_file(path: pathlib.Path) -> InputError:
  return InputError(f'{path} is not a file but a pipe or a device: remove it')


def is_own(path: pathlib.Path) -> bool:
  """Whether a file or folder is there that only the user, or the administrator, can change."""
  try:
    information = path.stat()
  except OSError:
    return False
  can_others_write = information.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
  return information.st_uid in (0, os.geteuid()) and not can_others_write


def remove(path: pathlib.Path) -> None:
  """Removes a file, or a folder with all that is in it; of a symbolic link, the link alone.

  What cannot be removed stays, without an error.
  """
  if path.is_dir() and not path.is_symlink():
    shutil.rmtree(path, ignore_errors=True)
  else:
    with contextlib.suppress(OSError):
      path.unlink()


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
def hold(file: IO[Any]) -> Iterator[None]:
  """Within the block, `check_held` knows whether the folder of a locked file is still the same.

  Args:
    file: open, in the folder to hold.

  Raises:
    InputError: something went wrong in the block after the folder was renamed or removed.
  """
  folder = pathlib.Path(file.name).absolute().parent
  _held[folder] = file
  try:
    yield
  except Exception:
    check_held(folder)
    raise
  finally:
    _held.pop(folder, None)


def check_held(path: pathlib.Path) -> None:
  """Checks that a path is not in a folder that was renamed or removed while it is held.

  The folder of another run may be there now, which must not get the files of this one.

  Raises:
    InputError: it is in such a folder.
  """
  if not is_held(path):
    raise InputError(
      f'{path}: the workdir was renamed or removed while its run was going on, and nothing more is '
      'written there; what was saved is intact, and the same command resumes it with the new name '
      'as --workdir'
    )


def is_held(path: pathlib.Path) -> bool:
  """Whether `check_held` lets a path pass; true for a path in no folder that is held."""
  absolute = path.absolute()
  for folder in (absolute, *absolute.parents):
    if file := _held.get(folder):
      try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
      except (FileNotFoundError, NotADirectoryError):
        return False
  return True
