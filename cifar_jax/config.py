"""Configurations: the base that every file in `configs/` starts from, arguments and overrides.

Each section holds the keyword arguments of exactly one function, named beside it, so that a key
that nothing reads cannot exist. A test holds the defaults here against those of the functions.
"""

import ast
import difflib
import json
import pathlib
import runpy
from collections.abc import Iterable
from typing import Any

from ml_collections import ConfigDict

from cifar_jax.errors import InputError

# What a run may be resumed with a different value of: results depend on none of it (on the number
# of devices, on how many steps a dispatch takes, which a profile may part, and on which kernels a
# GPU uses, only to rounding; that the data are the same is checked when they are read; without
# `train.nonfinite` there would be no result).
MAY_CHANGE = (
  *('data.data_dir', 'checkpoint.', 'sharding.'),
  *('train.log', 'train.nonfinite', 'train.steps_per_dispatch', 'train.profile'),
  'train.deterministic',
)


def base(model: str, dataset: str = 'cifar10') -> ConfigDict:
  """The configuration that the papers' recipes differ from; `model` is a model's name."""
  config = ConfigDict()
  config.seed = 0
  config.data = ConfigDict(
    {  # data.load
      'name': dataset,
      'data_dir': '',
      'source': 'archive',
      'validation_size': 2000 if dataset == 'shapes' else 5000,
      'images_per_class': 0,
      'image_size': 0,
      'seed': 0,
    }
  )
  config.augment = ConfigDict(
    {  # augment.Settings
      'autoaugment': False,
      'randaugment': 0,
      'randaugment_magnitude': 9.0,
      'brightness': 0.0,
      'contrast': 0.0,
      'saturation': 0.0,
      'hue': 0.0,
      'pca_noise': 0.0,
      'blur': 0.0,
      'sharpen': 0.0,
      'gaussian_noise': 0.0,
      'salt_and_pepper': 0.0,
      'resize': 0,
      'pad': 4,
      'padding': 'zero',
      'flip': True,
      'alternating_flip': False,
      'quarter_turns': False,
      'rotate': 0.0,
      'cutout': 0,
      'erase': 0.0,
      'mixup': 0.0,
      'cutmix': 0.0,
      'mix_probability': 1.0,
      'tta': 'none',
    }
  )
  config.model = ConfigDict({'name': model, 'dtype': 'float32'})  # models.create
  config.loss = ConfigDict({'label_smoothing': 0.0})  # losses.make
  config.schedule = ConfigDict(
    {  # optimizer.make_schedule
      'name': 'cosine',
      'learning_rate': 0.1,
      'boundaries': (0.5, 0.75),
      'factor': 0.1,
      'first_cycle_epochs': 10.0,
      'cycle_multiplier': 2.0,
      'patience': 10,
      'warmup_epochs': 0.0,
      'warmup_learning_rate': 0.0,
      'start_factor': 0.2,
      'peak': 0.23,
      'end_factor': 0.07,
    }
  )
  config.optimizer = ConfigDict(
    {  # optimizer.make
      'momentum': 0.9,
      'nesterov': True,
      'weight_decay': 1e-4,
      'decayed': 'all',
      'clip_norm': 0.0,
      'norm_bias_factor': 1.0,
      'whitening_until': 1.0,
      'lookahead_steps': 0,
      'lookahead_decay': 0.95,
    }
  )
  config.train = ConfigDict(
    {  # plan.Plan
      'num_epochs': 200.0,
      'batch_size': 128,
      'log_every_steps': 50,
      'nonfinite': 'stop',
      'steps_per_dispatch': 0,
      'seeds': 1,
      'profile': 0,
      'deterministic': False,
    }
  )
  config.checkpoint = ConfigDict(
    {  # checkpoint.Policy
      'every_epochs': 1,
      'every_steps': 0,
      'keep_last': 2,
    }
  )
  config.sharding = ConfigDict({'num_devices': 0})  # sharding.make_mesh
  config.lock()
  config.model.unlock()  # for a family's own fields
  return config


def arguments(text: str, **defaults: Any) -> ConfigDict:
  """Reads the typed and closed arguments of a config file: `depth=110,alpha=84`.

  Args:
    text: what follows the colon of `--config FILE:TEXT`; may be empty.
    **defaults: every argument there is, with a value of its type.

  Raises:
    InputError: an unknown argument, or a value of the wrong type.
  """
  result = ConfigDict(defaults)
  for part in filter(None, (part.strip() for part in text.split(','))):
    name, equals, value = part.partition('=')
    if name not in defaults or not equals:
      raise InputError(
        f'no config argument {part!r}{_nearest(name, defaults)}; '
        f'give NAME=VALUE with one of {", ".join(defaults)}'
      )
    result[name] = _parse(value, defaults[name], f'config argument {name}')
  return result


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
  """`value`; raises InputError where the config argument `name` may not have it."""
  if value not in allowed:
    raise InputError(f'config argument {name} is {value!r}; it is one of {", ".join(allowed)}')
  return value


