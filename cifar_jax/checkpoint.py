"""Checkpoints of a run, by Orbax: written in the background, whole or not at all.

Each carries the checksums of its files. A damaged one is never restored: the newest sound one takes
its place, and where there is none the run stops.
"""

import dataclasses
import logging
import os
import pathlib
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from cifar_jax import processes, seal
from cifar_jax.errors import InputError, ShortageError, shortage
from cifar_jax.state import State

logger = logging.getLogger(__name__)

SET_ASIDE = '.damaged'  # the suffix of a damaged checkpoint's directory, out of the way of saves


@dataclasses.dataclass(frozen=True)
class Policy:
  """When a checkpoint is due, and which are kept.

  Attributes:
    every_epochs: one at the end of every so many epochs; and always one at the end of the run.
    every_steps: and one after every so many steps; 0 for none.
    keep_last: how many of the newest are kept, beside the best.
  """

  every_epochs: int = 1
  every_steps: int = 0
  keep_last: int = 2

  def __post_init__(self) -> None:
    """Raises InputError for a number out of range."""
    for name, least in (('every_epochs', 1), ('every_steps', 0), ('keep_last', 1)):
      if getattr(self, name) < least:
        raise InputError(f'checkpoint.{name} is {getattr(self, name)}; it is at least {least}')

  def due_after_step(self, step: int) -> bool:
    """Whether a checkpoint is due after `step` steps, wherever in an epoch that is."""
    return self.every_steps > 0 and step % self.every_steps == 0

  def due_after_epoch(self, epoch: int) -> bool:
    """Whether a checkpoint is due at the end of `epoch`, counted from 0."""
    return (epoch + 1) % self.every_epochs == 0


class Checkpoints:
  """The checkpoints of a workdir: the last few, and the best by validation accuracy beside them.

  To be used in a `with` block, whose end waits for what is still being written.
  """

  def __init__(self, directory: pathlib.Path, policy: Policy, *, read_only: bool = False) -> None:
    """Opens a directory, and says which of its checkpoints are damaged.

    Args:
      directory: of the checkpoints; made if need be.
      policy: which are kept.
      read_only: whether nothing is written, made or tidied, so that a run may go on meanwhile;
        otherwise damaged checkpoints are set aside.

    Raises:
      InputError: there are checkpoints, but none is sound; nothing was changed.
    """
    with processes.first_before_others():  # who then find only sound ones
      self._damaged = _find_damaged(directory)
      if not read_only:
        _set_aside(directory, self._damaged)
        self._damaged = {}  # their steps may be saved again
    policies = [
      preservation_policy.LatestN(policy.keep_last),
      preservation_policy.BestN(
        get_metric_fn=_accuracy, n=1, keep_checkpoints_without_metrics=False
      ),
    ]
    options = ocp.CheckpointManagerOptions(
      read_only=read_only,
      create=not read_only,
      cleanup_tmp_directories=not read_only,
      temporary_path_class=seal.SealedPath,
      lightweight_initialize=read_only,  # what is damaged stays there, and is not looked into
      # Without a policy, `best_fn` with `max_to_keep` would delete the newest.
      preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
      best_fn=_accuracy,
      best_mode='max',
      save_interval_steps=0 if read_only else 1,
    )
    self._manager = ocp.CheckpointManager(directory.absolute(), options=options)

  def __enter__(self) -> 'Checkpoints':
    """Nothing more to do."""
    return self

  def __exit__(self, *_: Any) -> None:
    """Waits for what is being written."""
    self._manager.close()

  def save(
    self, step: int, state: State, *, run: dict[str, Any], accuracy: float | None = None
  ) -> None:
    """Begins to write a checkpoint; the state may be donated at once.

    Args:
      step: number of steps taken, more than at the latest checkpoint.
      state: the state after them.
      run: what else is to be known when the run is resumed, ready for JSON.
      accuracy: on the validation split, where it was measured at this step; of several seeds
        their mean, by which the best is chosen for all.

    Raises:
      ShortageError: the disk has no room for it; nothing was written.
    """
    _check_room(self._manager.directory, state)
    items = {'state': ocp.args.StandardSave(state), 'run': ocp.args.JsonSave(run)}
    metrics = None if accuracy is None else {'accuracy': accuracy}
    if not self._manager.save(step, args=ocp.args.Composite(**items), metrics=metrics):
      raise RuntimeError(f'Orbax did not save step {step}; the latest is {self.latest}')

  @property
  def latest(self) -> int | None:
    """The step of the newest checkpoint; None if there is none."""
    return max(self._steps(), default=None)

  def _steps(self) -> list[int]:
    return [int(step) for step in self._manager.all_steps() if step not in self._damaged]

  @property
  def best(self) -> int | None:
    """The step of the best checkpoint by validation accuracy; None without validation."""
    measured = [
      (accuracy, step)
      for step in self._steps()
      if (accuracy := self.validation_accuracy(step)) is not None
    ]
    return int(max(measured)[1]) if measured else None

  def validation_accuracy(self, step: int) -> float | None:
    """The accuracy that was given to `save`."""
    metrics = self._manager.metrics(step)
    return metrics['accuracy'] if metrics else None

  def restore(self, step: int, abstract: State) -> tuple[State, dict[str, Any]]:
    """Reads a checkpoint.

    Args:
      step: one that `latest` or `best` gave.
      abstract: shapes, dtypes and shardings of the state.

    Returns:
      The state, and the `run` that was given to `save`.

    Raises:
      InputError: it is of another model or version; what is damaged has been left out before.
    """
    items = {'state': ocp.args.StandardRestore(abstract), 'run': ocp.args.JsonRestore()}
    try:
      restored = self._manager.restore(step, args=ocp.args.Composite(**items))
    except (KeyError, TypeError, ValueError) as error:
      if shortage(error):
        raise
      raise InputError(
        f'checkpoint {step} is whole, but not of this model as this version makes it '
        f'({" ".join(str(error).split())[:200]}); go on with the version that wrote it'
      ) from error
    return restored.state, restored.run

  def wait(self) -> None:
    """Waits until everything is written; raises what went wrong in the background."""
    self._manager.wait_until_finished()


