"""SIGTERM and Ctrl-C as a request to save and leave."""

import signal
from types import FrameType
from typing import Any


class StopRequest:
  """While its `with` block lasts, the first SIGTERM or Ctrl-C is noted; a second acts at once.

  Attributes:
    received: the signal that came; None while there was none.
  """

  def __init__(self) -> None:
    """No signal yet."""
    self.received: signal.Signals | None = None
    self._previous: dict[signal.Signals, Any] = {}

  def __enter__(self) -> 'StopRequest':
    """Takes the signals over."""
    for number in (signal.SIGTERM, signal.SIGINT):
      self._previous[number] = signal.signal(number, self._note)
    return self

  def __exit__(self, *_: Any) -> None:
    """Gives them back."""
    self._restore()

  def _note(self, number: int, _: FrameType | None) -> None:
    self.received = signal.Signals(number)
    self._restore()

  def _restore(self) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)

  @property
  def exit_status(self) -> int:
    """The shell's convention, 128 + the signal's number; 0 without a signal."""
    return 128 + self.received if self.received else 0
