"""A run in Weights & Biases.

The library's environment variables hold: `WANDB_MODE=offline` writes below the workdir, for `wandb
sync`, and `WANDB_PROJECT`, `WANDB_ENTITY` and others say where the run belongs.
"""

import os
import pathlib
from collections.abc import Mapping

import wandb
from ml_collections import ConfigDict

from cifar_jax.runs.results import Record, scalars

_PROJECT = 'cifar_jax'


class WandbRun:
  """A `Tracker`."""

  def __init__(self, workdir: pathlib.Path, config: ConfigDict, run_id: str | None) -> None:
    """Opens a run.

    Args:
      workdir: where the library writes its files.
      config: the configuration.
      run_id: of the run that an earlier session began; None for a new one.
    """
    self._run = wandb.init(
      project=os.environ.get('WANDB_PROJECT', _PROJECT),
      name=workdir.name,
      id=run_id,
      resume='allow' if run_id else None,
      dir=workdir,
      config=config.to_dict(),  # it replaces that of an earlier leg
      # It prints nothing, and leaves the program's output alone.
      settings=wandb.Settings(silent=True, console='off'),
    )
    self.run_id: str = self._run.id
    # Its own steps may not fall, but a record of validation comes after one of training.
    self._run.define_metric('step')
    self._run.define_metric('*', step_metric='step')

  def write(self, record: Record) -> None:
    """Sends the scalars of a record."""
    self._run.log({'step': record['step'], 'epoch': record['epoch'], **scalars(record)})

  def write_pictures(self, step: int, pictures: Mapping[str, pathlib.Path]) -> None:
    """Sends PNG files by their titles, after the last step."""
    images = {title: wandb.Image(str(path)) for title, path in pictures.items()}
    self._run.log({'step': step, **images})

  def close(self, *, is_finished: bool) -> None:
    """Ends the session; the service calls a run that will go on failed until then."""
    self._run.finish(exit_code=0 if is_finished else 1)
