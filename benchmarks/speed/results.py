"""The file of results: read, kept row by row, added to."""

import json
import pathlib
from typing import Any

from cifar_jax.errors import InputError
from cifar_jax.report import files

FOLDER = pathlib.Path(__file__).parents[1] / 'results'
SAME = ('machine', 'device', 'commit', 'versions', 'threads')  # of all rows of a file


def path(device: str) -> pathlib.Path:
  """Where results of a device (`cpu`, `gpu`) live."""
  return FOLDER / f'speed_{device}.json'


def read(file: pathlib.Path) -> dict[str, Any]:
  """Raises InputError where there is no such file, or not of this kind."""
  try:
    told = json.loads(file.read_text())
  except (OSError, ValueError) as error:
    raise InputError(f'no results in {file}; run python -m benchmarks.speed first') from error
  if not isinstance(told, dict) or not {'rows', *SAME} <= told.keys():
    raise InputError(f'{file} holds no results of benchmarks.speed')
  return told


def begin(file: pathlib.Path, told: dict[str, Any], append: bool) -> dict[str, Any]:
  """What rows are added to: a new result, or the one in the file.

  Args:
    file: where it lives.
    told: where the new rows come from.
    append: whether they go beside those of the file.

  Raises:
    InputError: the file's rows come from another machine, commit or version.
  """
  if not append or not file.exists():
    return told | {'rows': []}
  old = read(file)
  if other := [key for key in SAME if old[key] != told[key]]:
    key = other[0]
    raise InputError(
      f'the rows of {file} are of {key} {old[key]}, and these would be of {told[key]}; run it '
      'without --append'
    )
  commands = dict.fromkeys([*old['command'].split('; '), told['command']])
  return old | {'command': '; '.join(commands)}


def add(result: dict[str, Any], row: dict[str, Any]) -> None:
  """Adds a row, in place of an earlier one of the same net and dtype."""
  same = (row['net'], row['dtype'])
  result['rows'] = [r for r in result['rows'] if (r['net'], r['dtype']) != same] + [row]


def write(file: pathlib.Path, result: dict[str, Any]) -> None:
  """Writes the file whole, or not at all."""
  with files.replacing(file) as unfinished:
    unfinished.write_text(json.dumps(result, indent=1, ensure_ascii=False) + '\n')
