"""The weights that a run begins with (section `init`): those of another run, or of a file."""

import hashlib
import math
import pathlib
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import numpy as np

from cifar_jax import models, paths
from cifar_jax.config.initialization import InitSettings
from cifar_jax.config.training import CheckpointSettings
from cifar_jax.convert import engine, files, net_fields, report, stages
from cifar_jax.errors import InputError
from cifar_jax.input_files import refuse_pipe
from cifar_jax.optim import parameter_groups
from cifar_jax.runs import contents
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.results import read_config_dict, warn_if_older
from cifar_jax.runs.workdir import CHECKPOINTS
from cifar_jax.runtime.console import logger

KEY = 'init'  # of the `run_info` in a checkpoint
# The fields of a state that hold a model's variables, as their averages are called and as they are.
_FIELDS = (('params', 'params'), ('stats', 'batch_stats'))
_MAX_HEAD_BYTES = 1 << 30  # of a last layer that is not kept, and so has any number of classes


def read(settings: InitSettings, model: nn.Module, image_size: int) -> dict[str, Any]:
  """Reads the weights for a model.

  Args:
    settings: the section `init`, with a source.
    model: the module that they are for.
    image_size: height and width of the images, in pixels.

  Returns:
    `params` and `batch_stats`, float32 NumPy arrays, without the last layers where `init.head` is
    `new`.

  Raises:
    InputError: the source cannot be read or does not fit the model, or a frozen module is unknown.
  """
  source, new_head = _place(settings), settings.head == 'new'
  shapes = models.abstract_variables(model, image_size)
  _check_frozen(settings, shapes['params'])
  if new_head and not any(map(engine.is_head, flax.traverse_util.flatten_dict(shapes))):
    raise InputError('init.head is new, but the model has no layer called head')
  try:
    if source.is_dir():
      variables = _read_run(settings, source, shapes)
    else:
      variables = engine.to_variables(source, model, settings.rules, without_head=new_head)
    fitted = _fit(variables, shapes, new_head)
  except InputError as error:
    misshapen = 'of another shape' in str(error)
    hint = '; with another number of classes, set init.head=new' if misshapen else ''
    raise InputError(f'init.source {settings.source}: {error}{hint * (not new_head)}') from error
  _warn_of_another_net(settings, source, model)
  if source.is_dir() and (num_seeds := read_config_dict(source)['train'].get('seeds', 1)) > 1:
    logger.warning('init.source %s has %d seeds: the first is taken', settings.source, num_seeds)
  return fitted


def _warn_of_another_net(settings: InitSettings, source: pathlib.Path, model: nn.Module) -> None:
  """Logs a warning if the source says that its weights are of a net with other fields.

  Args:
    settings: the section `init`.
    source: a run, or a file.
    model: the module that the weights are for, into which they fit.
  """
  try:
    if source.is_dir():
      fields = dict(read_config_dict(source)['model'])
      if fields.pop('module', ''):  # nothing of a stranger's is executed
        return
      theirs = models.create(fields.pop('name'), **fields)
    else:
      about = files.metadata(source) if settings.rules == 'own' else {}
      theirs = net_fields.make_model(about.get('model', ''), about.get('fields', ''))
  except (InputError, LookupError, TypeError):  # it does not say, or is a net of the user's own
    return
  if type(theirs) is type(model) and (other := net_fields.differences(model, theirs)):
    logger.warning(
      'init.source %s is of a net with other fields than this one: %s',
      *(settings.source, net_fields.as_text(other)),
    )


def digest(settings: InitSettings, model: nn.Module, image_size: int) -> str:
  """The SHA-256 of the weights: of the file, or of all arrays at the checkpoint of the run.

  Raises:
    InputError: the source cannot be read, or is a run that does not fit the model.
  """
  source, sha256 = _place(settings), hashlib.sha256()
  if not source.is_dir():
    refuse_pipe(source)
    try:
      sha256.update(source.read_bytes())
    except OSError as error:
      raise InputError(f'init.source {source} cannot be read: {error.strerror}') from error
    return sha256.hexdigest()
  shapes = models.abstract_variables(model, image_size)
  flat = flax.traverse_util.flatten_dict(_read_run(settings, source, shapes), sep='/')
  for name in sorted(flat):
    sha256.update(f'{name} {flat[name].dtype} {flat[name].shape}'.encode())
    sha256.update(np.ascontiguousarray(flat[name]).data)
  return sha256.hexdigest()


def describe(settings: InitSettings, model: nn.Module, image_size: int) -> dict[str, Any]:
  """What a checkpoint says of the weights that its run began with; `{}` for random ones."""
  if not settings.source:
    return {}
  return {KEY: {'source': settings.source, 'sha256': digest(settings, model, image_size)}}


def digest_in(run_info: dict[str, Any]) -> str:
  """The digest in what `describe` returned, perhaps as a part of a `run_info`; '' without any."""
  return run_info[KEY]['sha256'] if KEY in run_info else ''


