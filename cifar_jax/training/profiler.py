"""A trace of a few training steps by JAX's profiler: the key `train.profile`.

Below `profile/plugins/profile/DATE` in the workdir the profiler writes two files:
`perfetto_trace.json.gz`, which https://ui.perfetto.dev opens, and `HOST.xplane.pb`, which
TensorBoard reads with its profile plugin (the package `xprof`). DATE is the time of writing, to the
second.
"""

import pathlib

import jax

from cifar_jax import own_files
from cifar_jax.experiment.state import State
from cifar_jax.runtime import processes
from cifar_jax.runtime.console import logger

FOLDER = 'profile'  # in the workdir
MIN_STEPS = 5  # the trace ends at the first dispatch after this number of steps


class Profiler:
  """Traces some steps of a session, in the first process only.

  Use it in a `with` block.
  """

  def __init__(self, first_step: int, folder: pathlib.Path) -> None:
    """Sets what to trace.

    Args:
      first_step: number of steps before the trace begins; 0 for no trace.
      folder: where the trace is written; made if it does not exist.
    """
    self._first_step = first_step if processes.is_first() else 0
    self._folder, self._tracing = folder, False

  def before_dispatch(self, step: int, state: State) -> bool:
    """Begins or ends the trace if it is time; call it before each dispatch.

    Args:
      step: number of steps taken.
      state: the state after them.

    Returns:
      Whether the trace began or ended, which takes time that is not part of a step.
    """
    begins = not self._tracing and 0 < self._first_step == step
    ends = self._tracing and step >= self._first_step + MIN_STEPS
    if begins or ends:
      jax.block_until_ready(state.step)
    if begins:
      options = jax.profiler.ProfileOptions()
      options.python_tracer_level = 0  # tracing every call of a builtin would hide what matters
      jax.profiler.start_trace(self._folder, create_perfetto_trace=True, profiler_options=options)
      self._tracing = True
    if ends:
      self._end()
    return begins or ends

  def _end(self) -> None:
    self._tracing = False
    own_files.check_held(self._folder)
    jax.profiler.stop_trace()
    traces = self._folder.glob('plugins/profile/*/perfetto_trace.json.gz')
    newest = max(traces, key=lambda path: path.stat().st_mtime)
    logger.info(
      'profile from step %d on: open %s at https://ui.perfetto.dev, or run tensorboard --logdir %s '
      'with its profile plugin (pip install xprof)',
      *(self._first_step, newest, self._folder),
    )

  def __enter__(self) -> 'Profiler':
    """Returns the object itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Ends a trace that is still going on at the end of the session."""
    if self._tracing:
      self._end()
