"""Deep Networks with Stochastic Depth: Huang et al. 2016, arXiv 1603.09382.

Each residual branch is dropped for a whole mini-batch, with a probability that rises linearly with
depth. Nothing is rescaled in training; at test time each branch is multiplied by its survival
probability (section 3, eq. 5), as in the authors' `ResidualDrop.lua`. A dropped branch is not
computed, and its running statistics do not change. (Several seeds at once on an accelerator: it is
computed, and the result is discarded.)

Every residual family has this as its fields `survival_probability` (of its last block) and
`survival_decay`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.errors import InputError
from cifar_jax.models.layers.field_checks import check_one_of
from cifar_jax.models.layers.residual import Gates

DECAYS = ('linear', 'uniform')  # section 3: survival falls with depth, or is the same for all


def survival_probabilities(num_blocks: int, last: float, decay: str = 'linear') -> np.ndarray:
  """The survival probability of each block, float32 `[blocks]`.

  Args:
    num_blocks: number of residual blocks, L.
    last: survival probability of the last block, p_L.
    decay: `linear`, eq. 4: `p_l = 1 - l / L * (1 - p_L)` for `l = 1 .. L`; or `uniform`: p_L.
  """
  depth = np.arange(1, num_blocks + 1) / num_blocks if decay == 'linear' else np.ones(num_blocks)
  return (1.0 - depth * (1.0 - last)).astype(np.float32)


def survival_gates(
  key: jax.Array | None, num_blocks: int, last: float, decay: str = 'linear'
) -> Gates:
  """Draws which blocks survive a mini-batch.

  Args:
    key: a scalar key; None at test time.
    num_blocks: number of residual blocks, L.
    last: survival probability of the last block, p_L.
    decay: one of `DECAYS`.

  Returns:
    Gates `[blocks, 1]`: 0 or 1 in training, the survival probabilities at test time. The gradient
    has the same factor.
  """
  survival = jnp.asarray(survival_probabilities(num_blocks, last, decay))[:, None]
  value = survival if key is None else jax.random.bernoulli(key, survival).astype(jnp.float32)
  return Gates(value, value, jnp.ones(num_blocks, jnp.float32))


def draw_survival_gates(net: Any, train: bool) -> Gates | None:
  """The gates of a net that is given none; None where every block always survives.

  Args:
    net: a bound `ResidualNet`; in training its stream `drop_path` is drawn from.
    train: whether to draw, or to take the expectation.
  """
  if net.survival_probability == 1.0:
    return None
  key = net.make_rng('drop_path') if train else None
  return survival_gates(key, net.num_blocks, net.survival_probability, net.survival_decay)


def check_survival(last: float, decay: str) -> None:
  """Checks the fields `survival_probability` and `survival_decay`.

  Raises:
    InputError: the probability `last` is not in (0, 1], or the decay is unknown.
  """
  if not 0.0 < last <= 1.0:
    raise InputError(f'model.survival_probability is {last}; it must be above 0 and at most 1')
  check_one_of('survival_decay', decay, DECAYS)
