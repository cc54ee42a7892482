"""The weights that a run begins with (section `init`): those of another run, or of a file."""

import hashlib
import pathlib
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import numpy as np

from cifar_jax import models, paths
from cifar_jax.config.initialization import InitSettings
from cifar_jax.config.training import CheckpointSettings
from cifar_jax.convert import engine, report, stages
from cifar_jax.errors import InputError
from cifar_jax.input_files import refuse_pipe
from cifar_jax.optim import parameter_groups
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.results import read_config_dict
from cifar_jax.runs.workdir import CHECKPOINTS
from cifar_jax.runtime.console import logger

KEY = 'init'  # of the `run_info` in a checkpoint


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
      variables = _read_run(settings, source)
    else:
      variables = engine.to_variables(source, model, settings.rules, without_head=new_head)
    return _fit(variables, shapes, new_head)
  except InputError as error:
    misshapen = 'of another shape' in str(error)
    hint = '; with another number of classes, set init.head=new' if misshapen else ''
    raise InputError(f'init.source {settings.source}: {error}{hint * (not new_head)}') from error


def digest(settings: InitSettings) -> str:
  """The SHA-256 of the weights: of the file, or of all arrays at the checkpoint of the run.

  Raises:
    InputError: the source cannot be read.
  """
  source, sha256 = _place(settings), hashlib.sha256()
  if not source.is_dir():
    refuse_pipe(source)
    try:
      sha256.update(source.read_bytes())
    except OSError as error:
      raise InputError(f'init.source {source} cannot be read: {error.strerror}') from error
    return sha256.hexdigest()
  flat = flax.traverse_util.flatten_dict(_read_run(settings, source), sep='/')
  for name in sorted(flat):
    sha256.update(f'{name} {flat[name].dtype} {flat[name].shape}'.encode())
    sha256.update(np.ascontiguousarray(flat[name]).data)
  return sha256.hexdigest()


def describe(settings: InitSettings) -> dict[str, Any]:
  """What a checkpoint says of the weights that its run began with; `{}` for random ones."""
  if not settings.source:
    return {}
  return {KEY: {'source': settings.source, 'sha256': digest(settings)}}


def check_unchanged(settings: InitSettings, run_info: dict[str, Any]) -> None:
  """Raises InputError if the weights are not those that the run of a checkpoint began with.

  A source that is gone is a warning: a resumed run does not read it.
  """
  if not settings.source or KEY not in run_info:
    return
  if not _place(settings).exists():
    logger.warning('init.source %s is gone, and cannot be compared', settings.source)
  elif digest(settings) != run_info[KEY]['sha256']:
    raise InputError(
      f'init.source {settings.source} holds other weights than the run began with; set it to the '
      'same weights'
    )


def _place(settings: InitSettings) -> pathlib.Path:
  try:
    return paths.local(settings.source)
  except InputError as error:
    raise InputError(f'init.source: {error}') from error


def _read_run(settings: InitSettings, run: pathlib.Path) -> dict[str, Any]:
  """The parameters and statistics of a run at a checkpoint; of several seeds, those of the first.

  The averages of a run that averages its weights take their place, as in its evaluation.
  """
  config = read_config_dict(run)
  if not (run / CHECKPOINTS).is_dir():
    raise InputError('it has no checkpoint yet')
  with Checkpoints(run / CHECKPOINTS, CheckpointSettings(), read_only=True) as checkpoints:
    step = checkpoints.best if settings.checkpoint == 'best' else checkpoints.latest
    if step is None:
      raise InputError(f'it has no checkpoint that is its {settings.checkpoint}')
    arrays = checkpoints.read_arrays(step)
  params = arrays.get('average_params', arrays['params'])
  statistics = arrays.get('average_stats', arrays.get('batch_stats'))
  variables = {'params': params, 'batch_stats': statistics or {}}
  if config.get('train', {}).get('seeds', 1) > 1:
    variables = jax.tree.map(lambda leaf: leaf[0], variables)
  return variables


def _fit(variables: dict[str, Any], shapes: Any, new_head: bool) -> dict[str, Any]:
  """The variables in the form of `shapes`; raises InputError if one is missing or does not fit."""
  given, expected = stages.unstack(variables), stages.unstack(shapes)
  if new_head:
    given, expected, shapes = map(engine.remove_heads, (given, expected, shapes))
  named = [
    {'/'.join(path): tuple(leaf.shape) for path, leaf in _flatten(tree).items()}
    for tree in (given, expected)
  ]
  comparison = report.match(*named)
  if not comparison.complete:
    raise InputError(f'it is not of this model: {comparison}')
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
