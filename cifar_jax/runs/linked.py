"""Which workdir a folder of checkpoints belongs to that lies elsewhere, behind a symbolic link.

A copy of a workdir has a copy of the link. Both runs would then save into one folder, and delete
each other's checkpoints.
"""

import os
import pathlib

from cifar_jax import input_files, output_files
from cifar_jax.errors import InputError

NOTE = 'workdir.txt'  # in the folder: the path of its workdir


def claim(directory: pathlib.Path) -> None:
  """Notes in a folder of checkpoints behind a link which workdir it belongs to.

  A workdir that was renamed since, and so is not where the note says, keeps its checkpoints.

  Args:
    directory: of the checkpoints, in the workdir. If it is no link, nothing happens.

  Raises:
    InputError: the folder belongs to another workdir, or the note cannot be read or written.
  """
  if not (directory.is_symlink() and directory.is_dir()):
    return
  note, workdir = directory / NOTE, os.path.realpath(directory.parent)
  try:
    owner = input_files.read_text(note).removesuffix('\n')
  except FileNotFoundError:
    owner = ''
  except (OSError, ValueError) as error:
    raise InputError(f'{note} cannot be read ({error}); remove it') from error
  if owner == workdir:
    return
  place = pathlib.Path(os.path.realpath(directory)).parent
  if not owner and (place / 'config.json').exists():  # whose own checkpoints have no note
    owner = str(place)
  if owner and _leads_to(pathlib.Path(owner, directory.name), directory):
    raise InputError(
      f'{directory} leads to the checkpoints of {owner}, which this run would delete: copy them '
      'into a folder of this workdir, in the place of the link'
    )
  output_files.write_text(note, f'{workdir}\n')


def _leads_to(path: pathlib.Path, folder: pathlib.Path) -> bool:
  return path.is_dir() and path.samefile(folder)
