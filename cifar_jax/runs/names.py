"""The names of directories in which checkpoints can be written."""

import os
import pathlib
import sys

from cifar_jax.errors import InputError


def check(directory: pathlib.Path) -> None:
  """Raises InputError if TensorStore, which takes names for UTF-8, would not find a directory.

  Python reads and writes names in another encoding where it is not in its UTF-8 mode.
  """
  path = directory.absolute()
  if os.fsencode(path) != str(path).encode('utf-8', 'replace'):
    utf8_mode = '' if sys.getfilesystemencoding() == 'utf-8' else 'set PYTHONUTF8=1, or '
    raise InputError(
      f'{directory}: its name is not UTF-8 to Python, and no checkpoint can be written there; '
      f'{utf8_mode}give another --workdir'
    )
