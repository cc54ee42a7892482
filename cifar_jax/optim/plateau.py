"""The schedule `plateau`: the rate falls once a score has stopped rising.

The rule is that of PyTorch's `ReduceLROnPlateau` and of many training scripts: an epoch is bad if
its score is not better than the best so far by a relative threshold. After more bad epochs in a row
than the patience the rate is multiplied by a factor, and bad epochs are counted from 0 again.

All of it is in the optimizer's state, and so in each checkpoint: a resumed run has the same rates.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cifar_jax.config.optimization import ScheduleSettings

WORST = -float(jnp.finfo(jnp.float32).max)  # finite, so that a threshold can be a share of it


class PlateauState(NamedTuple):
  """The state between two steps. For several seeds each array has a leading axis `[seeds]`.

  Attributes:
    best: float32 scalar, the best score of an epoch so far.
    bad_epochs: int32 scalar, the number of epochs since then, or since the rate was lowered.
    scale: float32 scalar, the share of the schedule's rate that is left.
    loss_sum: float32 scalar, the sum of the training losses of this epoch's steps.
    num_steps: int32 scalar, the number of these steps.
  """

  best: Any
  bad_epochs: Any
  scale: Any
  loss_sum: Any
  num_steps: Any


def scale_by_plateau() -> optax.GradientTransformationExtraArgs:
  """Multiplies updates by `PlateauState.scale`, and sums the losses that `value` gives up."""

  def init(params: Any) -> PlateauState:
    del params
    zero = jnp.zeros((), jnp.int32)
    return PlateauState(jnp.float32(WORST), zero, jnp.float32(1.0), jnp.float32(0.0), zero)

  def update(
    updates: Any, state: PlateauState, params: Any = None, *, value: Any, **_: Any
  ) -> tuple[Any, PlateauState]:
    del params
    updates = jax.tree.map(lambda leaf: state.scale * leaf, updates)
    loss_sum = state.loss_sum + value
    return updates, state._replace(loss_sum=loss_sum, num_steps=state.num_steps + 1)

  return optax.GradientTransformationExtraArgs(init, update)


def end_epoch(opt_state: Any, accuracy: Any, settings: ScheduleSettings) -> Any:
  """The optimizer's state after an epoch: the rate is lowered if the score has not risen for long.

  Args:
    opt_state: the state of an optimizer that contains `scale_by_plateau`.
    accuracy: on the validation images, float32 scalar or `[seeds]`. Without effect where
      `settings.monitor` is the training loss.
    settings: the section `schedule`.
  """
  return jax.tree.map(
    lambda node: _judge(node, accuracy, settings) if _is_plateau(node) else node,
    opt_state,
    is_leaf=_is_plateau,
  )


def scale(opt_state: Any) -> Any:
  """The share of the schedule's rate that is left, float32 scalar or `[seeds]`; 1.0 elsewhere."""
  nodes = filter(_is_plateau, jax.tree.leaves(opt_state, is_leaf=_is_plateau))
  return next((node.scale for node in nodes), 1.0)


def is_better(score: Any, best: Any, threshold: float) -> Any:
  """Whether a score is above the best so far by more than a share of the best.

  Args:
    score: a number or an array, the higher the better, such as an accuracy or a negated loss.
    best: likewise, finite.
    threshold: the share, at least 0.
  """
  return score > best + threshold * abs(best)


def _is_plateau(node: Any) -> bool:
  return isinstance(node, PlateauState)


def _judge(state: PlateauState, accuracy: Any, settings: ScheduleSettings) -> PlateauState:
  """The state after an epoch; all operations are element by element, for any number of seeds."""
  score = accuracy
  if settings.monitor == 'training_loss':
    score = -state.loss_sum / jnp.asarray(state.num_steps, jnp.float32)
  better = is_better(score, state.best, settings.threshold)
  bad_epochs = jnp.where(better, 0, state.bad_epochs + 1)
  is_due = bad_epochs > settings.patience
  lowered = state.scale * settings.factor
  counts = settings.learning_rate * (state.scale - lowered) > settings.smallest_drop
  return PlateauState(
    best=jnp.where(better, score, state.best),
    bad_epochs=jnp.where(is_due, 0, bad_epochs),
    scale=jnp.where(is_due & counts, lowered, state.scale),
    loss_sum=jnp.zeros_like(state.loss_sum),
    num_steps=jnp.zeros_like(state.num_steps),
  )
