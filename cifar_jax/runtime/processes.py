"""Several processes of one run, as on a cluster: start-up, which one writes, and their parting.

Each process runs the same command and computes its share of every batch. The workdir and the
prepared data are on a file system that all processes see. In a run of one process every function
here returns at once.
"""

import contextlib
import faulthandler
import itertools
import json
import logging
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax

# This module is private. The barriers and messages of its client need no device, unlike those of
# `jax.experimental.multihost_utils`, and they can wait as long as a download takes.
from jax._src import distributed

from cifar_jax.errors import InputError
from cifar_jax.runtime.console import logger

AUTO = 'auto'  # as the coordinator: JAX finds its cluster itself
# Environment variables that give the number of processes, each with the function that reads it.
# Cloud TPU slices and some Kubernetes clusters give it only over the network. A process that runs
# alone should not wait for that answer, so these need `--coordinator auto`.
_COUNTS: dict[str, Callable[[str], int]] = {
  'SLURM_STEP_NUM_TASKS': int,
  'OMPI_COMM_WORLD_SIZE': int,
  'TPU_WORKER_HOSTNAMES': lambda names: len(names.split(',')),  # Google Kubernetes Engine
}
JOIN_SECONDS = 300  # how long to wait for the slowest machine of a job to start
LOST_SECONDS = 30  # without a heartbeat of a process, after which the remaining ones end
WAIT_SECONDS = 24 * 3600  # how long to wait for the first process to download and prepare the data
LOST = (
  'another process of this run died or never joined; everything saved is intact, and the same '
  'command in all processes, or in fewer, resumes the run'
)

_counter = itertools.count()  # gives each barrier and message a name, the same in every process


def start(coordinator: str, count: int, index: int) -> None:
  """Joins the other processes of the run, if there are any; call it before JAX uses a device.

  Args:
    coordinator: `HOST:PORT` where process 0 listens; 'auto' to let JAX find its cluster; '' for
      'auto' if an environment variable shows several processes, otherwise for a run of one process.
    count: number of processes; 0 to let JAX find it.
    index: index of this process, from 0; -1 to let JAX find it.

  Raises:
    InputError: the arguments contradict each other, or the other processes cannot be joined.
  """
  explicit = coordinator not in ('', AUTO)
  if explicit and not 0 <= index < count:
    raise InputError(
      f'--num_processes is {count} and --process_id {index}; with --coordinator give both, the id '
      'at least 0 and below the number'
    )
  if not explicit and (count, index) != (0, -1):
    raise InputError('--num_processes and --process_id go with --coordinator HOST:PORT')
  if explicit and not coordinator.rpartition(':')[2].isdecimal():
    raise InputError(f'--coordinator is {coordinator}; it is HOST:PORT, or {AUTO}')
  if not coordinator and not _environment_shows_several():
    return
  if explicit:
    logger.info('joining %s as process %d of %d', coordinator, index, count)
  _report_abort()
  # `agreement.Agreement` stops all processes after the same step, for every signal. JAX's own
  # preemption service would take SIGTERM for itself.
  jax.config.update('jax_enable_preemption_service', False)
  try:
    jax.distributed.initialize(
      coordinator if explicit else None,
      count or None,
      index if index >= 0 else None,
      cluster_detection_method='deactivate' if explicit else None,
      initialization_timeout=JOIN_SECONDS,
      heartbeat_timeout_seconds=LOST_SECONDS,
      shutdown_timeout_seconds=LOST_SECONDS,
    )
  except Exception as error:
    raise InputError(
      f'cannot join the other processes ({" ".join(str(error).split())[:200]}); give --coordinator '
      'HOST:PORT, --num_processes N and --process_id I, the first two the same everywhere'
    ) from error
  if not is_first():
    logger.setLevel(logging.WARNING)


def _environment_shows_several() -> bool:
  return any(_count(name) > 1 for name in _COUNTS)


