"""Checks that a run has not diverged: its losses, gradients and weights are finite numbers."""

import math
from typing import Any

import jax
import numpy as np

from cifar_jax.errors import DivergedError
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import NEVER, State

REMEDY = 'try a lower schedule.learning_rate, a warm-up or optimizer.clip_norm in another --workdir'


def check_steps(experiment: Experiment, state: State, latest: int | None) -> None:
  """Raises DivergedError if the loss or gradient of a step so far was not finite.

  Args:
    experiment: what is trained.
    state: the state after the step.
    latest: the step of the latest checkpoint; None without one.
  """
  first_nonfinite = np.ravel(state.first_nonfinite)  # [seeds]
  index = int(np.argmin(first_nonfinite))
  if first_nonfinite[index] == NEVER:
    return
  step, only_gradient = divmod(int(first_nonfinite[index]), 2)
  raise DivergedError(
    step,
    'gradient' if only_gradient else 'loss',
    f'the last good checkpoint is {"none" if latest is None else f"step {latest}"}; try '
    'train.nonfinite=skip here, or a lower schedule.learning_rate, a warm-up, or '
    'optimizer.clip_norm in another --workdir',
    _seed(experiment, index),
  )


def check_weights(experiment: Experiment, state: State) -> None:
  """Raises DivergedError if the last update has made weights that are not finite.

  The loss of the next step would show it, but then the weights may be in a checkpoint.
  """
  are_finite = np.ones(experiment.num_seeds, bool)
  # On the host, where a checkpoint goes too: for 1,000 parameters a program takes 35 s to compile.
  for leaf in jax.tree.leaves(state.params):
    are_finite &= np.isfinite(leaf).reshape(experiment.num_seeds, -1).all(axis=1)
  if not are_finite.all():
    index = int(np.argmin(are_finite))
    raise DivergedError(state.num_steps - 1, 'update', REMEDY, _seed(experiment, index))


def check_evaluation(experiment: Experiment, step: int, split: str, values: dict[str, Any]) -> None:
  """Raises DivergedError if the loss of an evaluation is not finite.

  Args:
    experiment: what is trained.
    step: number of steps taken.
    split: `validation` or `test`.
    values: of `metrics.read`.
  """
  losses = values['each']['loss'] if 'each' in values else [values['loss']]
  for index, loss in enumerate(losses):
    if not math.isfinite(loss):
      raise DivergedError(step - 1, f'{split} loss', REMEDY, _seed(experiment, index))


def _seed(experiment: Experiment, index: int) -> int | None:
  """The seed to name in a message; None where there is only one."""
  return experiment.seeds[index] if experiment.num_seeds > 1 else None
