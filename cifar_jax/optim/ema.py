"""An exponential moving average of the weights, which is evaluated in their place.

The decay grows over the first steps, so that the average soon forgets the initial weights: it is
that of TensorFlow's `ExponentialMovingAverage` with `num_updates`, with which EfficientNet was
trained (Tan and Le 2019, arXiv 1905.11946).
"""

from typing import Any

import jax.numpy as jnp
import optax


def update(average: Any, weights: Any, decay: float, num_updates: Any) -> Any:
  """The average after one more step.

  Args:
    average: the average so far, a tree of float32 arrays.
    weights: the weights after the step, a tree of the same shapes.
    decay: the share of itself that the average keeps in a step, after the first steps.
    num_updates: int32 scalar, the number of steps taken, with this one.

  Returns:
    `d * average + (1 - d) * weights`, where d is the lower of `decay` and (1 + n) / (10 + n) after
    n steps.
  """
  share = jnp.minimum(decay, (1.0 + num_updates) / (10.0 + num_updates))
  return optax.incremental_update(weights, average, 1.0 - share)
