"""Restores a run from a checkpoint, for evaluation.

Nothing is written, so the run may still be training.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ml_collections import ConfigDict

from cifar_jax import models
from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.config.dataset import DataSettings
from cifar_jax.config.training import CheckpointSettings
from cifar_jax.data.dataset import Dataset, check_same_data, without_images
from cifar_jax.errors import InputError
from cifar_jax.experiment.experiment import Experiment, build, for_one_seed
from cifar_jax.experiment.seeds import select_seed
from cifar_jax.experiment.state import State, abstract_state
from cifar_jax.models import own_module, own_net
from cifar_jax.runs import provenance
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.results import warn_if_older
from cifar_jax.runs.workdir import CHECKPOINTS, read_config

logger = logging.getLogger(__name__)

T = TypeVar('T')


@dataclasses.dataclass(frozen=True)
class Restored:
  """A run at one of its checkpoints.

  Attributes:
    workdir: directory of the run.
    config: configuration of the run, with the overrides applied.
    experiment: the experiment that `config` describes, perhaps without images; for a run of several
      seeds, that of the selected seed alone.
    state: the state at the checkpoint, replicated over the mesh. With `optimizer.ema_decay` it has
      the averages in the place of weights and statistics; for a run of several seeds, it is that of
      the selected seed alone.
    step: number of steps before the checkpoint.
    is_one_of_several_seeds: whether the run trained several seeds at once.
    run_info: what the checkpoint says of the run.
  """

  workdir: pathlib.Path
  config: ConfigDict
  experiment: Experiment
  state: State
  step: int
  is_one_of_several_seeds: bool = False
  run_info: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def restore_run(
  run: pathlib.Path, checkpoint: str, overrides: list[str], seed_index: int = 0
) -> Restored:
  """Restores a run and its data from one of its checkpoints.

  Args:
    run: the workdir.
    checkpoint: `last`, or `best` for the highest validation accuracy.
    overrides: `--config.SECTION.KEY=VALUE`, such as another location of the data.
    seed_index: index of the seed, from 0, in a run that trained several seeds.

  Raises:
    InputError: there is no such run, checkpoint or seed, the overrides change how the run was
      trained, or its data are not those that it was trained on.
  """
  config = _read_config(run, overrides)
  return _restore(run, checkpoint, config, build(config), seed_index)


def restore_net(
  run: pathlib.Path, checkpoint: str, overrides: list[str], seed_index: int = 0
) -> Restored:
  """Restores a run without its data, which may be on another machine.

  What the net needs of the data (names of the classes, size, mean and deviation of the images) is
  in the checkpoint, and the splits of the data set are empty. The checkpoints of earlier versions
  lack it, and then the data are read as in `restore_run`, which has the same arguments and errors.
  """
  config = _read_config(run, overrides)
  dataset = describe_data(run, checkpoint, config)
  experiment = build(config, dataset)
  return _restore(run, checkpoint, config, experiment, seed_index, has_data=dataset is None)


def describe_data(run: pathlib.Path, checkpoint: str, config: ConfigDict) -> Dataset | None:
  """The data set of a run without its images, as `data.dataset.without_images`, by a checkpoint."""
  settings = CheckpointSettings(**config.checkpoint)
  run_info, _ = _read_checkpoint(run, checkpoint, settings, Checkpoints.read_run_info)
  return without_images(DataSettings(**config.data), run_info)


def _read_config(run: pathlib.Path, overrides: list[str]) -> ConfigDict:
  """Returns the configuration of a run with overrides that do not change how it was trained."""
  config = read_config(run)
  override(config, overrides)
  is_given = any(word.startswith('--config.model.module=') for word in overrides)
  name, module = config.model.name, config.model.get('module', '')
  if not is_given and not models.is_loaded(name, module):
    if models.is_loaded(name) and not own_module.is_permitted(module):
      # Nothing that the user has not trained with is executed: a family that they imported instead.
      config.model.module = models.module_of(name)
    else:
      own_module.check_permitted(module, name, run)
  changes = loading.differences(read_config(run), config)
  if changes:
    raise InputError(
      'a run must be evaluated with the configuration that it was trained with: '
      f'{"; ".join(changes)}; undo this change'
    )
  if not (run / CHECKPOINTS).is_dir():
    raise InputError(f'{run} has no checkpoint yet')
  return config


def _restore(
  run: pathlib.Path,
  checkpoint: str,
  config: ConfigDict,
  experiment: Experiment,
  seed_index: int,
  has_data: bool = True,
) -> Restored:
  """Restores the state of an experiment, and selects a seed."""
  num_seeds = experiment.num_seeds
  if not 0 <= seed_index < num_seeds:
    raise InputError(f'--seed-index is {seed_index}; {run} has {num_seeds} seeds, counted from 0')

  def read(checkpoints: Checkpoints, step: int) -> tuple[State, dict[str, Any]]:
    return checkpoints.restore(step, abstract_state(experiment))

  (state, run_info), step = _read_checkpoint(run, checkpoint, experiment.checkpoint_settings, read)
  state = state.to_evaluate
  own_net.warn_if_changed(experiment.own_net, run_info)
  provenance.warn_of_other_code(run, run_info.get(provenance.CODES, []))
  if has_data:
    check_same_data(experiment.dataset, run_info)
  if num_seeds > 1:
    logger.warning('%s has %d seeds; this is seed %d', run, num_seeds, experiment.seeds[seed_index])
    experiment, state = for_one_seed(experiment, seed_index), select_seed(state, seed_index)
  return Restored(run, config, experiment, state, step, num_seeds > 1, run_info)


def _read_checkpoint(
  run: pathlib.Path,
  checkpoint: str,
  settings: CheckpointSettings,
  read: Callable[[Checkpoints, int], T],
) -> tuple[T, int]:
  """What `read` returns for a checkpoint, and the checkpoint's step.

  A run that is still training deletes checkpoints that are no longer the newest or the best. If
  that happens during the reading, the current checkpoint is looked up again.
  """
  folder = run / CHECKPOINTS
  while True:
    with Checkpoints(folder, settings, read_only=True) as checkpoints:
      step = checkpoints.best if checkpoint == 'best' else checkpoints.latest
      if step is None:
        reason = ' with a validation accuracy' if checkpoint == 'best' else ' yet'
        raise InputError(f'{run} has no checkpoint{reason}')
      try:
        found = read(checkpoints, step), step
      except Exception:
        if (folder / str(step)).exists():
          raise
      else:
        if checkpoint == 'last':
          warn_if_older(run, step)
        return found
