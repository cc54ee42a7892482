"""A run's checkpoint opened to be looked at: nothing is written, the run may go on meanwhile."""

import argparse
import dataclasses
import logging
import pathlib

from ml_collections import ConfigDict

from cifar_jax import checkpoint, config, experiment, seeds, workdir
from cifar_jax import state as states
from cifar_jax.errors import InputError

logger = logging.getLogger(__name__)

CHECKPOINTS = ('last', 'best')


@dataclasses.dataclass(frozen=True)
class Restored:
  """A run at one of its checkpoints.

  Attributes:
    workdir: of the run.
    settings: its configuration.
    parts: what that makes; of several seeds, those of the one that was taken.
    state: at the checkpoint, replicated over the mesh; likewise.
    step: of the checkpoint.
    is_of_several: whether the run trained several seeds at once.
  """

  workdir: pathlib.Path
  settings: ConfigDict
  parts: experiment.Experiment
  state: states.State
  step: int
  is_of_several: bool = False


def add_seed_index(parser: argparse.ArgumentParser) -> None:
  """Adds `--seed-index`, which says which seed of a run that trained several at once is meant."""
  parser.add_argument(
    '--seed-index', type=int, default=0, metavar='I', help='of a run of several seeds, from 0'
  )


def restore(run: pathlib.Path, which: str, overrides: list[str], seed_index: int = 0) -> Restored:
  """Reads a checkpoint of a run.

  Args:
    run: the workdir.
    which: one of `CHECKPOINTS`, where the best is that with the highest validation accuracy.
    overrides: `--config.SECTION.KEY=VALUE`, such as another place of the data.
    seed_index: of a run of several seeds, which of them, from 0.

  Raises:
    InputError: there is no such run or checkpoint, or it was trained otherwise than is said now.
  """
  settings = workdir.read_config(run)
  config.override(settings, overrides)
  changes = config.differences(workdir.read_config(run), settings)
  if changes:
    raise InputError(f'a run is evaluated as it was trained: {"; ".join(changes)}; take that back')
  if not (run / workdir.CHECKPOINTS).is_dir():
    raise InputError(f'{run} has no checkpoint yet')
  parts = experiment.build(settings)
  if not 0 <= seed_index < len(parts.seeds):
    raise InputError(
      f'--seed-index is {seed_index}; {run} has {len(parts.seeds)} seeds, counted from 0'
    )
  state, step = _read(run, which, parts)
  is_of_several = len(parts.seeds) > 1
  if is_of_several:
    logger.warning(
      'of the %d seeds in %s this is seed %d', len(parts.seeds), run, parts.seeds[seed_index]
    )
    parts, state = experiment.of_seed(parts, seed_index), seeds.take(state, seed_index)
  return Restored(run, settings, parts, state, step, is_of_several)


def _read(run: pathlib.Path, which: str, parts: experiment.Experiment) -> tuple[states.State, int]:
  folder = run / workdir.CHECKPOINTS
  while True:
    with checkpoint.Checkpoints(folder, parts.checkpoints, read_only=True) as checkpoints:
      step = checkpoints.best if which == 'best' else checkpoints.latest
      if step is None:
        reason = ' with a validation accuracy' if which == 'best' else ' yet'
        raise InputError(f'{run} has no checkpoint{reason}')
      try:
        state, told = checkpoints.restore(step, experiment.abstract_state(parts))
      except Exception:
        # A run that goes on deletes what is no longer the newest or the best: look again.
        if (folder / str(step)).exists():
          raise
        continue
    experiment.check_same_data(parts.dataset, told)
    return state, step
