"""A profile of some steps of a run, as JAX's profiler writes it: `train.profile`.

It leaves, below `profile/plugins/profile/DATE` in the workdir, `perfetto_trace.json.gz`, which
https://ui.perfetto.dev opens, and `HOST.xplane.pb`, which TensorBoard reads with its profile plugin
(the package `xprof`). DATE is the second in which it was written.
"""

import pathlib
from typing import Any

import jax

from cifar_jax import processes
from cifar_jax.progress import logger
from cifar_jax.state import State

FOLDER = 'profile'  # in the workdir
STEPS = 5  # traced at least; whole dispatches are


class Profile:
  """The profile of a session, by the first process alone. To be used in a `with` block."""

  def __init__(self, first_step: int, folder: pathlib.Path) -> None:
    """Begins after `first_step` steps, 0 for never, and writes into `folder`."""
    self._first_step = first_step if processes.is_first() else 0
    self._folder, self._tracing = folder, False

  def between(self, step: int, state: State) -> bool:
    """Begins or ends the trace where it is time; to be called before each dispatch.

    Args:
      step: steps taken.
      state: after them.

    Returns:
      Whether that took time, which is not the steps'.
    """
    begins = not self._tracing and 0 < self._first_step == step
    ends = self._tracing and step >= self._first_step + STEPS
    if begins or ends:
      jax.block_until_ready(state.step)
    if begins:
      options = jax.profiler.ProfileOptions()
      options.python_tracer_level = 0  # whose every call of a builtin would hide what matters
      jax.profiler.start_trace(self._folder, create_perfetto_trace=True, profiler_options=options)
      self._tracing = True
    if ends:
      self._end()
    return begins or ends

  def _end(self) -> None:
    self._tracing = False
    jax.profiler.stop_trace()
    traces = self._folder.glob('plugins/profile/*/perfetto_trace.json.gz')
    newest = max(traces, key=lambda path: path.stat().st_mtime)
    logger.info(
      'profile from step %d on: open %s at https://ui.perfetto.dev, or run tensorboard --logdir %s '
      'with its profile plugin (pip install xprof)',
      *(self._first_step, newest, self._folder),
    )

  def __enter__(self) -> 'Profile':
    """Nothing more to do."""
    return self

  def __exit__(self, *_: Any) -> None:
    """Ends a trace that the run ended before."""
    if self._tracing:
      self._end()
