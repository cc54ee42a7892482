"""Runs a command in a child process, and passes signals to stop on to it."""

import signal
import subprocess

from cifar_jax.runtime.signals import SIGNALS


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
  with subprocess.Popen(command, process_group=0) as process:

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
