"""The folder of checkpoints that are no longer kept, and links that would lead out of it.

Orbax moves a checkpoint there. A kill while its files are removed there leaves nothing that looks
like a damaged checkpoint.
"""

import pathlib
import re

from cifar_jax import own_files
from cifar_jax.errors import InputError

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
      own_files.remove(path)
