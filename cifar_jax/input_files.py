"""Files that a command reads, which anyone may have put there."""

import hashlib
import os
import pathlib
import stat

from cifar_jax.errors import InputError

# Of a small file. The largest that this program writes, but for the records of a run, is a picture
# with a few megabytes.
MAX_BYTES = 64 << 20


def read_bytes(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> bytes:
  """Returns the content of a small file: all of them are read here.

  A larger file is not read: its values would take many times its size in memory. Nor is what is no
  file: to open a pipe would wait for ever for a program that writes into it.

  Args:
    path: of the file.
    max_bytes: the largest size.

  Raises:
    OSError: the file cannot be read.
    ValueError: it is larger, or is a pipe or a device.
  """
  with open(path, 'rb', opener=_without_waiting) as file:
    information = os.fstat(file.fileno())
    if not stat.S_ISREG(information.st_mode):
      raise ValueError('it is a pipe or a device')
    content = b'' if information.st_size > max_bytes else file.read(max_bytes + 1)
  if max(information.st_size, len(content)) > max_bytes:
    raise ValueError(f'it has more than {max_bytes >> 20:,} MiB')
  return content


def read_text(path: str | os.PathLike[str], max_bytes: int = MAX_BYTES) -> str:
  """Returns the text of a small file; raises as `read_bytes`, and ValueError if it is not UTF-8."""
  return read_bytes(path, max_bytes).decode()


def sha256(path: str | os.PathLike[str]) -> str:
  """Returns the SHA-256 of a small file, hexadecimal; '' if the file cannot be read."""
  try:
    return hashlib.sha256(read_bytes(path)).hexdigest()
  except (OSError, ValueError):
    return ''


def _without_waiting(path: str, flags: int) -> int:
  return os.open(path, flags | os.O_NONBLOCK)


def refuse_pipe(path: str | os.PathLike[str]) -> None:
  """Raises InputError for a pipe, a socket or a device, whose reading might never end.

  For files that a library reads by their path; `read_bytes` has this check.

  Args:
    path: of a file that will be read. A missing one and a folder pass: what reads them says more.
  """
  path = pathlib.Path(path)
  if path.exists() and not path.is_file() and not path.is_dir():
    raise InputError(f'{path} is not a file but a pipe or a device: give a file')
