"""The end of a command's `--help`: the keys of a configuration, and the arguments of a recipe."""

import dataclasses
import inspect
import textwrap
from collections.abc import Mapping, Sequence

from cifar_jax.config import loading, locations
from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.config.base import base
from cifar_jax.config.command_line import ArgumentsAskedError
from cifar_jax.config.dataset import DataSettings, count_or_share
from cifar_jax.config.initialization import InitSettings
from cifar_jax.config.optimization import LossSettings, OptimizerSettings, ScheduleSettings
from cifar_jax.config.section import Section
from cifar_jax.config.training import CheckpointSettings, ShardingSettings, TrainSettings
from cifar_jax.errors import InputError

_SECTIONS: tuple[type[Section], ...] = (
  *(DataSettings, AugmentSettings, InitSettings, LossSettings, ScheduleSettings),
  *(OptimizerSettings, TrainSettings, CheckpointSettings, ShardingSettings),
)
_OTHERS = {
  'seed': 'seed of the run: its initial weights, order of images, augmentation and noise.',
  'model.name': 'a name that `cifar-jax models` lists, or another of the same grammar.',
  'model.dtype': '`float32` or `bfloat16`, of the activations; parameters are float32 in both.',
  'model.module': 'for a family of your own: the module that registers it, a file that ends in '
  '.py or the dotted name of a module. Where a configuration imports the module, it is found.',
}
_INDENT, _WIDTH = 34, 100
_FORMS = """\
A key is set by --config.KEY=VALUE or --config.KEY VALUE, one that is true or false also by
--config.KEY and --noconfig.KEY."""


def of_finished_run() -> str:
  """The keys that matter to a command on a finished run: where its data and an own model are."""
  return of_keys('data.', 'model.module', 'sharding.')


def of_keys(*beginnings: str) -> str:
  """All keys with defaults and meanings, or those with one of the given beginnings."""
  values = loading.flatten(base('', 'cifar10'))
  return _table('Keys and defaults', values, beginnings or ('',))


def of_recipe(words: Sequence[str]) -> str:
  """The arguments of the recipe that a command line names, and all keys as the recipe sets them.

  Args:
    words: the command line; without `--config` the keys have their general defaults.

  Raises:
    InputError: the recipe cannot be loaded.
  """
  following = {word: after for word, after in zip(words, [*words[1:], ''], strict=True)}
  given = following.get('--config') or next(
    (word.partition('=')[2] for word in words if word.startswith('--config=')), ''
  )
  if not given:
    recipes = ', '.join(file.stem for file in locations.available())
    ending = f'Recipes: {recipes}. With --config NAME, --help shows the arguments of one.'
    return f'{of_keys()}\n\n{textwrap.fill(ending, _WIDTH)}'
  path, _ = loading.split(given)
  arguments = ', '.join(f'{name}={value}' for name, value in _arguments(path).items()) or 'none'
  values = loading.flatten(loading.load(given))
  return (
    f'Arguments of {path} and their defaults, to be given as {path}:NAME=VALUE,...:\n'
    f'{textwrap.fill(arguments, _WIDTH - 2, initial_indent="  ", subsequent_indent="  ")}\n\n'
    + _table(f'Keys, as {given} sets them', values, ('',))
  )


def _arguments(path: str) -> dict[str, object]:
  """The arguments of a recipe and their defaults; none where it takes none."""
  try:
    loading.load(f'{path}:help')
  except InputError as error:
    if isinstance(error.__cause__, ArgumentsAskedError):
      return error.__cause__.defaults
  return {}  # or it fails with any arguments, as `load` then says


def _table(title: str, values: Mapping[str, object], beginnings: Sequence[str]) -> str:
  meanings = _OTHERS | {
    f'{section.NAME}.{key}': text
    for section in _SECTIONS
    for key, text in _attributes(section).items()
  }
  lines = [f'{title}:', *textwrap.wrap(_FORMS, _WIDTH), '']
  for key, value in values.items():
    if key.startswith(tuple(beginnings)):
      lines += _row(f'  {key}={count_or_share(key, value)}', meanings.get(key, ''))
  return '\n'.join(lines)


def _row(setting: str, meaning: str) -> list[str]:
  """A key with its default and its meaning, in lines."""
  blank = ' ' * _INDENT
  wrapped = textwrap.wrap(meaning, _WIDTH, initial_indent=blank, subsequent_indent=blank) or [blank]
  if len(setting) > _INDENT - 2:
    return [setting, *wrapped]
  return [f'{setting:{_INDENT}}{wrapped[0].lstrip()}'.rstrip(), *wrapped[1:]]


def _attributes(section: type[Section]) -> dict[str, str]:
  """The meaning of each key of a section, from its docstring, with the limits of the key."""
  lines = (inspect.getdoc(section) or '').partition('Attributes:\n')[2].splitlines()
  meanings: dict[str, str] = {}
  key = ''
  for line in (line[2:] for line in lines):
    if line.startswith('  '):
      meanings[key] += f' {line.strip()}'
    elif line:
      key, _, text = line.partition(': ')
      meanings[key] = text
  for field in dataclasses.fields(section):
    if limits := field.metadata.get('limits'):
      bounds = dataclasses.replace(limits, meaning='')  # the docstring says it
      meaning = meanings.get(field.name, '')  # `python -OO` has no docstrings
      meanings[field.name] = f'{meaning} It must be {bounds}.'.lstrip()
  return meanings
