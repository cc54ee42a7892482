"""A run's checkpoint opened to be looked at: nothing is written, the run may go on meanwhile."""

import dataclasses
import pathlib

from ml_collections import ConfigDict

from cifar_jax import checkpoint, config, experiment, workdir
from cifar_jax import state as states
from cifar_jax.errors import InputError

CHECKPOINTS = ('last', 'best')


@dataclasses.dataclass(frozen=True)
class Restored:
  """A run at one of its checkpoints.

  Attributes:
    workdir: of the run.
    settings: its configuration.
    parts: what that makes.
    state: at the checkpoint, replicated over the mesh.
    step: of the checkpoint.
  """

  workdir: pathlib.Path
  settings: ConfigDict
  parts: experiment.Experiment
  state: states.State
  step: int


def restore(run: pathlib.Path, which: str, overrides: list[str]) -> Restored:
  """Reads a checkpoint of a run.

  Args:
    run: the workdir.
    which: one of `CHECKPOINTS`, where the best is that with the highest validation accuracy.
    overrides: `--config.SECTION.KEY=VALUE`, such as another place of the data.

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
  state, step = _read(run, which, parts)
  return Restored(run, settings, parts, state, step)


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
