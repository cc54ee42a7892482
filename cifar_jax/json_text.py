"""Reads JSON that anyone may have written."""

import json
import os
import pathlib
from typing import Any

# Of a file. The largest that this program writes, but for the records of a run, has a megabyte.
MAX_BYTES = 64 << 20


def parse(text: str) -> Any:
  """Returns the value of a JSON text.

  Raises:
    ValueError: the text is not JSON, is nested too deep, or has a number of too many digits. It is
      the only exception, unlike that of `json.loads`.
  """
  try:
    return json.loads(text)
  except RecursionError:
    raise ValueError('it is nested too deep') from None


def read_text(path: pathlib.Path, max_bytes: int = MAX_BYTES) -> str:
  """Returns the text of a file, for `parse`.

  A larger file is not read: its values would take many times its size in memory.

  Args:
    path: of the file, in UTF-8.
    max_bytes: the largest size.

  Raises:
    OSError: the file cannot be read.
    ValueError: it is larger, or is not UTF-8.
  """
  with path.open('rb') as file:
    size = os.fstat(file.fileno()).st_size
    content = b'' if size > max_bytes else file.read(max_bytes + 1)
  if max(size, len(content)) > max_bytes:
    raise ValueError(f'it has more than {max_bytes >> 20:,} MiB')
  return content.decode()
