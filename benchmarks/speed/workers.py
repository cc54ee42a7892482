"""The controller's end of the pipe, and the environment of both sides."""

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

from cifar_jax.errors import InputError
from cifar_jax.runtime import xla_flags

ROOT = pathlib.Path(__file__).parents[2]
# By default PyTorch's waiting threads spin, and take a core from the side that computes. Variables
# that the user has set are not changed, here and for the memory allocator.
SLEEP = {'OMP_WAIT_POLICY': 'passive', 'KMP_BLOCKTIME': '0', 'GOMP_SPINCOUNT': '0'}
TIMEOUT = 1200.0  # seconds after which the process of a request is taken to hang


class WorkerError(RuntimeError):
  """A worker failed at a request, ended, or took too long; the text says which."""


class Worker:
  """A process of one side, for a `with` block, which ends the process."""

  def __init__(self, command: list[str], environment: dict[str, str]) -> None:
    """Starts the process, which then waits for requests."""
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
    """Returns the worker."""
    return self

  def __exit__(self, *_: Any) -> None:
    """Ends the process."""
    self.close()

  def close(self) -> None:
    """Ends the process and its children; does nothing when called again."""
    _end(self._process)
    for pipe in (self._requests, self._answers, self._log):
      with contextlib.suppress(BrokenPipeError):  # a request that the process had not read
        pipe.close()

  def ask(self, do: str, limit: float = TIMEOUT, **arguments: Any) -> dict[str, Any]:
    """Sends a request, and waits for the answer.

    Args:
      do: name of the request.
      limit: largest number of seconds until the answer.
      **arguments: of the request.

    Returns:
      The answer, with the seconds until it came as `waited`.

    Raises:
      WorkerError: there is no answer, or the answer is an error.
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
      raise WorkerError(f'the process ended: {self._last_line()}')
    answer = json.loads(line)
    if 'error' in answer:
      raise WorkerError(answer['error'])
    return answer | {'waited': time.perf_counter() - start}

  def _last_line(self) -> str:
    """Returns the last line that the process printed."""
    self._log.seek(0)
    lines = self._log.read().strip().splitlines()
    return lines[-1] if lines else 'it printed nothing'


def start_side(
  name: str, python: str, settings: dict[str, Any], device: str, cache: pathlib.Path
) -> Worker:
  """Starts the worker of a side, which then waits for requests.

  Args:
    name: `ours` or `torch`.
    python: the interpreter with the side's packages.
    settings: argument of the side's module.
    device: `cpu` or `gpu`.
    cache: folder for compiled programs.
  """
  module = {'ours': 'jax_side', 'torch': 'torch_side'}[name]
  command = [python, '-m', f'benchmarks.speed.{module}', json.dumps(settings)]
  return Worker(command, environment(name, device, cache))


def _end(process: subprocess.Popen[Any]) -> None:
  """Ends a process and its children, such as a compiler, which would otherwise go on."""
  with contextlib.suppress(ProcessLookupError):
    os.killpg(process.pid, signal.SIGKILL)
  process.wait()


def environment(side: str, device: str, cache: pathlib.Path) -> dict[str, str]:
  """Returns the environment of a side.

  Both sides use the memory allocator with the settings of `xla_flags`. Our side sets them by
  itself; for PyTorch they are variables here, unless the user has set some.

  Args:
    side: `ours` or `torch`.
    device: `cpu` or `gpu`.
    cache: folder for compiled programs.
  """
  result = {'PYTHONPATH': str(ROOT), **SLEEP} | {k: os.environ[k] for k in SLEEP if k in os.environ}
  if side == 'ours':
    # Packages of our side may lie in a directory of their own; PyTorch's Python may be another one.
    paths = [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
    result |= {
      'PYTHONPATH': os.pathsep.join(paths),
      'JAX_PLATFORMS': {'cpu': 'cpu', 'gpu': 'cuda'}[device],
      'JAX_COMPILATION_CACHE_DIR': str(cache),
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
      'XLA_PYTHON_CLIENT_PREALLOCATE': 'false',  # PyTorch is on the same device
    }
  else:
    result |= {'TORCHINDUCTOR_CACHE_DIR': str(cache)}
    if not xla_flags.MALLOC.keys() & os.environ.keys():
      result |= {name: str(value) for name, (_, value) in xla_flags.MALLOC.items()}
  return dict(os.environ) | result


def seconds_until(
  command: list[str], environment: dict[str, str], text: str, limit: float
) -> float | None:
  """Returns the seconds from the start of a command until it prints a text; then ends it.

  Args:
    command: program and arguments.
    environment: variables of the process.
    text: the text to wait for.
    limit: seconds after which the result is None.

  Raises:
    InputError: the command ended without printing the text.
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
