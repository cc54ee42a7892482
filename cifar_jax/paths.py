"""Paths that a person gives, and the folder of this program in the person's home."""

import contextlib
import os
import pathlib
import re

from cifar_jax.errors import InputError

_SCHEME = re.compile(r'[A-Za-z][A-Za-z0-9+-]+:/')  # one slash is left of two in a `pathlib.Path`


def cache_folder() -> pathlib.Path:
  """The folder of what this program keeps for one user of a machine, in `XDG_CACHE_HOME`.

  A relative value counts as none, as the specification of XDG base directories demands. It would
  lead into the current folder, which may be a stranger's, and this program runs what the cache
  holds.
  """
  folder = os.environ.get('XDG_CACHE_HOME', '')
  return local(folder if os.path.isabs(folder) else '~/.cache') / 'cifar_jax'


def make_cache_folder() -> pathlib.Path:
  """Makes `cache_folder` if it is missing, and has nobody but its owner write there.

  With the umask 002 of some systems an earlier version made a folder in which a group could write.
  Whose the files in it are is checked where they are used.

  Raises:
    OSError: the folder cannot be made.
  """
  folder = cache_folder()
  folder.mkdir(mode=0o700, parents=True, exist_ok=True)
  mode = folder.stat().st_mode
  if mode & 0o022:
    with contextlib.suppress(PermissionError):  # it is another user's
      folder.chmod(mode & 0o755)
  return folder


def local(path: str | os.PathLike[str]) -> pathlib.Path:
  """Returns a path with `~` expanded.

  Raises:
    InputError: the path is a URL, such as `gs://bucket/run`, or there is no such home directory.
      Locks, atomic renames and checksums of a run need a file system, and a `pathlib.Path` of a URL
      or of an unknown `~` would be a local folder.
  """
  text = os.fspath(path)
  if _SCHEME.match(text):
    raise InputError(
      f'{text} is not on this machine: mount the bucket as a folder (for gs:// with gcsfuse), or '
      'copy it here, and give that folder'
    )
  path = pathlib.Path(os.path.expanduser(text))
  if text.startswith('~') and str(path).startswith('~') and not path.exists():
    raise InputError(
      f'{text}: there is no home directory {path.parts[0]}: set HOME, or give a path without it'
    )
  return path
