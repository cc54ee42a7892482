"""The start of a session: what all processes have in common, and the state to begin with."""

import pathlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
from ml_collections import ConfigDict

from cifar_jax import models, paths
from cifar_jax.config.initialization import InitSettings
from cifar_jax.config.loading import flatten
from cifar_jax.convert import initial_weights
from cifar_jax.data import folder_layout
from cifar_jax.data.dataset import check_same_data, fingerprint
from cifar_jax.errors import InputError
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import State, abstract_state, initial_state
from cifar_jax.models import layers, own_module, own_net
from cifar_jax.runs import provenance
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import check_workdir
from cifar_jax.runtime import package_code, processes
from cifar_jax.runtime.console import logger
from cifar_jax.training import code_of_sessions
from cifar_jax.training.progress import log_new_run

CODE = 'the code'  # of this package, in what all sessions and processes have in common


def record_own_module(config: ConfigDict) -> None:
  """Sets `model.module` to where the model's family is registered, if it is a user's own."""
  models.create(**config.model)  # runs the module if it is given and was not imported
  if module := models.module_of(config.model.name):
    with config.unlocked():
      config.model.module = module
    own_module.note(module)


def check_place(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Raises InputError if a run cannot start or resume in a directory, or not beside its data."""
  if config.data.name == 'folder' and config.data.data_dir:
    folder_layout.check_outside(paths.local(config.data.data_dir), workdir)
  check_workdir(workdir, config)


def describe_program(config: ConfigDict) -> dict[str, Any]:
  """What all processes of a run must have in common, apart from the data."""
  flat = flatten(config)
  keys = {key: flat[key] for key in flat if key not in ('data.data_dir', 'model.module')}
  return {
    **keys,
    CODE: package_code.digest(),
    'the commit': provenance.commit(provenance.ROOT),
    **provenance.versions(),
    **provenance.random_settings(),
  }


def describe_experiment(experiment: Experiment) -> dict[str, Any]:
  """What all processes of a run must have in common of the data, wherever they lie, and the net."""
  data = fingerprint(experiment.dataset)
  return {
    **{f'{key} of the data': value for key, value in data.items()},
    'the own net': own_net.describe(experiment.own_net),
  }


def check_initial_weights(experiment: Experiment) -> None:
  """Raises InputError if the weights to begin with cannot be used."""
  initial_weights.read(*_arguments_of_initial_weights(experiment))


def _describe_initial_weights(experiment: Experiment) -> dict[str, Any]:
  """As `initial_weights.describe`; InputError if the weights differ between processes."""
  described = initial_weights.describe(*_arguments_of_initial_weights(experiment))
  processes.check_same(lambda: {'the initial weights': initial_weights.digest_in(described)})
  return described


def _arguments_of_initial_weights(experiment: Experiment) -> tuple[InitSettings, nn.Module, int]:
  """The section `init`, and the model and the size of the images that the weights are for."""
  return experiment.init_settings, experiment.model, experiment.image_shape[0]


def first_or_latest_state(
  experiment: Experiment, checkpoints: Checkpoints, commit: str | None
) -> tuple[State, dict[str, Any]]:
  """The state to begin this session with, and the `run_info` of the run with this session.

  Args:
    experiment: what is trained.
    checkpoints: of the run.
    commit: the commit that this session runs.
  """
  processes.check_same(lambda: {'the newest checkpoint': checkpoints.latest})
  hardware, software = provenance.hardware(experiment.mesh), _software(commit)
  if checkpoints.latest is not None:
    state, run_info = _restore(experiment, checkpoints, checkpoints.latest)
    own_net.warn_if_changed(experiment.own_net, run_info)
    run_info['data'] = fingerprint(experiment.dataset)  # that of an earlier version says less
    logger.info('resuming at step %d of %d', state.num_steps, experiment.num_steps)
    earlier = run_info.get('hardware', hardware)  # an earlier version did not record it
    if earlier != hardware:
      logger.warning(
        'the run was on %s and continues on %s, which rounds sums differently: its result differs '
        'from that of an undisturbed run by rounding',
        *(earlier, hardware),
      )
    # An earlier version did not record all of it.
    if changes := _changes(software | run_info.get('software', {}), software):
      logger.warning(
        'other code, software or settings than before, which may compute otherwise, so that the '
        'result may differ from that of an undisturbed run: %s',
        changes,
      )
    run_info['schedule_start'] = experiment.schedule_start
    code_of_sessions.note(run_info, experiment, commit)
    return state, run_info | {'hardware': hardware, 'software': software}
  state, described = first_state(experiment)
  log_new_run(experiment, state)
  if source := experiment.init_settings.source:
    logger.info('the weights begin with those of %s', source)
  run_info = {'seconds': 0.0, 'data': fingerprint(experiment.dataset)}
  run_info |= {'hardware': hardware, 'software': software}
  run_info['schedule_start'] = experiment.schedule_start
  run_info |= described
  code_of_sessions.note(run_info, experiment, commit)
  return state, run_info | {'random': provenance.random_settings()}


def check_can_go_on(experiment: Experiment, directory: pathlib.Path) -> None:
  """Checks that a finished run can be trained longer; changes nothing.

  Args:
    experiment: the longer training.
    directory: of the checkpoints of the run.

  Raises:
    InputError: no checkpoint is intact, or the run cannot go on from the newest one.
  """
  with Checkpoints(directory, experiment.checkpoint_settings, read_only=True) as checkpoints:
    if checkpoints.latest is None:
      raise InputError(
        f'{directory} holds no intact checkpoint, and the run has finished: restore one from a '
        'copy to train it longer'
      )
    _restore(experiment, checkpoints, checkpoints.latest)


def _restore(
  experiment: Experiment, checkpoints: Checkpoints, step: int
) -> tuple[State, dict[str, Any]]:
  """The state and the `run_info` of a checkpoint; InputError if the run cannot go on from it."""
  state, run_info = checkpoints.restore(step, abstract_state(experiment))
  check_same_data(experiment.dataset, run_info)
  initial_weights.check_unchanged(*_arguments_of_initial_weights(experiment), run_info)
  _check_random_settings(run_info)
  _check_schedule_start(experiment, state.num_steps, run_info)
  return state, run_info


def first_state(
  experiment: Experiment, run_info: Mapping[str, Any] | None = None
) -> tuple[State, dict[str, Any]]:
  """The state before the first step, and what a checkpoint says of the weights that it has.

  Args:
    experiment: what is trained.
    run_info: of the run, if it has begun with such a state before.

  Raises:
    InputError: the weights to begin with changed since then, or while they were read.
  """
  described = _describe_initial_weights(experiment)
  state = initial_state(experiment)
  before = described if run_info is None else {key: run_info.get(key) for key in described}
  if not described == before == _describe_initial_weights(experiment):
    raise InputError(
      f'init.source {experiment.init_settings.source} changed while its weights were read, perhaps '
      'because it is still trained: give the same command again'
    )
  return state, described


def _check_schedule_start(experiment: Experiment, step: int, run_info: dict[str, Any]) -> None:
  """Raises InputError unless the schedule of this leg of the run begins where it began before.

  Where a schedule begins is the end of an earlier leg, whose folder or last checkpoint may be lost
  since.
  """
  now = experiment.schedule_start
  if step < now:
    raise InputError(
      f'checkpoint {step} is the newest intact one, and the schedule begins at step {now}, at the '
      f'end of an earlier leg: restore checkpoint {now} from a copy'
    )
  earlier = run_info.get('schedule_start', now)  # an earlier version did not record it
  if step > now and earlier != now:  # a checkpoint at the start of a leg is of the leg before it
    raise InputError(
      f'checkpoint {step} was trained with a schedule that began at step {earlier}, at the end of '
      f'an earlier leg, and now it would begin at step {now}: restore the folders leg1, ... of the '
      'workdir from a copy'
    )


def _check_random_settings(run_info: dict[str, Any]) -> None:
  """Raises InputError if JAX draws other random numbers than in the sessions of a run so far."""
  now = provenance.random_settings()
  earlier = run_info.setdefault('random', now)  # an early version did not record them
  if changes := _changes(earlier, now):
    raise InputError(
      f'JAX would draw other random numbers than before: {changes}; set it as before, or give '
      'another --workdir'
    )


def _software(commit: str | None) -> dict[str, Any]:
  """What the result of a run depends on beside its settings and hardware, by name."""
  code = {CODE: package_code.digest(), 'the commit': commit}
  library = {'the library of convolutions': layers.library_of_convolutions()}
  versions = provenance.own_version() | provenance.versions()
  return code | versions | library | provenance.arithmetic()


def _changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> str:
  """What differs between two sessions of a run, in words; '' if nothing does."""
  return '; '.join(
    f'{name} was {earlier.get(name)} and is now {value}'
    for name, value in now.items()
    if value != earlier.get(name)
  )
