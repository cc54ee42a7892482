"""Weights drawn back, every few steps, towards their own average: the last stage of an optimizer.

Lookahead is Zhang et al. 2019, arXiv 1907.08610; the share that grows over the run until it slows
the weights down, so that they end as an average, is hlb-CIFAR10's and cifar10-airbench's.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class LookaheadState(NamedTuple):
  """What is kept between steps.

  Attributes:
    count: int32 scalar, the steps taken.
    average: a tree like the parameters.
  """

  count: Any
  average: Any


def lookahead(every: int, decay: float, num_steps: int) -> optax.GradientTransformation:
  """Puts the weights on their average every few steps, and at the end of the run.

  After step t, of T, where t is a multiple of `every`, the average moves to the weights but for a
  share `decay ** every * (t / T) ** 3` of itself, and the weights take its place. After step T they
  take the place of the average as it then stands.

  Args:
    every: steps between two such places.
    decay: of the average, for one step, at the end of the run.
    num_steps: of the run.
  """
  every = min(every, num_steps)  # else a short run would end where it began

  def init(params: Any) -> LookaheadState:
    return LookaheadState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.copy, params))

  def update(updates: Any, state: LookaheadState, params: Any) -> tuple[Any, LookaheadState]:
    count = state.count + 1
    meet = count % every == 0
    keep = jnp.where(meet, decay**every * (count / num_steps) ** 3, 1.0)
    weights = optax.apply_updates(params, updates)
    average = jax.tree.map(lambda old, new: keep * old + (1.0 - keep) * new, state.average, weights)
    to_average = meet | (count == num_steps)
    updates = jax.tree.map(
      lambda update, end, start: jnp.where(to_average, end - start, update),
      updates,
      average,
      params,
    )
    return updates, LookaheadState(count, average)

  return optax.GradientTransformation(init, update)
