"""Turns SIGTERM, Ctrl-C and SIGHUP into a request to save a checkpoint and exit.

SIGTERM also announces that a machine is about to be taken away. Clouds shut down a preempted VM as
if its power button were pressed, which sends SIGTERM to every process. Containers, Slurm and
Kubernetes send it when a job ends. About half a minute is left then. SIGHUP comes when a terminal
or its ssh connection closes.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
GRACE_SECONDS = 2.0  # after Ctrl-C, for the code that it interrupts
_END = 0  # tells the watching thread to end; no signal has this number


def end_at_interrupt_until_command_runs() -> None:
  """Lets Ctrl-C end a command of this program with one line while it still imports its modules.

  Call it first on `import cifar_jax`. In any other program it changes nothing. Once the command
  runs, `ending_at_interrupt` takes over.
  """
  script = os.path.basename(sys.argv[0]) if sys.argv else ''
  module = sys.orig_argv[sys.orig_argv.index('-m') + 1 :] if '-m' in sys.orig_argv else []
  # `python -m` imports the package before it puts the module's file in place of '-m'.
  is_module = script == '-m' and module[:1] and module[0].partition('.')[0] == 'cifar_jax'
  if not is_module and script != 'cifar-jax':
    return
  if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end_at_once)


def _end_at_once(number: int, _: object) -> None:
  _exit('interrupted', number)


class StopRequest:
  """Within its `with` block, records the first of `SIGNALS` and exits at once on the second.

  The first signal also exits at once if no work would be lost. Python runs its signal handlers only
  when a compilation or an evaluation is over; this class watches in a thread, which need not wait.

  Attributes:
    received_signal: the signal that this process received; None before.
    agreed_signal: the signal that stops the run, in all its processes after the same step; None
      before. The training loop sets it.
    unsaved: whether an exit at once would lose work. The training loop keeps it up to date.
  """

  def __init__(self) -> None:
    """Starts without a signal and without unsaved work."""
    self.received_signal: signal.Signals | None = None
    self.agreed_signal: signal.Signals | None = None
    self.unsaved = False
    self._previous_handlers: dict[signal.Signals, Any] = {}
    self._watching = _watching(self._receive)

  def __enter__(self) -> 'StopRequest':
    """Replaces the handlers of the signals; works only in the main thread.

    A signal that is ignored stays so: `nohup` wants no SIGHUP, a script's `&` no Ctrl-C.
    """
    self._watching.__enter__()
    for number in SIGNALS:
      if signal.getsignal(number) is not signal.SIG_IGN:
        self._previous_handlers[number] = signal.signal(number, lambda *_: None)
    return self

  def __exit__(self, *error: Any) -> None:
    """Restores the handlers."""
    for number, handler in self._previous_handlers.items():
      signal.signal(number, handler)
    self._watching.__exit__(*error)

  def _receive(self, number: int) -> None:
    if number not in SIGNALS:
      return
    if self.received_signal or not self.unsaved:
      consequence = 'the last checkpoint is intact' if self.unsaved else 'there was nothing to save'
      # Safe at any moment: half-written files do not count.
      _exit(f'{signal.Signals(number).name}: stopped at once; {consequence}', number)
    self.received_signal = signal.Signals(number)

  @property
  def exit_status(self) -> int:
    """The shell's convention, 128 + the number of `agreed_signal`; 0 without a signal."""
    return 128 + self.agreed_signal if self.agreed_signal else 0


@contextlib.contextmanager
def ending_at_interrupt() -> Iterator[threading.Event]:
  """Within the block Ctrl-C ends the process, even where its KeyboardInterrupt is lost or late.

  Python drops an exception that is raised in a callback, such as those of imports and of `__del__`,
  and it raises none during a compilation. If the block has not ended `GRACE_SECONDS` after Ctrl-C,
  the process exits. Where something else handles Ctrl-C it does not.

  Yields:
    An event that is set once Ctrl-C came. An error after that, such as the ImportError of a module
    written in C, is its consequence.
  """
  interrupted, ended = threading.Event(), threading.Event()
  if signal.getsignal(signal.SIGINT) is _end_at_once:
    signal.signal(signal.SIGINT, signal.default_int_handler)

  def receive(number: int) -> None:
    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if number != signal.SIGINT or not raises:
      return
    interrupted.set()
    if not ended.wait(GRACE_SECONDS):
      _exit('interrupted', number)

  with _watching(receive):
    try:
      yield interrupted
    finally:
      ended.set()


@contextlib.contextmanager
def _watching(receive: Callable[[int], None]) -> Iterator[None]:
  """Within the block, calls a function with the number of each signal that Python handles.

  The call comes at once, in a thread. Works only in the main thread; blocks may be nested, and the
  innermost receives.
  """
  reader, writer = os.pipe()
  os.set_blocking(writer, False)

  def watch() -> None:
    while (number := os.read(reader, 1)[0]) != _END:
      receive(number)

  thread = threading.Thread(target=watch, daemon=True)
  thread.start()
  previous = signal.set_wakeup_fd(writer)
  try:
    yield
  finally:
    signal.set_wakeup_fd(previous)
    os.write(writer, bytes([_END]))
    thread.join()
    os.close(reader)
    os.close(writer)


def _exit(message: str, number: int) -> None:
  """Writes a line to standard error and ends the process with the status of a signal."""
  with contextlib.suppress(OSError):  # the terminal may be gone
    # `print` could wait for a lock that another thread holds.
    os.write(2, f'cifar_jax: {message}\n'.encode())
  os._exit(128 + number)
