"""Runs a command to its end, and hands it the signals that ask to stop."""

import signal
import subprocess

_STOPS = (signal.SIGINT, signal.SIGTERM)


def run(command: list[str]) -> tuple[int, bool]:
  """Runs a command.

  It has a process group of its own, so that Ctrl-C reaches it once, through here: a run saves and
  leaves at the first signal, and leaves at once at the second.

  Returns:
    Its exit status, 128 + the number of the signal that ended it; and whether it was asked to stop.
  """
  asked = False
  previous = {number: signal.getsignal(number) for number in _STOPS}
  with subprocess.Popen(command, process_group=0) as process:

    def pass_on(number: int, _: object) -> None:
      nonlocal asked
      asked = True
      process.send_signal(number)

    try:
      for number in _STOPS:
        signal.signal(number, pass_on)
      status = process.wait()
    finally:
      for number, handler in previous.items():
        signal.signal(number, handler)
  return (status if status >= 0 else 128 - status), asked
