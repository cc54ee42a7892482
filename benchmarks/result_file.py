"""The origin of a benchmark's result, and the JSON file that holds the result."""

import json
import pathlib
import shlex
import sys
from collections.abc import Mapping
from typing import Any

from cifar_jax import output_files
from cifar_jax.runs import provenance

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / 'benchmarks' / 'results'


def origin(script: str, placeholders: Mapping[str, str] | None = None) -> dict[str, Any]:
  """Returns `command`, `commit`, `versions`, `device` and `machine` of a result.

  Call it before the work begins, so that the commit is the one that computed the result.

  Args:
    script: name of the benchmark's module, such as `seeds`.
    placeholders: text that the command shows for a word of the command line, such as `DATA` for a
      directory of this machine.
  """
  placeholders = placeholders or {}
  words = [placeholders.get(word, word) for word in sys.argv[1:]]
  command = shlex.join(['python', '-m', f'benchmarks.{script}', *words])
  return provenance.describe(1) | {'command': command}


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the rows of an earlier result; none if there is no file."""
  return json.loads(path.read_text())['rows'] if path.exists() else []


def write(path: pathlib.Path, result: Mapping[str, Any]) -> None:
  """Writes a result, or replaces it; the file is never half written."""
  output_files.write_text(path, json.dumps(result, indent=2) + '\n')


def print_row(row: Mapping[str, Any]) -> None:
  """Prints a row as one line of keys and values."""
  print(*(f'{key} {value}' for key, value in row.items()), flush=True)
