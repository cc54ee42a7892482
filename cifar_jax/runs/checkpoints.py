"""The checkpoints of a run: Orbax writes them in the background, with checksums.

A checkpoint is complete or absent. A damaged checkpoint is never restored: the newest intact one is
used instead, and without an intact one the run stops.
"""

import pathlib
import threading
from collections.abc import Callable
from typing import Any

import jax
import orbax.checkpoint as ocp

from cifar_jax import own_files
from cifar_jax.config.training import CheckpointSettings
from cifar_jax.errors import InputError
from cifar_jax.runs import (
  checksums,
  damaged,
  deleted,
  disk_space,
  first_save,
  identity,
  names,
  reading,
  retention,
)
from cifar_jax.runtime import processes
from cifar_jax.runtime.console import silence_absl


class Checkpoints:
  """The checkpoints in a directory; `retention` says which are kept.

  Use it in a `with` block. The end of the block waits until everything is written.
  """

  def __init__(
    self, directory: pathlib.Path, settings: CheckpointSettings, *, read_only: bool = False
  ) -> None:
    """Opens a directory and logs which of its checkpoints are damaged.

    Args:
      directory: of the checkpoints; made if it does not exist.
      settings: how many checkpoints to keep.
      read_only: whether to leave the directory as it is, so that a run can go on in it meanwhile.
        Otherwise damaged checkpoints are renamed, and files left by a killed process are removed.

    Raises:
      InputError: there are or were checkpoints, but none is intact; or one is a symbolic link, or
        of another run; or the name fails `names.check`.
    """
    names.check(directory)
    with processes.first_process_first():  # which renames what is damaged
      if not read_only:
        deleted.check_folders(directory)
      self._damaged = damaged.find(directory)
      if not read_only:
        damaged.rename(directory, self._damaged)
        self._damaged = {}  # their steps may be saved again
        deleted.empty(directory)
        if damaged.steps_in(directory):
          first_save.note(directory)
    options = ocp.CheckpointManagerOptions(
      read_only=read_only,
      create=not read_only,
      cleanup_tmp_directories=not read_only,
      todelete_subdir=None if read_only else deleted.FOLDER,
      temporary_path_class=checksums.ChecksummedPath,
      lightweight_initialize=read_only,  # damaged checkpoints are still there; do not read them
      # Without a policy, `best_fn` with `max_to_keep` would delete the newest.
      preservation_policy=retention.policy(directory, settings.keep_last, read_only),
      best_fn=retention.rank,
      best_mode='max',
      save_interval_steps=0 if read_only else 1,
    )
    silence_absl()
    self._read_only, self._directory = read_only, directory.absolute()
    with reading.checked():
      self._manager = ocp.CheckpointManager(self._directory, options=options)
    if not read_only:
      self._check_runs()

  def _check_runs(self) -> None:
    """Raises InputError if a checkpoint is of another run; each could be the best later."""
    try:
      for step in self._steps():
        self.read_run_info(step)
        self._metrics(step)
    except InputError:
      self._manager.close()
      raise

  def __enter__(self) -> 'Checkpoints':
    """Returns the object itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Waits until everything is written."""
    try:
      self._manager.close()
    finally:
      if not own_files.is_held(self._directory):
        checksums.remove_unfinished(self._directory)
    if not self._read_only:
      self._empty_deleted()

  def save(
    self,
    step: int,
    state: Any,
    *,
    run_info: dict[str, Any],
    accuracy: float | None = None,
    is_best: bool = True,
  ) -> None:
    """Begins to write a checkpoint; the state may be donated as soon as this returns.

    Args:
      step: number of steps taken, more than at the latest checkpoint.
      state: the state after them.
      run_info: what a later session needs to resume the run, ready for JSON.
      accuracy: on the validation split, in [0, 1], if it was measured at this step. For several
        seeds it is their mean, by which one best step is chosen for all seeds.
      is_best: whether `accuracy` may become the best; False where it is above the best by too
        little.

    Raises:
      InputError: the workdir was renamed or removed.
      ShortageError: the disk is too full. Nothing was written.
    """
    own_files.check_held(self._directory)
    self.wait()  # as Orbax would below, for the save before and for what it deletes
    num_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    if num_bytes > disk_space.free_bytes(self._directory):
      self._empty_deleted()
    else:  # the steps need not wait for it
      threading.Thread(target=self._empty_deleted).start()
    disk_space.check(self._directory, num_bytes)
    items = {
      'state': ocp.args.StandardSave(state),
      'run': ocp.args.JsonSave(run_info | {identity.STEP: step}),
    }
    metrics = None if accuracy is None else {'accuracy': accuracy, 'is_best': is_best}
    if not self._manager.save(step, args=ocp.args.Composite(**items), metrics=metrics):
      raise RuntimeError(f'Orbax did not save step {step}; the latest is {self.latest}')

  @property
  def latest(self) -> int | None:
    """The step of the newest intact checkpoint; None without a checkpoint."""
    return max(self._steps(), default=None)

  @property
  def best_so_far(self) -> tuple[int, float] | None:
    """Step and validation accuracy of the best checkpoint that the run has saved, lost or not.

    None without validation.
    """
    run_info = {} if self.latest is None else self.read_run_info(self.latest)
    return retention.best_so_far(run_info, {step: self._metrics(step) for step in self._steps()})

  @property
  def best(self) -> int | None:
    """The step of the checkpoint with the best validation accuracy; None without validation.

    Raises:
      InputError: this checkpoint is damaged or lost.
    """
    best = self.best_so_far
    if best and not self.has(best[0]):
      raise InputError(f'{retention.LOST.format(best[0])}: restore it from a copy')
    return best and best[0]

  def has(self, step: int) -> bool:
    """Whether there is an intact checkpoint of a step."""
    return step in self._steps()

  def _steps(self) -> list[int]:
    return [int(step) for step in self._manager.all_steps() if step not in self._damaged]

  def _metrics(self, step: int) -> Any:
    with reading.checked(step):
      metrics = self._manager.metrics(step)
      if metrics:
        reading.check_metrics(metrics)
    return metrics

  def restore(self, step: int, abstract: Any) -> tuple[Any, dict[str, Any]]:
    """Reads a checkpoint.

    Args:
      step: `latest` or `best`.
      abstract: shapes, dtypes and shardings of the state.

    Returns:
      The state, and the `run_info` that was saved with it.

    Raises:
      InputError: another run, model or version of this program wrote it. It is not damaged,
        because `latest` and `best` are steps of intact checkpoints.
      ShortageError: its arrays do not fit in memory.
    """
    # Not together with the state: where this fails, Orbax would leave reads of arrays behind.
    run_info = self.read_run_info(step)
    with reading.checked(step):
      reading.check_fit(reading.shapes(self._directory / str(step)))
      restored = self._manager.restore(
        step, args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
      )
    return restored.state, run_info

  def read_arrays(
    self, step: int, choose: Callable[[reading.Fields], reading.Fields]
  ) -> reading.Fields:
    """Reads a part of the state of a checkpoint as it was saved, whatever model it is of.

    Args:
      step: of the checkpoint.
      choose: as for `reading.read`.

    Returns:
      The chosen fields of the state by their names, as trees of dictionaries and NumPy arrays.

    Raises:
      InputError: it is a checkpoint of another run or version, or `choose` raised it.
    """
    self.read_run_info(step)
    with reading.checked(step):
      return reading.read(self._directory / str(step), choose)

  def read_run_info(self, step: int) -> dict[str, Any]:
    """Returns the `run_info` that was saved with a checkpoint, without reading the state.

    Raises:
      InputError: it is a checkpoint of another run or version.
    """
    with reading.checked(step):
      restored = self._manager.restore(step, args=ocp.args.Composite(run=ocp.args.JsonRestore()))
      reading.check_run_info(restored.run)
    identity.check(self._directory, step, restored.run)
    return {key: value for key, value in restored.run.items() if key != identity.STEP}

  def wait(self) -> None:
    """Waits until everything is written; raises an error that occurred in the background."""
    self._manager.wait_until_finished()

  def _empty_deleted(self) -> None:
    if processes.is_first() and own_files.is_held(self._directory):
      deleted.empty(self._directory)
