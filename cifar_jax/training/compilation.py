"""Says how long the compilation of a training step takes, before and after it."""

import os
import time
from typing import Any

import jax

from cifar_jax.report.summary import duration
from cifar_jax.runtime.console import logger
from cifar_jax.runtime.jax_options import COMPILATION_CACHE

# Compilation takes the longer, the more different kernels there are: equal blocks are compiled as
# one. Measured on two AMD cores with an empty cache.
_SECONDS, _SECONDS_PER_KERNEL = 5.0, 0.5


def announcement(params: Any) -> str:
  """Returns the line that stands before a compilation.

  Args:
    params: the parameters of the net, arrays or their shapes.
  """
  if jax.default_backend() != 'cpu':
    how_long = 'a minute or more, once'
  else:
    kernels = {leaf.shape for leaf in jax.tree.leaves(params) if len(leaf.shape) > 1}
    seconds = _SECONDS + _SECONDS_PER_KERNEL * len(kernels)
    how_long = f'about {_rounded(seconds)}, once'
  if os.environ.get(COMPILATION_CACHE):
    how_long += f', unless {COMPILATION_CACHE} has it'
  return f'compiling the training step ({how_long})'


def _rounded(seconds: float) -> str:
  """Formats a rough duration: in steps of 10 s, from 90 s on in minutes."""
  if seconds >= 90:
    return f'{round(seconds / 60)} minutes'
  return f'{max(10, 10 * round(seconds / 10))} s'


class Compilation:
  """Announces the first call of each compiled program of a session, and notices its end."""

  def __init__(self) -> None:
    """Starts with nothing compiled."""
    self._compiled: set[int] = set()  # numbers of steps of the programs that have run
    self._started: float | None = None

  def announce(self, num_steps: int, params: Any) -> None:
    """Logs a line if the program of `num_steps` steps has not run yet.

    Args:
      num_steps: number of steps that one call of the program takes.
      params: the parameters of the net.
    """
    if num_steps not in self._compiled:
      self._compiled.add(num_steps)
      self._started = time.perf_counter()
      logger.info(announcement(params))

  def has_ended(self, result: jax.Array) -> bool:
    """Whether the call that has just been made was announced; waits until that call is over.

    Args:
      result: what the call returns, of any shape.
    """
    if self._started is None:
      return False
    jax.block_until_ready(result)
    logger.info('compiled after %s', duration(time.perf_counter() - self._started))
    self._started = None
    return True