def load(path_and_arguments: str) -> ConfigDict:
  """The configuration that a file's `get_config` makes.

  Args:
    path_and_arguments: `configs/NAME.py` or `configs/NAME.py:ARGUMENTS`. The file is Python and is
      executed.

  Raises:
    InputError: there is no such file, it does not run, or its arguments are wrong.
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
  except (Exception, SystemExit) as error:  # a config is code, and its author's to mend
    told = ' '.join(str(error).split())
    raise InputError(f'{path}: {type(error).__name__}: {told}') from error
  if not isinstance(config, ConfigDict):
    raise InputError(f'{path} must define get_config(text), which returns a ConfigDict')
  check(config, path)
  return config.unlock().lock()  # `lock` alone passes over sections when the whole is locked


def check(config: ConfigDict, where: object) -> None:
  """Raises InputError, beginning with `where`, for other sections, keys or types than `base` has.

  A key may be missing, which an earlier version did not have: it has its function's default.
  """
  expected = base('')
  known = flatten(expected)
  if missing := [name for name in expected if name not in config]:
    raise InputError(f'{where} lacks {missing[0]}; begin with config.base')
  for path, value in flatten(config).items():
    if path not in known and not path.startswith('model.'):
      raise InputError(
        f'{where} has {path}, which this version does not know{_nearest(path, known)}; take it out'
      )
    kind = type(known.get(path, value))
    if type(value) is not kind and not (kind is float and type(value) is int):
      raise InputError(f'{where}: {path} is {value!r}; it must be {kind.__name__}')


def override(config: ConfigDict, assignments: Iterable[str]) -> None:
  """Applies `--config.SECTION.KEY=VALUE` arguments in place.

  Raises:
    InputError: an argument of another form, an unknown section or key, or a wrong type.
  """
  for assignment in assignments:
    path, equals, text = assignment.partition('=')
    if not path.startswith('--config.') or not equals:
      raise InputError(f'unknown argument {assignment}; overrides are --config.SECTION.KEY=VALUE')
    *sections, key = path.removeprefix('--config.').split('.')
    node = config
    for name in [*sections, key]:
      if not isinstance(node, ConfigDict) or name not in node:
        have = ', '.join(node) if isinstance(node, ConfigDict) else 'nothing below it'
        keys = node if isinstance(node, ConfigDict) else ()
        raise InputError(f'{path}: there is no {name!r}{_nearest(name, keys)}; there is {have}')
      parent, node = node, node[name]
    if isinstance(node, ConfigDict):
      raise InputError(f'{path} is a section; set one of its keys: {", ".join(node)}')
    parent[key] = _parse(text, node, path)


def _nearest(name: str, known: Iterable[str]) -> str:
  near = difflib.get_close_matches(name, list(known), n=1)
  return f' (did you mean {near[0]}?)' if near else ''


def _parse(text: str, default: Any, what: str) -> Any:
  """`text` as a value of the type of `default`: bool, int, float, str or a tuple of numbers."""
  try:
    if isinstance(default, bool):
      return {'true': True, 'false': False, '1': True, '0': False}[text.lower()]
    if isinstance(default, tuple):
      value = ast.literal_eval(text)
      return tuple(float(item) for item in (value if isinstance(value, tuple | list) else [value]))
    return type(default)(text)
  except (KeyError, ValueError, TypeError, SyntaxError) as error:
    kind = {bool: 'true or false', tuple: "numbers, as '(0.5, 0.75)'"}.get(
      type(default), type(default).__name__
    )
    raise InputError(f'{what} is {text!r}; it must be {kind}') from error


def to_json(config: ConfigDict) -> str:
  """The configuration as a workdir keeps it."""
  return json.dumps(config.to_dict(), indent=2) + '\n'


def from_json(text: str) -> ConfigDict:
  """The inverse of `to_json`, where lists are tuples again; raises ValueError for other text."""

  def to_tuples(value: Any) -> Any:
    if isinstance(value, dict):
      return {key: to_tuples(item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) else value

  value = json.loads(text)
  if not isinstance(value, dict):
    raise ValueError('not a JSON object')
  return ConfigDict(to_tuples(value)).lock()


def flatten(config: ConfigDict) -> dict[str, Any]:
  """Keys as dotted paths: `optimizer.weight_decay`."""
  flat: dict[str, Any] = {}
  for key, value in config.items():
    if isinstance(value, ConfigDict):
      flat |= {f'{key}.{inner}': item for inner, item in flatten(value).items()}
    else:
      flat[key] = value
  return flat


def differences(old: ConfigDict, new: ConfigDict) -> list[str]:
  """What differs between two configurations and would change a result, a phrase a key.

  A key that one of them lacks, as it is of an earlier version, has there what `base` says.
  """
  before, after = (flatten(base('', c.data.name)) | flatten(c) for c in (old, new))
  return [
    f'{key} was {before.get(key, "absent")!r} and is now {after.get(key, "absent")!r}'
    for key in sorted(before.keys() | after.keys())
    if not key.startswith(MAY_CHANGE) and before.get(key) != after.get(key)
  ]
