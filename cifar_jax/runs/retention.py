"""Which checkpoints of a run are kept: the newest few, the best, and those of earlier legs."""

import pathlib
from collections.abc import Mapping
from typing import Any

from orbax.checkpoint.checkpoint_managers import preservation_policy

from cifar_jax.runs import legs

LOST = 'checkpoint {}, the best by validation, is damaged or lost'


def policy(
  directory: pathlib.Path, keep_last: int, read_only: bool
) -> preservation_policy.PreservationPolicy | None:
  """The policy by which Orbax deletes checkpoints; None where it only reads them.

  Args:
    directory: of the checkpoints, in the workdir.
    keep_last: how many of the newest checkpoints to keep.
    read_only: whether none is deleted.
  """
  if read_only:
    return None
  best = preservation_policy.BestN(get_metric_fn=rank, n=1, keep_checkpoints_without_metrics=False)
  of_legs = preservation_policy.CustomSteps(legs.kept_steps(directory.parent))
  policies = [preservation_policy.LatestN(keep_last), best, of_legs]
  return preservation_policy.AnyPreservationPolicy(policies)


def rank(metrics: Any) -> float:
  """The number by which checkpoints are compared: the accuracy, plus 1 where it was the best.

  It is -1 for a NaN, which would win otherwise. Earlier versions do not say which was the best: it
  is the one with the highest accuracy.

  Args:
    metrics: what is saved with a checkpoint after a validation.
  """
  accuracy = metrics['accuracy']
  return accuracy + metrics.get('is_best', True) if accuracy == accuracy else -1.0


def best_so_far(
  run_info: Mapping[str, Any], metrics: Mapping[int, Any]
) -> tuple[int, float] | None:
  """Step and accuracy of the best checkpoint that a run has saved; None without validation.

  Args:
    run_info: of the newest checkpoint, which names the best one. That of an earlier version does
      not, and then it is the best of those that are there.
    metrics: for each step what was saved with its checkpoint; None where nothing was.
  """
  if named := run_info.get('best'):
    return named['step'], named['accuracy']
  ranked = [(rank(values), step) for step, values in metrics.items() if values]
  if not ranked:
    return None
  _, step = max(ranked)
  return step, metrics[step]['accuracy']