def _count(name: str) -> int:
  """The number of processes that an environment variable gives; 0 if it is not set."""
  text = os.environ.get(name)
  try:
    return 0 if text is None else _COUNTS[name](text)
  except ValueError as error:
    raise InputError(f'{name} is {text!r}, not a number of processes: unset it') from error


def _report_abort() -> None:
  """Prints the line `LOST` when JAX aborts this process because another one died.

  JAX aborts from one of its threads, after many lines on standard error, and no Python code runs
  after that. So a shell waits for the report that `faulthandler` writes when the process crashes.
  It replaces the report of an abort by the line and prints any other report as it is.
  """
  script = (
    'text=$(cat); case $text in "") ;; '
    f'*Aborted*) echo "cifar_jax: {LOST}" ;; *) echo "$text" ;; esac >&2'
  )
  watcher = subprocess.Popen(['sh', '-c', script], stdin=subprocess.PIPE, start_new_session=True)
  assert watcher.stdin
  faulthandler.enable(watcher.stdin)


def part() -> None:
  """Waits for all processes, and ends what joins them; JAX computes nothing after that.

  From here on each process may take its time or die, and none of the remaining ones is aborted.
  """
  if are_several():
    _wait_at_barrier('parting')
    jax.distributed.shutdown()


def is_first() -> bool:
  """Whether this process is the one that writes files; starts no device."""
  return distributed.global_state.process_id == 0


def are_several() -> bool:
  """Whether the run has more than one process; starts no device."""
  return distributed.global_state.num_processes > 1


@contextlib.contextmanager
def first_process_first() -> Iterator[None]:
  """Lets the first process run the block alone, and then all remaining processes.

  The remaining processes find on the shared disk what the first one has written. If the first one
  fails, the remaining ones run the block anyway and fail with their own message.
  """
  name = f'turn {next(_counter)}'
  if not is_first():
    _wait_at_barrier(name)
  try:
    yield
  finally:
    if is_first():
      _wait_at_barrier(name)


def _wait_at_barrier(name: str) -> None:
  if are_several():
    _client().wait_at_barrier(name, 1000 * WAIT_SECONDS)


def _client() -> Any:
  return distributed.global_state.client


def broadcast_from_first(text: str) -> str:
  """Returns the first process's text in every process; the text of the remaining ones is unused."""
  if not are_several():
    return text
  name = f'text {next(_counter)}'
  if is_first():
    _client().key_value_set(name, text)
    return text
  return _client().blocking_key_value_get(name, 1000 * WAIT_SECONDS)


def check_same(facts: Callable[[], Mapping[str, object]]) -> None:
  """Checks that all processes of the run agree; call it in all of them.

  Args:
    facts: what must be the same everywhere, by the name that a message uses; called in a run of
      several processes only.

  Raises:
    InputError: a process has other facts than the first. All processes raise it, and the message
      names the process and the facts.
  """
  if not are_several():
    return
  name, own = f'facts {next(_counter)}', {key: repr(fact) for key, fact in facts().items()}
  problem = ''
  if is_first():
    for index in range(1, distributed.global_state.num_processes):
      text = _client().blocking_key_value_get(f'{name} {index}', 1000 * WAIT_SECONDS)
      problem = problem or _difference(own, json.loads(text), index)
  else:
    _client().key_value_set(f'{name} {distributed.global_state.process_id}', json.dumps(own))
  if problem := broadcast_from_first(problem):
    raise InputError(problem)


def _difference(first: dict[str, str], other: dict[str, str], index: int) -> str:
  """What another process has that the first has not, in one line; '' if nothing."""
  changes = [
    f'{key} is {other.get(key, "absent")[:200]}, not {first.get(key, "absent")[:200]}'
    for key in {**first, **other}
    if first.get(key) != other.get(key)
  ]
  if not changes:
    return ''
  return (
    f'process {index} does not run what process 0 runs: {"; ".join(changes[:5])}; start all alike'
  )
