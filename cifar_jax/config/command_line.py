"""Values given on the command line: arguments of a config file, and overrides of single keys."""

import ast
import dataclasses
import difflib
import pathlib
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import paths
from cifar_jax.config.dataset import DataSettings, default_validation_size
from cifar_jax.errors import InputError

# Names that people type for a key, and its own name.
_OTHER_NAMES = {'lr': 'learning_rate', 'epochs': 'num_epochs', 'wd': 'weight_decay'}


class ArgumentsAskedError(InputError):
  """The text `help` in place of a recipe's arguments; the message lists them.

  Attributes:
    defaults: the default of every argument.
  """

  def __init__(self, defaults: dict[str, Any]) -> None:
    """Composes the message."""
    self.defaults = defaults
    listed = ', '.join(f'{name}={value}' for name, value in defaults.items())
    super().__init__(f'the arguments and their defaults are {listed}')


def arguments(text: str, **defaults: Any) -> ConfigDict:
  """Parses the arguments of a config file, such as `depth=110,alpha=84`.

  Args:
    text: the text after the colon of `--config FILE:TEXT`; may be empty. `help` lists the
      arguments.
    **defaults: the default of every argument. An argument has the type of its default.

  Returns:
    The value of every argument in `defaults`.

  Raises:
    InputError: an unknown argument, or a value of the wrong type.
  """
  if text == 'help':
    raise ArgumentsAskedError(defaults)
  result = ConfigDict(defaults)
  for argument in filter(None, (argument.strip() for argument in text.split(','))):
    name, equals, value = argument.partition('=')
    if name not in defaults or not equals:
      raise InputError(
        f'no config argument {argument!r}{nearest(name, defaults)}; '
        f'give NAME=VALUE with one of {", ".join(defaults)}'
      )
    result[name] = _parse(value, defaults[name], f'config argument {name}')
  return result


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
  """Returns `value`; raises InputError if the config argument `name` may not have this value."""
  if value not in allowed:
    raise InputError(f'config argument {name} is {value!r}; it must be one of {", ".join(allowed)}')
  return value


def override(config: ConfigDict, assignments: Iterable[str]) -> None:
  """Applies `--config.SECTION.KEY=VALUE` arguments to a configuration in place.

  Any field of the model can be set, whether or not the recipe sets it. Another data set brings its
  own default of `data.validation_size`.

  Raises:
    InputError: an argument of another form, an unknown section or key, or a value of the wrong
      type.
  """
  assignments = list(assignments)
  data_name = config.data.name if 'data' in config else None
  for assignment in assignments:
    path, equals, text = assignment.partition('=')
    if not path.startswith('--config.') or not equals:
      raise InputError(f'unknown argument {assignment}; overrides are --config.SECTION.KEY=VALUE')
    names = path.removeprefix('--config.').split('.')
    value: Any = config
    if names[0] == 'model' and len(names) == 2 and names[1] not in config.model:
      # A field that the recipe leaves at its default; `models.create` knows which there are.
      with config.unlocked():
        config.model[names[1]] = _literal(text)
      continue
    for name in names:
      known = list(value) if isinstance(value, ConfigDict) else []
      if name not in known:
        available = ', '.join(known) or 'nothing below it'
        hint = _in_another_section(name, config) or nearest(name, known)
        raise InputError(f'{path}: there is no {name!r}{hint}; there is {available}')
      section, value = value, value[name]
    if isinstance(value, ConfigDict):
      raise InputError(f'{path} is a section; set one of its keys: {", ".join(value)}')
    section[names[-1]] = _parse(text, value, path)
  if 'model' in config:
    make_module_absolute(config, pathlib.Path())
  if data_name is not None and config.data.name != data_name:
    _use_default_validation_size(config.data, data_name, assignments)


def make_module_absolute(config: ConfigDict, folder: pathlib.Path) -> None:
  """Makes `model.module`, if it is a file relative to `folder`, a path that holds anywhere."""
  module = config.model.get('module', '')
  if module.endswith('.py'):
    config.model.module = str((folder / paths.local(module)).absolute())


def _use_default_validation_size(
  section: ConfigDict, earlier_name: str, assignments: list[str]
) -> None:
  """Replaces the default of the earlier data set by that of the new one."""
  given = any(word.startswith('--config.data.validation_size=') for word in assignments)
  if not given and section.validation_size == default_validation_size(earlier_name):
    section.validation_size = default_validation_size(section.name)


def override_data(settings: DataSettings, assignments: Iterable[str]) -> DataSettings:
  """Applies `--config.data.KEY=VALUE` arguments where there is no run, and so no other section.

  Raises:
    InputError: an argument is not of the section `data`, or has an unknown key or a wrong value.
  """
  assignments = list(assignments)
  if other := [word for word in assignments if not word.startswith('--config.data.')]:
    raise InputError(
      f'unknown argument {other[0]}; without a run, overrides are --config.data.KEY=VALUE'
    )
  config = ConfigDict({DataSettings.NAME: dataclasses.asdict(settings)})
  override(config, assignments)
  return DataSettings(**config[DataSettings.NAME])


def _in_another_section(name: str, config: ConfigDict) -> str:
  """Returns ' (did you mean SECTION.NAME?)' where a key of another section has this name."""
  name = _OTHER_NAMES.get(name, name)
  sections = [key for key, value in config.items() if isinstance(value, ConfigDict)]
  found = [f'{section}.{name}' for section in sections if name in config[section]]
  return f' (did you mean {found[0]}?)' if found else ''


def _literal(text: str) -> Any:
  """A number, a tuple, true or false; any other text as it is."""
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return {'true': True, 'false': False}.get(text.lower(), text)


def nearest(name: str, known: Iterable[str]) -> str:
  """Returns ' (did you mean X?)' with the known name most like `name`; '' if none is like it."""
  matches = difflib.get_close_matches(name, list(known), n=1)
  return f' (did you mean {matches[0]}?)' if matches else ''


def _parse(text: str, default: Any, subject: str) -> Any:
  """Converts a text to the type of a default: bool, int, float, str or a tuple of numbers.

  Args:
    text: the text.
    default: a value of the wanted type.
    subject: the name of the value, the beginning of the message.

  Raises:
    InputError: the text is no value of that type.
  """
  try:
    if isinstance(default, bool):
      return {'true': True, 'false': False, '1': True, '0': False}[text.lower()]
    if isinstance(default, tuple):
      value = ast.literal_eval(text)
      return tuple(float(item) for item in (value if isinstance(value, tuple | list) else [value]))
    return type(default)(text)
  except (KeyError, ValueError, TypeError, SyntaxError) as error:
    kind = {bool: 'true or false', tuple: "numbers, such as '(0.5, 0.75)'"}.get(
      type(default), type(default).__name__
    )
    raise InputError(f'{subject} is {text!r}; it must be {kind}') from error
