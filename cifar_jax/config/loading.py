"""Configurations as files: read from `configs/`, stored as JSON, checked and compared."""

import json
import pathlib
import runpy
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import json_text
from cifar_jax.config.base import base
from cifar_jax.config.command_line import nearest
from cifar_jax.errors import InputError

# Keys, and beginnings of keys, that may have another value when a run is resumed. Some of them
# change results by rounding alone: the number of devices, the steps per dispatch (which a profile
# can divide further), and whether a GPU is deterministic. `data.data_dir` may change because the
# data themselves are compared when they are read (`data.dataset.check_same_data`), and
# `train.nonfinite` because a run that `stop` has ended has no other way to go on.
MAY_CHANGE = (
  'data.data_dir',
  'checkpoint.',
  'sharding.',
  'train.log_every_steps',
  'train.nonfinite',
  'train.steps_per_dispatch',
  'train.profile',
  'train.deterministic',
)


def load(path_and_arguments: str) -> ConfigDict:
  """Returns the configuration that the `get_config` of a file makes.

  Args:
    path_and_arguments: `configs/NAME.py` or `configs/NAME.py:ARGUMENTS`. The file is Python and is
      executed.

  Raises:
    InputError: the file does not exist or does not run, its arguments are wrong, or it makes
      something other than a configuration.
  """
  path, _, text = path_and_arguments.partition(':')
  if not pathlib.Path(path).is_file():
    known = ', '.join(sorted(str(p) for p in pathlib.Path(path).parent.glob('*.py')))
    raise InputError(f'no config file {path}' + (f'; there are {known}' if known else ''))
  try:
    get_config = runpy.run_path(path).get('get_config')
    config = get_config(text) if get_config else None
  except InputError as error:
    raise InputError(f'{path}: {error}') from error
  except (Exception, SystemExit) as error:  # the file is code, which can raise anything
    message = ' '.join(str(error).split())
    raise InputError(f'{path}: {type(error).__name__}: {message}') from error
  if not isinstance(config, ConfigDict):
    raise InputError(f'{path} must define get_config(text), which returns a ConfigDict')
  check(config, path)
  return config.unlock().lock()  # locking a locked configuration would leave sections unlocked


def check(config: ConfigDict, where: object) -> None:
  """Raises InputError if a configuration has other sections, keys or types than `base` makes.

  A single key may be missing, because an earlier version did not have it. It has its default then.

  Args:
    config: the configuration.
    where: the file that it comes from, the beginning of the message.
  """
  expected = base('')
  known = flatten(expected)
  if missing := [name for name in expected if name not in config]:
    raise InputError(f'{where} lacks {missing[0]}; begin with config.base')
  for path, value in flatten(config).items():
    if path not in known and not path.startswith('model.'):
      raise InputError(
        f'{where} has {path}, which this version does not know{nearest(path, known)}; remove it'
      )
    kind = type(known.get(path, value))
    if type(value) is not kind and not (kind is float and type(value) is int):
      raise InputError(f'{where}: {path} is {value!r}; it must be {kind.__name__}')


def to_json(config: ConfigDict) -> str:
  """Returns the text of a workdir's `config.json`."""
  return json.dumps(config.to_dict(), indent=2) + '\n'


def from_json(text: str) -> ConfigDict:
  """Returns the locked configuration that `to_json` made a text from; lists become tuples again.

  Raises:
    ValueError: the text is no JSON object.
  """

  def to_tuples(value: Any) -> Any:
    if isinstance(value, dict):
      return {key: to_tuples(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value

  value = json_text.parse(text)
  if not isinstance(value, dict):
    raise ValueError('not a JSON object')
  return ConfigDict(to_tuples(value)).lock()


def flatten(config: ConfigDict) -> dict[str, Any]:
  """Returns all values by their dotted paths, such as `optimizer.weight_decay`."""
  flat: dict[str, Any] = {}
  for key, value in config.items():
    if isinstance(value, ConfigDict):
      flat |= {f'{key}.{inner}': item for inner, item in flatten(value).items()}
    else:
      flat[key] = value
  return flat


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
  """Describes the differences between two configurations that change results, one phrase per key.

  A key that one configuration lacks, because an earlier version wrote it, counts with its default.
  """
  before, after = (flatten(base('', c.data.name)) | flatten(c) for c in (old, new))
  return [
    f'{key} was {before.get(key, "absent")!r} and is now {after.get(key, "absent")!r}'
    for key in sorted(before.keys() | after.keys())
    if not key.startswith(MAY_CHANGE) and before.get(key) != after.get(key)
  ]
