"""Configurations as files: read from `configs/`, stored as JSON, checked and compared."""

import contextlib
import inspect
import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import json_text
from cifar_jax.config import locations, python_file
from cifar_jax.config.base import base
from cifar_jax.config.command_line import make_module_absolute, nearest
from cifar_jax.config.dataset import DataSettings, count_or_share
from cifar_jax.errors import InputError

# Keys, and sections with a dot, that may have another value when a run is resumed. Some of them
# change results by rounding alone: the number of devices, the steps per dispatch (which a profile
# can divide further), and whether a GPU is deterministic. `data.data_dir` may change because the
# data themselves are compared when they are read (`data.dataset.check_same_data`), and
# `train.nonfinite` because a run that `stop` has ended has no other way to go on. `model.module` is
# where the code is, not what it does.
_MAY_CHANGE = (
  'data.data_dir',
  'model.module',
  'checkpoint.',
  'sharding.',
  'train.log_every_steps',
  'train.nonfinite',
  'train.steps_per_dispatch',
  'train.profile',
  'train.deterministic',
  'train.trackers',
)
# Sections that configurations of earlier versions lack; each key has its default then.
_ADDED_SECTIONS = ('init',)


def load(path_and_arguments: str) -> ConfigDict:
  """Returns the configuration that the `get_config` of a file makes.

  Numbers of numpy become those of Python, lists become tuples, and integers become floats where the
  key is a float.

  Args:
    path_and_arguments: `FILE.py` or `FILE.py:ARGUMENTS`; a recipe of the package also by its name
      or its path in a clone (`locations.find`). The file is Python and is executed. Its
      `get_config` takes the arguments as a text, or nothing.

  Raises:
    InputError: the file does not exist or does not run, its arguments are wrong, or it makes
      something other than a configuration.
  """
  path, text = split(path_and_arguments)
  with python_file.run(locations.find(path)) as names:
    get_config = names.get('get_config')
    config = _call(get_config, text) if get_config else None
  if not isinstance(config, ConfigDict):
    raise InputError(f'{path} must define get_config(text), which returns a ConfigDict')
  config = ConfigDict(_to_plain(config.to_dict()))
  check(config, path)
  make_module_absolute(config, locations.find(path).parent)
  _make_floats(config, base(''))
  return config.lock()


def split(path_and_arguments: str) -> tuple[str, str]:
  """Divides `FILE:ARGUMENTS` at the first colon that follows the name of a file.

  Colons in the names of folders do not count. If there is no such file, the path ends at `.py`.
  """
  ends = [match.start() for match in re.finditer(':|$', path_and_arguments)]
  likely = re.match(r'.*?\.py(?=:|$)|[^:]*', path_and_arguments)
  path = next(
    (path_and_arguments[:end] for end in ends if _is_file(path_and_arguments[:end])),
    likely[0] if likely else '',
  )
  return path, path_and_arguments[len(path) + 1 :]


def _is_file(path: str) -> bool:
  return pathlib.Path(os.path.expanduser(path)).is_file()


def _call(get_config: Callable[..., Any], text: str) -> Any:
  """Calls `get_config` with the arguments of the file, if it takes any."""
  if inspect.signature(get_config).parameters:
    return get_config(text)
  if text:
    raise InputError(f'its get_config takes no arguments; leave out :{text}')
  return get_config()


def _make_floats(config: ConfigDict, example: ConfigDict) -> None:
  """Turns each integer into a float whose key has a float in the example.

  One that is too large for a float stays, and the limits of its section refuse it.
  """
  for key, value in config.items():
    expected = example.get(key)
    if isinstance(value, ConfigDict) and isinstance(expected, ConfigDict):
      _make_floats(value, expected)
    elif isinstance(expected, float) and type(value) is int:
      with config.ignore_type(), contextlib.suppress(OverflowError):
        config[key] = float(value)


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
  sections = config.to_dict()
  data = sections[DataSettings.NAME]
  data |= {key: count_or_share(key, value) for key, value in data.items()}
  return json.dumps(sections, indent=2) + '\n'


def from_json(text: str) -> ConfigDict:
  """Returns the locked configuration that `to_json` made a text from.

  Lists become tuples again, and integers floats where the key is a float.

  Sections that an earlier version lacks are empty.

  Raises:
    ValueError: the text is no JSON object.
  """
  value = json_text.parse(text)
  if not isinstance(value, dict):
    raise ValueError('not a JSON object')
  config = ConfigDict(_to_plain({name: {} for name in _ADDED_SECTIONS} | value))
  _make_floats(config, base(''))
  return config.lock()


def _to_plain(value: Any) -> Any:
  """The same value of types of Python, without lists: tuples take their place."""
  if hasattr(value, 'tolist'):  # a number or an array of numpy
    value = value.tolist()
  if isinstance(value, dict):
    return {key: _to_plain(item) for key, item in value.items()}
  return tuple(map(_to_plain, value)) if isinstance(value, list | tuple) else value


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
  before, after = _with_defaults(old), _with_defaults(new)
  shown = lambda values, key: repr(count_or_share(key, values.get(key, 'absent')))  # noqa: E731
  return [
    f'{key} was {shown(before, key)} and is now {shown(after, key)}'
    for key in changed_keys(old, new)
  ]


def changed_keys(old: ConfigDict, new: ConfigDict) -> list[str]:
  """The keys that `differences` describes, sorted."""
  before, after = _with_defaults(old), _with_defaults(new)
  return [
    key
    for key in sorted(before.keys() | after.keys())
    if not may_change(key) and before.get(key) != after.get(key)
  ]


def may_change(key: str) -> bool:
  """Whether a key, such as `data.data_dir`, may have another value when a run is resumed."""
  return key in _MAY_CHANGE or f'{key.partition(".")[0]}.' in _MAY_CHANGE


def _with_defaults(config: ConfigDict) -> dict[str, Any]:
  return flatten(base('', config.data.name)) | flatten(config)
