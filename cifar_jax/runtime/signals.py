"""Turns SIGTERM and Ctrl-C into a request to save a checkpoint and exit.

SIGTERM also announces that a machine is about to be taken away. Clouds shut down a preempted VM as
if its power button were pressed, which sends SIGTERM to every process. Containers, Slurm and
Kubernetes send it when a job ends. About half a minute is left then.
"""

import os
import signal
import threading
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_END = 0  # tells the watching thread to end; no signal has this number


class StopRequest:
  """Within its `with` block, records the first SIGTERM or Ctrl-C and exits at once on the second.

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

  def __enter__(self) -> 'StopRequest':
    """Replaces the handlers of both signals; works only in the main thread."""
    self._reader, self._writer = os.pipe()
    os.set_blocking(self._writer, False)
    self._previous_fd = signal.set_wakeup_fd(self._writer)
    for number in SIGNALS:
      self._previous_handlers[number] = signal.signal(number, lambda *_: None)
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()
    return self

  def __exit__(self, *_: object) -> None:
    """Restores the handlers."""
    for number, handler in self._previous_handlers.items():
      signal.signal(number, handler)
    signal.set_wakeup_fd(self._previous_fd)
    os.write(self._writer, bytes([_END]))
    self._thread.join()
    os.close(self._reader)
    os.close(self._writer)

  def _watch(self) -> None:
    while (number := os.read(self._reader, 1)[0]) != _END:
      if number not in SIGNALS:
        continue
      if self.received_signal or not self.unsaved:
        consequence = (
          'the last checkpoint is intact' if self.unsaved else 'there was nothing to save'
        )
        line = f'cifar_jax: {signal.Signals(number).name}: stopped at once; {consequence}\n'
        os.write(2, line.encode())  # `print` could wait for a lock that another thread holds
        os._exit(128 + number)  # safe at any moment: half-written files do not count
      self.received_signal = signal.Signals(number)

  @property
  def exit_status(self) -> int:
    """The shell's convention, 128 + the number of `agreed_signal`; 0 without a signal."""
    return 128 + self.agreed_signal if self.agreed_signal else 0
