"""Finds the damaged checkpoints of a directory, and renames them."""

import contextlib
import logging
import pathlib
import re

from cifar_jax import own_files
from cifar_jax.errors import InputError
from cifar_jax.runs import checksums, first_save

logger = logging.getLogger(__name__)

# The suffix of a damaged checkpoint's directory, which frees the name for a new checkpoint.
SUFFIX = '.damaged'
_STEP = re.compile('0|[1-9][0-9]*')  # `isdigit` is true of ² too


def steps_in(directory: pathlib.Path) -> list[int]:
  """The steps of all checkpoints in a directory, damaged or not, sorted.

  Copies that a person has made there, such as `8 (old)`, are no checkpoints.
  """
  names = (path.name for path in directory.glob('*') if path.is_dir())
  return sorted(int(name) for name in names if _STEP.fullmatch(name))


def identities(directory: pathlib.Path) -> list[tuple[int, int, int]]:
  """Of all checkpoints in a directory the step, the inode and the time of change, sorted.

  So another list means other checkpoints, also where the directory was replaced by that of a run
  with the same steps.
  """
  found = []
  for step in steps_in(directory):
    with contextlib.suppress(FileNotFoundError):  # a run that goes on deletes its oldest one
      status = (directory / str(step)).stat()
      found.append((step, status.st_ino, status.st_ctime_ns))
  return found


def find(directory: pathlib.Path) -> dict[int, str]:
  """Logs and returns what is damaged, by step; raises InputError if no checkpoint is intact."""
  steps = steps_in(directory)
  damaged = {step: damage for step in steps if (damage := checksums.damage(directory / str(step)))}
  # A run that goes on meanwhile may have deleted its oldest checkpoint during the check.
  damaged = {step: damage for step, damage in damaged.items() if (directory / str(step)).is_dir()}
  for step, damage in damaged.items():
    logger.warning('checkpoint %d is damaged: %s', step, damage)
  intact = [step for step in steps if step not in damaged]
  renamed_earlier = list(directory.glob(f'*{SUFFIX}*'))
  if not intact and (damaged or renamed_earlier):
    raise InputError(
      f'no checkpoint in {directory} is intact; restore one from a copy, or start the run in '
      'another --workdir'
    )
  if not intact and first_save.was_noted(directory):
    raise InputError(
      f'the checkpoints that the run saved in {directory} are gone: mount their disk, or restore '
      'one from a copy, or start the run in another --workdir'
    )
  if damaged:
    logger.warning('checkpoint %d is the newest intact one', intact[-1])
  for step in intact:
    if checksums.lacks_checksums(directory / str(step)):
      logger.warning('checkpoint %d is from an earlier version, without checksums', step)
  return damaged


def rename(directory: pathlib.Path, damaged: dict[int, str]) -> None:
  """Renames damaged checkpoints, so that their steps can be saved again."""
  for step in damaged:
    target = own_files.unused(directory / f'{step}{SUFFIX}')
    (directory / str(step)).rename(target)
    logger.warning('the damaged checkpoint is now %s; you may delete it', target)
