"""Lookahead: every few steps the weights are replaced by a running average of themselves.

Zhang et al. 2019, arXiv 1907.08610. The decay that grows over the run, so that the weights end as
an average, is that of hlb-CIFAR10 and cifar10-airbench.
"""

from typing import Any

import jax
import jax.numpy as jnp


def update(
  average: Any, weights: Any, step: jax.Array, every: int, decay: float, num_steps: int
) -> tuple[Any, Any]:
  """The average and the weights after a step.

  After step t of T, where t is a multiple of `every`, the average keeps the share
  `decay ** every * (t / T) ** 3` of itself and takes the rest from the weights; then the weights
  are set to the average. After step T the weights are set to the average in any case. Running
  statistics are averaged with the weights, as in cifar10-airbench.

  Args:
    average: the average so far, a tree of float32 arrays. It begins as a copy of the weights.
    weights: the weights and running statistics after the step, a tree of the same shapes.
    step: int32 scalar, the number of steps taken, with this one.
    every: number of steps between two averages.
    decay: decay of the average per step, at the end of the run.
    num_steps: number of steps of the run.

  Returns:
    The new average, and the new weights.
  """
  every = min(every, num_steps)  # otherwise a short run would end at its initial weights
  is_due = step % every == 0
  share = jnp.where(is_due, 1.0 - decay**every * (step / num_steps) ** 3, 0.0)
  # In this form the average of equal values is their value: frozen weights do not move.
  average = jax.tree.map(lambda old, new: old + share * (new - old), average, weights)
  is_replaced = is_due | (step == num_steps)
  weights = jax.tree.map(lambda mean, new: jnp.where(is_replaced, mean, new), average, weights)
  return average, weights
