"""A run from its first session to its last: begun, gone on with, ended, reported."""

import contextlib
import json
import pathlib
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from cifar_jax import backend, experiment, memory, models, processes, provenance, verdict
from cifar_jax import profile as profiles
from cifar_jax import state as states
from cifar_jax import workdir as workdirs
from cifar_jax.checkpoint import Checkpoints
from cifar_jax.errors import InputError, LostError, ShortageError, is_out_of_memory
from cifar_jax.loop import Loop
from cifar_jax.models import table
from cifar_jax.predictions import Predictions, Truth
from cifar_jax.profile import Profile
from cifar_jax.progress import Progress, log_to, logger
from cifar_jax.records import Records
from cifar_jax.report import page, plots, runs, summary
from cifar_jax.signals import StopRequest

RESULT = 'result.json'


def run(config: ConfigDict, workdir: pathlib.Path) -> int:
  """Trains, evaluates and reports; goes on where an earlier run in the same workdir stopped.

  Args:
    config: what to run.
    workdir: where its files are kept; new, or holding the same run.

  Returns:
    An exit status: 0 at the end of the run, 143 or 130 after SIGTERM or Ctrl-C, with a checkpoint.

  Raises:
    InputError: the config, the data or the workdir cannot be used; nothing was changed.
    DivergedError: the loss or gradient was not finite; the last good checkpoint is kept.
    ShortageError: there is no memory for the batch; what was saved is intact.
    LostError: another process of this run was lost.
  """
  with processes.first_before_others():
    workdirs.check(workdir, config)
  if (workdir / RESULT).exists():
    summary.lines(workdir)  # raises where it cannot be read
    logger.info('this run is finished; its result:')
    return _report(workdir)
  origin = provenance.describe(config.sharding.num_devices)
  with processes.first_before_others():  # so that one downloads and prepares the data for all
    parts = experiment.build(config)
  if not len(parts.dataset.train):
    raise InputError(f'the data set {config.data.name} has no training images')
  try:
    with workdirs.claimed(workdir, config), _log(workdir), StopRequest() as stop:
      logger.info(backend.told())
      result = _session(parts, workdir, stop, config.model.name, origin['commit'])
      if result is None:
        return stop.exit_status
      result |= {'model': config.model.name, 'data': config.data.name, 'seed': config.seed}
      result['published'] = table.published_error(config.model.name, config.data.name)
      result |= origin | {'commit': result['commit']}
      if processes.is_first():
        workdirs.write(workdir / RESULT, json.dumps(result, indent=2) + '\n')
      return _report(workdir)
  except Exception as error:
    if is_out_of_memory(error):
      raise ShortageError(memory.advice(parts)) from error
    if processes.are_several() and isinstance(error, jax.errors.JaxRuntimeError):
      told = ' '.join(str(error).split())[:200]
      raise LostError(f'{processes.LOST} ({told})') from error
    raise


def _session(
  parts: experiment.Experiment,
  workdir: pathlib.Path,
  stop: StopRequest,
  model: str,
  commit: str | None,
) -> dict[str, Any] | None:
  """Trains to the end, and gives the result; None after a signal, when all is saved."""
  with Checkpoints(workdir / workdirs.CHECKPOINTS, parts.checkpoints) as checkpoints:
    state, told = _first_or_latest_state(parts, checkpoints)
    told['commits'] = list(dict.fromkeys([*told['commits'], commit]))
    step = state.num_steps
    with (
      Records(workdir, after_step=step, silent=not processes.is_first()) as records,
      Progress(step, parts.num_steps, parts.plan.batch_size * parts.plan.seeds) as progress,
      Profile(parts.plan.profile, workdir / profiles.FOLDER) as profile,
    ):
      loop = Loop(parts, checkpoints, records, progress, profile, stop, told)
      state = loop.train(state)
      if stop.agreed and state.num_steps < parts.num_steps:
        logger.info('%s: saved at step %d', stop.agreed.name, state.num_steps)
        logger.info('the same command goes on from there')
        return None
      result, logits = loop.result(state)
    if processes.is_first():
      _judge(workdir, parts, model, logits)
    return result | {'commit': ', '.join(filter(None, told['commits'])) or None}


def _judge(
  workdir: pathlib.Path, parts: experiment.Experiment, model: str, logits: np.ndarray
) -> None:
  """Leaves what `python -m cifar_jax.evaluate` would find of the last checkpoint, for the page."""
  test, names = parts.dataset.test, parts.dataset.class_names
  stem, title = 'test_last', f'{model}, test split'
  if len(parts.seeds) > 1:
    stem, title, logits = (
      f'{stem}_seed{parts.seeds[0]}',
      f'{title}, seed {parts.seeds[0]}',
      logits[0],
    )
  verdict.leave(
    workdir / verdict.FOLDER,
    stem,
    title,
    Predictions.of_logits(f'{workdir.resolve().name}_{stem}', logits),
    Truth(test.labels, names, test.images),
    {'split': 'test', 'checkpoint': 'last', 'tta': 'none'},
  )


def _log(workdir: pathlib.Path) -> contextlib.AbstractContextManager[None]:
  return log_to(workdir) if processes.is_first() else contextlib.nullcontext()


def _report(workdir: pathlib.Path) -> int:
  """Draws the learning curves, writes the page and says the result."""
  if not processes.is_first():
    return 0
  result = runs.read_result(workdir)
  title = f'{result["model"]} on {result["data"]}'
  if 'seeds' in result:
    title += f', mean of {len(result["seeds"])} seeds'
  plots.learning_curves(workdir, title)
  page.write([workdir], workdir / page.NAME)
  for line in summary.lines(workdir):
    logger.info(line)
  return 0


def _first_or_latest_state(
  parts: experiment.Experiment, checkpoints: Checkpoints
) -> tuple[states.State, dict[str, Any]]:
  """The state to begin with, and what is told from session to session of a run."""
  if checkpoints.latest is not None:
    state, told = checkpoints.restore(checkpoints.latest, experiment.abstract_state(parts))
    experiment.check_same_data(parts.dataset, told)
    logger.info('resuming at step %d of %d', state.num_steps, parts.num_steps)
    return state, told
  state = experiment.initial_state(parts)
  dataset, size = parts.dataset, models.count(state.params) // len(parts.seeds)
  logger.info(
    '%s: %d training, %d validation and %d test images; %s parameters; %d steps of %d on %d x %s',
    *(dataset.name, len(dataset.train), len(dataset.validation), len(dataset.test), f'{size:,}'),
    *(parts.num_steps, parts.plan.batch_size, parts.mesh.size, jax.devices()[0].device_kind),
  )
  if len(parts.seeds) > 1:
    logger.info(
      'seeds %d to %d at once: what follows is their mean, images/s are those of all together',
      *(parts.seeds[0], parts.seeds[-1]),
    )
  return state, {'seconds': 0.0, 'commits': [], 'data': experiment.fingerprint(dataset)}
