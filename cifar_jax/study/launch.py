"""Runs a command in a child process, and passes signals to stop on to it.

Each run of a study has a process of its own. In one process a run that ends by a fault of a
library, for lack of memory or by a second Ctrl-C would end all others with it, settings that must
be made before JAX starts (`train.deterministic`) would hold for all, and memory that one run leaves
behind would be missing for the next. What a process pays, its start, is seconds; the larger share,
compilation, is paid once for all seeds of an entry by `shared_cache`.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator

from cifar_jax.runtime import child_process
from cifar_jax.runtime.jax_options import COMPILATION_CACHE
from cifar_jax.runtime.signals import SIGNALS


@contextlib.contextmanager
def shared_cache() -> Iterator[None]:
  """Within the block all runs share JAX's cache of compiled programs: seeds compile once.

  The cache is removed at the end. One that the environment names is used as it is, and kept.
  """
  if COMPILATION_CACHE in os.environ:
    yield
    return
  with tempfile.TemporaryDirectory(prefix='cifar_jax_study_', ignore_cleanup_errors=True) as folder:
    os.environ[COMPILATION_CACHE] = folder
    try:
      yield
    finally:
      del os.environ[COMPILATION_CACHE]


def run(command: list[str]) -> tuple[int, bool]:
  """Runs a command and waits until it ends.

  The child process gets a new process group, so that Ctrl-C reaches it only once, through this
  process: a run saves and ends at the first signal, but ends without saving at the second.

  Args:
    command: program and arguments.

  Returns:
    The exit status (128 + the number of the signal if a signal ended the command), and whether this
    process received a signal to stop.
  """
  stop_requested = False
  previous = {number: signal.getsignal(number) for number in SIGNALS}
  with child_process.same_modules():
    process = subprocess.Popen(command, process_group=0)
  with process:

    def pass_on(number: int, _: object) -> None:
      nonlocal stop_requested
      stop_requested = True
      process.send_signal(number)

    try:
      for number, handler in previous.items():
        if handler is not signal.SIG_IGN:  # as `nohup` sets it
          signal.signal(number, pass_on)
      status = process.wait()
    finally:
      for number, handler in previous.items():
        signal.signal(number, handler)
  return (status if status >= 0 else 128 - status), stop_requested
