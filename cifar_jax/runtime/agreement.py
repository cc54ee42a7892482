"""A number on which all processes of a run agree after the same step."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cifar_jax.runtime import processes
from cifar_jax.runtime.devices import batch_sharding, jit_in_turn, replicated_sharding

AGREE_EVERY = 8  # dispatches between two exchanges


class Agreement:
  """Computes the largest of one number per process, known to all processes after the same step.

  The exchange is an all-reduce of four bytes. It begins after every `AGREE_EVERY` dispatches, and
  its result is read when the next one begins. By then it has long arrived, so no step waits for it,
  except on CPUs, where programs take turns. All processes agree at most 2 * `AGREE_EVERY`
  dispatches after one of them had the number.
  """

  def __init__(self, mesh: Mesh) -> None:
    """Prepares the exchange over a mesh; the first exchange compiles."""
    self._mesh = mesh
    self._num_calls = 0
    self._pending: jax.Array | None = None
    self._max = jit_in_turn(jnp.max, out_shardings=replicated_sharding(mesh))

  def largest(self, number: int) -> int:
    """Returns the largest number of a finished exchange, or 0 between two exchanges.

    Call it after each dispatch, in all processes.

    Args:
      number: of this process, at least 0. In a run of one process it is returned at once.
    """
    if not processes.are_several():
      return number
    self._num_calls += 1
    if self._num_calls % AGREE_EVERY:
      return 0
    agreed = 0 if self._pending is None else int(self._pending)
    self._pending = self._exchange(number)
    return agreed

  def largest_now(self, number: int) -> int:
    """Returns the largest number, for which all processes wait. Arguments as of `largest`."""
    return int(self._exchange(number)) if processes.are_several() else number

  def _exchange(self, number: int) -> jax.Array:
    local = np.full(1, number, np.int32)
    return self._max(
      jax.make_array_from_callback((self._mesh.size,), batch_sharding(self._mesh), lambda _: local)
    )