def check_unchanged(
  settings: InitSettings, model: nn.Module, image_size: int, run_info: dict[str, Any]
) -> None:
  """Raises InputError if the weights are not those that the run of a checkpoint began with.

  A source that is gone is a warning: a resumed run does not read it.
  """
  if not settings.source or KEY not in run_info:
    return
  if not _place(settings).exists():
    logger.warning('init.source %s is gone, and cannot be compared', settings.source)
  elif digest(settings, model, image_size) != digest_in(run_info):
    raise InputError(
      f'init.source {settings.source} holds other weights than the run began with: bring those '
      'back, or move the source away, because a run that has a checkpoint does not need it'
    )


def _place(settings: InitSettings) -> pathlib.Path:
  try:
    return paths.local(settings.source)
  except InputError as error:
    raise InputError(f'init.source: {error}') from error


def _read_run(settings: InitSettings, run: pathlib.Path, shapes: Any) -> dict[str, Any]:
  """The parameters and statistics of a run at a checkpoint; of several seeds, those of the first.

  The averages of a run that averages its weights take their place, as in its evaluation. Nothing is
  read if they do not have the `shapes` of the model: a small file can stand for a huge array.
  """
  config = read_config_dict(run)
  num_seeds = config['train'].get('seeds', 1)
  if not contents.is_count(num_seeds):
    raise InputError(f'{run}: train.seeds of its configuration is wrong: restore it from a copy')
  if not (run / CHECKPOINTS).is_dir():
    raise InputError('it has no checkpoint yet')

  def choose(fields: dict[str, Any]) -> dict[str, Any]:
    is_averaged = bool((config.get('optimizer') or {}).get('ema_decay'))
    names = [f'average_{kind}' if is_averaged else other for kind, other in _FIELDS]
    chosen = {name: fields[name] for name in names if name in fields}
    _check_fit(jax.tree.map(first_seed, _as_variables(chosen)), shapes, settings.head == 'new')
    return chosen

  def first_seed(leaf: Any) -> Any:
    if num_seeds == 1:
      return leaf
    if leaf.shape[:1] != (num_seeds,):
      raise InputError(f'an array of {list(leaf.shape)} is not of {num_seeds} seeds')
    return stages.take_row(leaf, 0)

  with Checkpoints(run / CHECKPOINTS, CheckpointSettings(), read_only=True) as checkpoints:
    step = checkpoints.best if settings.checkpoint == 'best' else checkpoints.latest
    if step is None:
      raise InputError(f'it has no checkpoint that is its {settings.checkpoint}')
    arrays = checkpoints.read_arrays(step, choose)
  if settings.checkpoint == 'last':
    warn_if_older(run, step)
  return _checked_values(jax.tree.map(first_seed, _as_variables(arrays)))


def _as_variables(fields: dict[str, Any]) -> dict[str, Any]:
  """The variables of a model from the fields of a state that `_read_run` chooses."""
  variables: dict[str, Any] = {'params': {}, 'batch_stats': {}}
  for name, tree in fields.items():
    variables['params' if name.endswith('params') else 'batch_stats'] = tree
  return variables


def _checked_values(variables: dict[str, Any]) -> dict[str, Any]:
  """The variables, float32; raises InputError for values that no trained net has."""
  flat = _flatten(variables)
  values = {path: engine.checked('/'.join(path), leaf, path) for path, leaf in flat.items()}
  return {'batch_stats': {}} | flax.traverse_util.unflatten_dict(values)


def _check_fit(variables: dict[str, Any], shapes: Any, new_head: bool) -> None:
  """Raises InputError if one of the variables is missing, or has not the shape in `shapes`."""
  given, expected = stages.unstack(variables), stages.unstack(shapes)
  if new_head:
    heads = [leaf for path, leaf in _flatten(given).items() if engine.is_head(path)]
    if sum(4 * math.prod(leaf.shape) for leaf in heads) > _MAX_HEAD_BYTES:
      raise InputError('its last layer has more than a GiB')
    given, expected = map(engine.remove_heads, (given, expected))
  named = [
    {'/'.join(path): tuple(leaf.shape) for path, leaf in _flatten(tree).items()}
    for tree in (given, expected)
  ]
  comparison = report.match(*named)
  if not comparison.complete:
    raise InputError(f'it is not of this model: {comparison}')


def _fit(variables: dict[str, Any], shapes: Any, new_head: bool) -> dict[str, Any]:
  """The variables in the form of `shapes`; raises InputError if one is missing or does not fit."""
  _check_fit(variables, shapes, new_head)
  given = stages.unstack(variables)
  if new_head:
    given, shapes = map(engine.remove_heads, (given, shapes))
  return stages.stack(given, shapes)


def _flatten(tree: Any) -> dict[tuple[str, ...], Any]:
  return flax.traverse_util.flatten_dict(tree)


def _check_frozen(settings: InitSettings, params: Any) -> None:
  """Raises InputError for a name in `init.frozen` that no module has or begins with."""
  for name in settings.frozen_names:
    if not any(parameter_groups.is_part(module, name) for module in params):
      raise InputError(
        f'init.frozen has {name!r}, but the model has no such module; it has {", ".join(params)}'
      )
