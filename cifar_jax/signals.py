"""SIGTERM and Ctrl-C as a request to save and leave.

SIGTERM is also how a machine that is taken away says so: clouds shut a preempted VM down as if its
power button were pressed, which sends every process SIGTERM, as containers, Slurm and Kubernetes do
at the end of their jobs, half a minute before the end.
"""

import os
import signal
import threading
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
_END = 0  # no signal's number


class StopRequest:
  """While its `with` block lasts, the first SIGTERM or Ctrl-C is noted; a second leaves at once.

  So does the first where nothing would be lost. Python's own handlers wait until a compilation or
  an evaluation is over; this is a thread, which does not.

  Attributes:
    received: the signal that came; None while there was none.
    agreed: the signal that stops the run, in all its processes after the same step; to be set by
      who takes the steps.
    unsaved: whether leaving at once would lose work; to be kept up to date by who does the work.
  """

  def __init__(self) -> None:
    """No signal yet, nothing to lose."""
    self.received: signal.Signals | None = None
    self.agreed: signal.Signals | None = None
    self.unsaved = False
    self._previous: dict[signal.Signals, Any] = {}

  def __enter__(self) -> 'StopRequest':
    """Takes the signals over; only the main thread may."""
    self._reader, self._writer = os.pipe()
    os.set_blocking(self._writer, False)
    self._previous_fd = signal.set_wakeup_fd(self._writer)
    for number in SIGNALS:
      self._previous[number] = signal.signal(number, lambda *_: None)
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()
    return self

  def __exit__(self, *_: Any) -> None:
    """Gives them back."""
    for number, handler in self._previous.items():
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
      if self.received or not self.unsaved:
        lost = 'the last checkpoint is sound' if self.unsaved else 'there was nothing to save'
        told = f'cifar_jax: {signal.Signals(number).name}: left at once; {lost}\n'
        os.write(2, told.encode())  # what Python would write may wait for a lock
        os._exit(128 + number)  # whatever is half written does not count, at any moment
      self.received = signal.Signals(number)

  @property
  def exit_status(self) -> int:
    """The shell's convention, 128 + the signal's number; 0 without a signal."""
    return 128 + self.agreed if self.agreed else 0
