"""Lookahead: every few steps the weights are replaced by a running average of themselves.

Zhang et al. 2019, arXiv 1907.08610. The decay that grows over the run, so that the weights end as
an average, is that of hlb-CIFAR10 and cifar10-airbench.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class LookaheadState(NamedTuple):
  """The state between two steps.

  Attributes:
    count: int32 scalar, the number of steps taken.
    average: a tree like the parameters.
  """

  count: Any
  average: Any


def lookahead(every: int, decay: float, num_steps: int) -> optax.GradientTransformation:
  """Replaces the weights by their average every few steps, and at the end of the run.

  After step t of T, where t is a multiple of `every`, the average keeps the share
  `decay ** every * (t / T) ** 3` of itself and takes the rest from the weights; then the weights
  are set to the average. After step T the weights are set to the average in any case.

  Args:
    every: number of steps between two averages.
    decay: decay of the average per step, at the end of the run.
    num_steps: number of steps of the run.
  """
  every = min(every, num_steps)  # otherwise a short run would end at its initial weights

  def init(params: Any) -> LookaheadState:
    return LookaheadState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, params))

  def update(updates: Any, state: LookaheadState, params: Any) -> tuple[Any, LookaheadState]:
    count = state.count + 1
    is_due = count % every == 0
    average_share = jnp.where(is_due, decay**every * (count / num_steps) ** 3, 1.0)
    weights = optax.apply_updates(params, updates)
    average = jax.tree.map(
      lambda old, new: average_share * old + (1.0 - average_share) * new, state.average, weights
    )
    replace = is_due | (count == num_steps)
    updates = jax.tree.map(
      lambda update, end, start: jnp.where(replace, end - start, update), updates, average, params
    )
    return updates, LookaheadState(count, average)

  return optax.GradientTransformation(init, update)