def _check_room(directory: os.PathLike[str], state: State) -> None:
  """Raises ShortageError where a state would fill the disk, which leaves room for nothing else."""
  needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
  free = shutil.disk_usage(directory).free
  if needed > free:
    raise ShortageError(
      f'a checkpoint takes {needed / 2**20:.1f} MiB and the disk of {directory} has '
      f'{free / 2**20:.1f} left: make room, then run the same command again'
    )


def _find_damaged(directory: pathlib.Path) -> dict[int, str]:
  """What is wrong with which checkpoint; raises InputError where no sound one is left."""
  steps = sorted(int(path.name) for path in directory.glob('*') if path.name.isdigit())
  damaged = {step: told for step in steps if (told := seal.damage(directory / str(step)))}
  # A run that goes on meanwhile deletes its oldest.
  damaged = {step: told for step, told in damaged.items() if (directory / str(step)).is_dir()}
  for step, told in damaged.items():
    logger.warning('checkpoint %d is damaged: %s', step, told)
  sound = [step for step in steps if step not in damaged]
  set_aside = list(directory.glob(f'*{SET_ASIDE}*'))
  if not sound and (damaged or set_aside):
    raise InputError(
      f'no checkpoint in {directory} is sound; put one back from a copy, or begin again in another '
      '--workdir'
    )
  if damaged:
    logger.warning('checkpoint %d is the newest sound one', sound[-1])
  for step in sound:
    if seal.is_older(directory / str(step)):
      logger.warning('checkpoint %d is of an earlier version, without checksums', step)
  return damaged


def _set_aside(directory: pathlib.Path, damaged: dict[int, str]) -> None:
  """Renames damaged checkpoints, so that their steps can be saved again."""
  for step in damaged:
    taken = len(list(directory.glob(f'{step}{SET_ASIDE}*')))
    target = directory / f'{step}{SET_ASIDE}{f"-{taken + 1}" if taken else ""}'
    (directory / str(step)).rename(target)
    logger.warning('it is kept as %s, which may be deleted', target)


def _accuracy(metrics: Any) -> float:
  """The measure of "best"; a NaN would otherwise win every comparison."""
  accuracy = metrics['accuracy']
  return accuracy if accuracy == accuracy else -1.0
