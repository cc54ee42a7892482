"""Ends a helper process with the process that started it, however that one ends."""

import multiprocessing
import os
import signal
import threading


def end_with_parent() -> None:
  """Ends this process soon after its parent; call it in a process of `multiprocessing`.

  A process of a pool waits for work in a pipe that it holds open itself, so that without this it
  waits for ever once its parent was killed. Ctrl-C in a terminal reaches both, and is the parent's.
  """
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
  parent = multiprocessing.parent_process()
  assert parent
  parent.join()
  os._exit(1)
