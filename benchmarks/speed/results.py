"""The file of results, to which rows are added one by one."""

import json
import pathlib
from typing import Any

from cifar_jax import output_files
from cifar_jax.errors import InputError

FOLDER = pathlib.Path(__file__).parents[1] / 'results'
SHARED = ('machine', 'device', 'commit', 'versions', 'threads')  # by all rows of a file


def path(device: str) -> pathlib.Path:
  """Returns the path of the results of a device (`cpu`, `gpu`)."""
  return FOLDER / f'speed_{device}.json'


def read(file: pathlib.Path) -> dict[str, Any]:
  """Returns the content of a file; raises InputError if there is none, or one of another kind."""
  try:
    result = json.loads(file.read_text())
  except (OSError, ValueError) as error:
    raise InputError(f'no results in {file}; run python -m benchmarks.speed first') from error
  if not isinstance(result, dict) or not {'rows', *SHARED} <= result.keys():
    raise InputError(f'{file} holds no results of benchmarks.speed')
  return result


def begin(file: pathlib.Path, origin: dict[str, Any], append: bool) -> dict[str, Any]:
  """Returns the result that rows are added to: a new one, or that of the file.

  Args:
    file: path of the results.
    origin: machine, versions, command and so on of the new rows.
    append: whether to add the new rows to those of the file.

  Raises:
    InputError: the file's rows come from another machine, commit or version.
  """
  if not append or not file.exists():
    return origin | {'rows': []}
  old = read(file)
  for key in SHARED:
    if old[key] != origin[key]:
      raise InputError(
        f'the rows of {file} have {key} {old[key]}, and the new ones {origin[key]}; run it without '
        '--append'
      )
  commands = dict.fromkeys([*old['command'].split('; '), origin['command']])
  return old | {'command': '; '.join(commands)}


def add(result: dict[str, Any], row: dict[str, Any]) -> None:
  """Adds a row, in place of an earlier one of the same net and dtype."""
  key = (row['net'], row['dtype'])
  result['rows'] = [r for r in result['rows'] if (r['net'], r['dtype']) != key] + [row]


def write(file: pathlib.Path, result: dict[str, Any]) -> None:
  """Writes the file; it is never half written."""
  with output_files.replacing(file) as unfinished:
    unfinished.write_text(json.dumps(result, indent=1, ensure_ascii=False) + '\n')
