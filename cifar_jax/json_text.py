"""Parses JSON that anyone may have written; `input_files.read_text` reads its file."""

import hashlib
import json
from typing import Any


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


def sha256(value: Any) -> str:
  """Returns the SHA-256 of a value as JSON, hexadecimal."""
  return hashlib.sha256(json.dumps(value).encode()).hexdigest()
