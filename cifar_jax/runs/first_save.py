"""Notes outside a directory of checkpoints that a checkpoint was saved in it.

Without the note, an emptied directory or a disk that is not mounted looks like a run that has saved
nothing yet, and the run would begin again at step 0.
"""

import pathlib

from cifar_jax import output_files

SUFFIX = '.saved'  # of the note, whose name begins with that of the directory
_TEXT = 'A checkpoint of this run was saved. Without a checkpoint the run does not begin again.\n'


def note(directory: pathlib.Path) -> None:
  """Writes the note beside a directory of checkpoints, if it is not there."""
  if not was_noted(directory):
    output_files.write_text(_path(directory), _TEXT)


def was_noted(directory: pathlib.Path) -> bool:
  """Whether a checkpoint was ever saved in a directory."""
  return _path(directory).exists()


def _path(directory: pathlib.Path) -> pathlib.Path:
  return directory.with_name(directory.name + SUFFIX)
