"""A helper process ends when the process that started it is killed."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.support.paths import ROOT

POOL = """
import concurrent.futures, multiprocessing, os, time
from cifar_jax.runtime.parent_process import end_with_parent
context = multiprocessing.get_context('spawn')
pool = concurrent.futures.ProcessPoolExecutor(1, context, end_with_parent)
print(pool.submit(os.getpid).result(), flush=True)
time.sleep(60)
"""


def is_alive(pid: int) -> bool:
  """Whether a process runs; one that has ended may wait for its parent as a zombie."""
  try:
    return ') Z ' not in pathlib.Path(f'/proc/{pid}/stat').read_text()
  except OSError:
    return False


@pytest.mark.skipif(not pathlib.Path('/proc').exists(), reason='there is no /proc')
def test_a_helper_of_a_killed_process_ends() -> None:
  environment = os.environ | {'PYTHONPATH': str(ROOT)}
  with subprocess.Popen(
    [sys.executable, '-c', POOL], env=environment, stdout=subprocess.PIPE, text=True
  ) as process:
    assert process.stdout
    helper = int(process.stdout.readline())
    os.kill(helper, signal.SIGINT)
    time.sleep(0.1)
    assert is_alive(helper)
    process.send_signal(signal.SIGKILL)
  end = time.monotonic() + 20
  while is_alive(helper) and time.monotonic() < end:
    time.sleep(0.02)
  assert not is_alive(helper)
