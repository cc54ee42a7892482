"""What a run is between two steps: arrays, and nothing else.

Together with the configuration this determines everything that follows; see `keys.py` for why no
key is among them.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from cifar_jax import keys, metrics

NEVER = jnp.iinfo(jnp.int32).max


@struct.dataclass
class State:
  """The state after `step` steps, replicated over the mesh; of several seeds, see `seeds.py`.

  Attributes:
    step: int32 scalar, the number of steps taken.
    params: float32 tree of the model.
    batch_stats: float32 tree of the running means and variances.
    opt_state: the optimizer's tree.
    means: of the training examples since the last record, so that a resumed run writes the same.
    first_nonfinite: int32 scalar, twice the first step whose loss was not finite, one more where
      only its gradient was not; `NEVER` while there was none.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  means: metrics.Means
  first_nonfinite: jax.Array

  @property
  def num_steps(self) -> int:
    """`step` on the host; it is the same for all seeds of a stack."""
    return int(np.ravel(self.step)[0])


def create(
  model: nn.Module,
  tx: optax.GradientTransformation,
  key: jax.Array,
  image_shape: tuple[int, ...],
) -> State:
  """The state before the first step.

  Args:
    model: takes float32 `[batch, *image_shape]`.
    tx: the optimizer.
    key: the root key, a scalar.
    image_shape: height, width, channels.
  """
  images = jnp.zeros((1, *image_shape), jnp.float32)
  variables = model.init(keys.stream(key, 'init', 0), images, train=False)
  params = variables['params']
  return State(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=variables.get('batch_stats', {}),
    opt_state=tx.init(params),
    means=metrics.Means.empty(),
    first_nonfinite=jnp.full((), NEVER, jnp.int32),
  )
