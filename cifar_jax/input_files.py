"""Files that a command reads."""

import os
import pathlib

from cifar_jax.errors import InputError


def refuse_pipe(path: str | os.PathLike[str]) -> None:
  """Raises InputError for a pipe, a socket or a device, whose reading might never end.

  Args:
    path: of a file that will be read. A missing one and a folder pass: what reads them says more.
  """
  path = pathlib.Path(path)
  if path.exists() and not path.is_file() and not path.is_dir():
    raise InputError(f'{path} is not a file but a pipe or a device: give a file')
