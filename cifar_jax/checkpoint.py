"""Checkpoints of a run, by Orbax: written in the background, whole or not at all."""

import dataclasses
import pathlib
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from cifar_jax.errors import InputError
from cifar_jax.state import State


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
    """Opens a directory.

    Args:
      directory: of the checkpoints; made if need be.
      policy: which are kept.
      read_only: whether nothing is written, made or tidied, so that a run may go on meanwhile.
    """
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
      # A step counts only once its marker is written, so a kill inside a save leaves nothing that
      # looks like a checkpoint.
      atomicity_options=ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.COMMIT_FILE),
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
      accuracy: on the validation split, where it was measured at this step.
    """
    items = {'state': ocp.args.StandardSave(state), 'run': ocp.args.JsonSave(run)}
    metrics = None if accuracy is None else {'accuracy': accuracy}
    if not self._manager.save(step, args=ocp.args.Composite(**items), metrics=metrics):
      raise RuntimeError(f'Orbax did not save step {step}; the latest is {self.latest}')

  @property
  def latest(self) -> int | None:
    """The step of the newest checkpoint; None if there is none."""
    step = self._manager.latest_step()
    return None if step is None else int(step)

  @property
  def best(self) -> int | None:
    """The step of the best checkpoint by validation accuracy; None without validation."""
    measured = [
      (accuracy, step)
      for step in self._manager.all_steps()
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
    """
    restored = self._manager.restore(
      step,
      args=ocp.args.Composite(state=ocp.args.StandardRestore(abstract), run=ocp.args.JsonRestore()),
    )
    return restored.state, restored.run

  def wait(self) -> None:
    """Waits until everything is written; raises what went wrong in the background."""
    self._manager.wait_until_finished()


def _accuracy(metrics: Any) -> float:
  """The measure of "best"; a NaN would otherwise win every comparison."""
  accuracy = metrics['accuracy']
  return accuracy if accuracy == accuracy else -1.0
