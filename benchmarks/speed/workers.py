"""The controller's end of the pipe, and what both sides find in their environment."""

import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import tempfile
import time
from typing import Any

from cifar_jax import backend
from cifar_jax.errors import InputError

ROOT = pathlib.Path(__file__).parents[2]
# Threads of PyTorch that wait would spin, and take a core from the side that computes. What the
# user has set stays as it is, as do the settings of memory.
SLEEP = {'OMP_WAIT_POLICY': 'passive', 'KMP_BLOCKTIME': '0', 'GOMP_SPINCOUNT': '0'}


LONGEST = 1200.0  # seconds of a request, after which its process is taken to hang


class WorkerError(RuntimeError):
  """A worker failed at a request, ended, or took longer than it may; the text says which."""


class Worker:
  """A process of one side, to be used in a `with` block, whose end ends it."""

  def __init__(self, command: list[str], environment: dict[str, str]) -> None:
    """Starts the process, which waits for requests."""
    self._log = tempfile.TemporaryFile('w+')  # noqa: SIM115 (open as long as the process runs)
    self._process = subprocess.Popen(
      command,
      cwd=ROOT,
      env=environment,
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._log,
      text=True,
      start_new_session=True,
    )
    assert self._process.stdin and self._process.stdout
    self._requests, self._answers = self._process.stdin, self._process.stdout

  def __enter__(self) -> 'Worker':
    """Nothing more to do."""
    return self

  def __exit__(self, *_: Any) -> None:
    """Ends the process."""
    self.close()

  def close(self) -> None:
    """Ends the process and those it started; does nothing the second time."""
    _end(self._process)
    for pipe in (self._requests, self._answers, self._log):
      with contextlib.suppress(BrokenPipeError):  # what the dead have not read
        pipe.close()

  def ask(self, do: str, limit: float = LONGEST, **arguments: Any) -> dict[str, Any]:
    """Requests, and waits for the answer.

    Args:
      do: name of the request.
      limit: seconds that it may take.
      **arguments: of the request.

    Returns:
      The answer, and under `waited` the seconds until it came.

    Raises:
      WorkerError: there is no answer, or it is an error.
    """
    start = time.perf_counter()
    try:
      self._requests.write(json.dumps({'do': do, **arguments}) + '\n')
      self._requests.flush()
      ready, _, _ = select.select([self._answers], [], [], limit)
    except BrokenPipeError:
      ready = [self._answers]
    if not ready:
      self.close()
      raise WorkerError(f'not done within {limit:g} s')
    line = self._answers.readline()
    if not line:
      raise WorkerError(f'the process ended: {self._last_words()}')
    answer = json.loads(line)
    if 'error' in answer:
      raise WorkerError(answer['error'])
    return answer | {'waited': time.perf_counter() - start}

  def _last_words(self) -> str:
    self._log.seek(0)
    lines = self._log.read().strip().splitlines()
    return lines[-1] if lines else 'without a word'


def side(
  name: str, python: str, settings: dict[str, Any], device: str, cache: pathlib.Path
) -> Worker:
  """The worker of a side, waiting for requests.

  Args:
    name: `ours` or `torch`.
    python: the interpreter that has its packages.
    settings: what it is started with.
    device: `cpu` or `gpu`.
    cache: where it keeps what it has compiled.
  """
  module = {'ours': 'ours', 'torch': 'theirs'}[name]
  command = [python, '-m', f'benchmarks.speed.{module}', json.dumps(settings)]
  return Worker(command, environment(name, device, cache))


def _end(process: subprocess.Popen[Any]) -> None:
  """Ends a process and those it started, such as a compiler, which would go on computing."""
  with contextlib.suppress(ProcessLookupError):
    os.killpg(process.pid, signal.SIGKILL)
  process.wait()


def environment(side: str, device: str, cache: pathlib.Path) -> dict[str, str]:
  """The environment of a side: `ours` or `torch`.

  Both keep memory as `backend` has it: ours sets that by itself, PyTorch by the variables, unless
  they are set already.

  Args:
    side: which.
    device: `cpu` or `gpu`.
    cache: where it keeps what it has compiled.
  """
  result = {'PYTHONPATH': str(ROOT), **SLEEP} | {k: os.environ[k] for k in SLEEP if k in os.environ}
  if side == 'ours':
    result |= {
      'JAX_PLATFORMS': {'cpu': 'cpu', 'gpu': 'cuda'}[device],
      'JAX_COMPILATION_CACHE_DIR': str(cache),
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
      'XLA_PYTHON_CLIENT_PREALLOCATE': 'false',  # PyTorch is on the same device
    }
  else:
    result |= {'TORCHINDUCTOR_CACHE_DIR': str(cache)}
    if not backend.MALLOC.keys() & os.environ.keys():
      result |= {name: str(value) for name, (_, value) in backend.MALLOC.items()}
  return dict(os.environ) | result


def seconds_until(
  command: list[str], environment: dict[str, str], text: str, limit: float
) -> float | None:
  """Seconds from a command to the first line with a text that it prints; then it is ended.

  None where that does not come within the limit.
  """
  start = time.perf_counter()
  process = subprocess.Popen(
    command,
    cwd=ROOT,
    env=environment,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    start_new_session=True,
  )
  assert process.stdout
  seen = b''
  try:
    while True:
      left = start + limit - time.perf_counter()
      if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
        return None
      chunk = os.read(process.stdout.fileno(), 65536)
      if not chunk:
        raise InputError(f'{" ".join(command[:4])} ended: {seen.decode()[-300:]!r}')
      seen += chunk
      if text.encode() in seen:
        return time.perf_counter() - start
  finally:
    _end(process)
