"""The space on the disk of the checkpoints."""

import os
import shutil

from cifar_jax.errors import ShortageError


def free_bytes(directory: os.PathLike[str]) -> int:
  """The number of bytes that can be written to the disk of a directory."""
  return shutil.disk_usage(directory).free


def check(directory: os.PathLike[str], num_bytes: int) -> None:
  """Raises ShortageError if a checkpoint would fill the disk and leave no space for other files."""
  free = free_bytes(directory)
  if num_bytes > free:
    raise ShortageError(
      f'a checkpoint takes {num_bytes / 2**20:.1f} MiB and the disk of {directory} has '
      f'{free / 2**20:.1f} left: make room, then run the same command again'
    )
