"""Restores a run from a checkpoint, for evaluation.

Nothing is written, so the run may still be training.
"""

import dataclasses
import logging
import pathlib

from ml_collections import ConfigDict

from cifar_jax.config import loading
from cifar_jax.config.command_line import override
from cifar_jax.data.dataset import check_same_data
from cifar_jax.errors import InputError
from cifar_jax.experiment.experiment import Experiment, build, for_one_seed
from cifar_jax.experiment.seeds import select_seed
from cifar_jax.experiment.state import State, abstract_state
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import CHECKPOINTS, read_config

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Restored:
  """A run at one of its checkpoints.

  Attributes:
    workdir: directory of the run.
    config: configuration of the run, with the overrides applied.
    experiment: the experiment that `config` describes; for a run of several seeds, that of the
      selected seed alone.
    state: the state at the checkpoint, replicated over the mesh, with the averages of a run that
      averages its weights in the place of the weights; for a run of several seeds, that
      of the selected seed alone.
    step: number of steps before the checkpoint.
    is_one_of_several_seeds: whether the run trained several seeds at once.
  """

  workdir: pathlib.Path
  config: ConfigDict
  experiment: Experiment
  state: State
  step: int
  is_one_of_several_seeds: bool = False


def restore_run(
  run: pathlib.Path, checkpoint: str, overrides: list[str], seed_index: int = 0
) -> Restored:
  """Restores a run from one of its checkpoints.

  Args:
    run: the workdir.
    checkpoint: `last`, or `best` for the highest validation accuracy.
    overrides: `--config.SECTION.KEY=VALUE`, such as another location of the data.
    seed_index: index of the seed, from 0, in a run that trained several seeds.

  Raises:
    InputError: there is no such run, checkpoint or seed, or the overrides change how the run was
      trained.
  """
  config = read_config(run)
  override(config, overrides)
  changes = loading.differences(read_config(run), config)
  if changes:
    raise InputError(
      'a run must be evaluated with the configuration that it was trained with: '
      f'{"; ".join(changes)}; undo this change'
    )
  if not (run / CHECKPOINTS).is_dir():
    raise InputError(f'{run} has no checkpoint yet')
  experiment = build(config)
  num_seeds = experiment.num_seeds
  if not 0 <= seed_index < num_seeds:
    raise InputError(f'--seed-index is {seed_index}; {run} has {num_seeds} seeds, counted from 0')
  state, step = _read_checkpoint(run, checkpoint, experiment)
  if num_seeds > 1:
    logger.warning('%s has %d seeds; this is seed %d', run, num_seeds, experiment.seeds[seed_index])
    experiment, state = for_one_seed(experiment, seed_index), select_seed(state, seed_index)
  return Restored(run, config, experiment, state, step, is_one_of_several_seeds=num_seeds > 1)


def _read_checkpoint(
  run: pathlib.Path, checkpoint: str, experiment: Experiment
) -> tuple[State, int]:
  """The state at a checkpoint, and its step.

  A run that is still training deletes checkpoints that are no longer the newest or the best. If
  that happens during the reading, the current checkpoint is looked up again.
  """
  folder = run / CHECKPOINTS
  while True:
    with Checkpoints(folder, experiment.checkpoint_settings, read_only=True) as checkpoints:
      step = checkpoints.best if checkpoint == 'best' else checkpoints.latest
      if step is None:
        reason = ' with a validation accuracy' if checkpoint == 'best' else ' yet'
        raise InputError(f'{run} has no checkpoint{reason}')
      try:
        state, run_info = checkpoints.restore(step, abstract_state(experiment))
      except Exception:
        if (folder / str(step)).exists():
          raise
        continue
    check_same_data(experiment.dataset, run_info)
    return state.to_evaluate, step
