"""Pictures and pages on disk, whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cifar_jax.errors import InputError

if TYPE_CHECKING:  # matplotlib takes a second to import: the functions that draw do it themselves
  from matplotlib.figure import Figure

DOTS_PER_INCH = 200


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Gives the path of a file to be written, which replaces `path` once it is whole.

  Raises:
    InputError: the file cannot be written.
  """
  unfinished = path.with_name(f'{path.name}.{os.getpid()}.tmp')
  try:
    yield unfinished
    unfinished.replace(path)
  except OSError as error:
    raise InputError(f'cannot write {path}: {error.strerror}') from error
  finally:
    unfinished.unlink(missing_ok=True)


def save(figure: 'Figure', path: pathlib.Path) -> None:
  """Writes a PNG, which replaces an older one only once it is whole.

  Args:
    figure: to be drawn at `DOTS_PER_INCH`.
    path: of the PNG, in a directory that exists.

  Raises:
    InputError: the file cannot be written.
  """
  with replacing(path) as unfinished:
    figure.savefig(unfinished, format='png', dpi=DOTS_PER_INCH)
