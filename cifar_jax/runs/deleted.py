"""The folder of checkpoints that are no longer kept, and links that would lead out of it.

Orbax moves a checkpoint there. A kill while its files are removed there leaves nothing that looks
like a damaged checkpoint.
"""

import contextlib
import os
import pathlib
import re

from cifar_jax import own_files
from cifar_jax.errors import InputError
from cifar_jax.runs import checksums

FOLDER = 'deleted'
_STEP = re.compile('[0-9]+')
# What is moved and removed in a directory of checkpoints: this folder, checkpoints, and unfinished
# ones.
_REMOVED = re.compile(rf'{FOLDER}|[0-9]+(\.orbax-checkpoint-tmp.*)?')


def check_folders(directory: pathlib.Path) -> None:
  """Checks that what a run moves and removes among its checkpoints are folders.

  Raises:
    InputError: one is a symbolic link or a file. To follow a link would remove files elsewhere.
  """
  for path in directory.glob('*'):
    if not _REMOVED.fullmatch(path.name):
      continue
    if path.is_symlink():
      raise own_files.link_error(path)
    if not path.is_dir():
      raise InputError(f'{path} is not a folder of this run: move it away')


def empty(directory: pathlib.Path) -> None:
  """Removes the checkpoints in the folder, and not the folder, into which Orbax may move more."""
  for path in (directory / FOLDER).glob('*'):
    if _STEP.fullmatch(path.name):
      with contextlib.suppress(OSError):  # another thread may be removing it
        _remove(path)


def _remove(path: pathlib.Path) -> None:
  """Removes a checkpoint or a link; leaves another folder whose name is a number.

  The directory of checkpoints may be a link that a stranger has set. A checkpoint is known by the
  file of its checksums, which is removed last, so that a kill leaves nothing that is not known.
  """
  if not path.is_symlink():
    names = os.listdir(path)
    if names and checksums.NAME not in names:
      return
    for name in names:
      if name != checksums.NAME:
        own_files.remove(path / name)
  own_files.remove(path)
