"""Several processes of one run, as on a cluster: who they are, who writes, how they agree.

Each runs the same command and computes its share of every batch. The workdir, and where the data
are prepared, are on a file system that all of them see. Alone, a process needs none of this: every
function here then returns at once.
"""

import contextlib
import faulthandler
import itertools
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import distributed  # its client's messages and barriers need no device, unlike those
from jax.sharding import Mesh  # of `multihost_utils`, and wait as long as a download takes

from cifar_jax import sharding
from cifar_jax.errors import InputError
from cifar_jax.progress import logger

AUTO = 'auto'  # for a coordinator that JAX finds by itself
# Where the environment tells of several processes, and how many. Cloud TPU slices and Kubernetes
# tell only those who ask over the network, which nobody should wait for who runs alone.
_COUNTS: dict[str, Callable[[str], int]] = {
  'SLURM_STEP_NUM_TASKS': int,
  'OMPI_COMM_WORLD_SIZE': int,
  'TPU_WORKER_HOSTNAMES': lambda names: len(names.split(',')),  # of Google Kubernetes Engine
}
JOIN_SECONDS = 300  # for the slowest machine of a job to be there
LOST_SECONDS = 30  # without a sign of life from a process, after which the others end
WAIT_SECONDS = 24 * 3600  # for the first process to download and prepare the data
LOST = (
  'another process of this run was lost, or did not come; what was saved is sound, and the same '
  'command in all processes, or in fewer, goes on from there'
)
AGREE_EVERY = 8  # dispatches; see `Agreement`

_count = itertools.count()  # barriers and messages need names of their own, the same everywhere


def start(coordinator: str, count: int, index: int) -> None:
  """Joins the other processes, where there are any; to be called before JAX touches a device.

  Args:
    coordinator: `HOST:PORT` where process 0 listens; 'auto' to let JAX find its cluster; '' for the
      same where the environment tells of several processes, otherwise for one process alone.
    count: of processes; 0 to let JAX find out.
    index: of this process, from 0; -1 to let JAX find out.

  Raises:
    InputError: the arguments do not fit each other, or the others cannot be joined.
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
  if not coordinator and not _environment_has_several():
    return
  if explicit:
    logger.info('joining %s as process %d of %d', coordinator, index, count)
  _say_when_aborted()
  # Stopping is agreed upon here, and for every signal; that service would take SIGTERM for itself.
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


def _environment_has_several() -> bool:
  return any(name in os.environ and count(os.environ[name]) > 1 for name, count in _COUNTS.items())


def _say_when_aborted() -> None:
  """JAX aborts a process that lost another, in a thread of its own and in many lines; adds one."""
  say = (
    f'told=$(cat); case $told in "") ;; *Aborted*) echo "cifar_jax: {LOST}" ;; *) echo "$told" ;;'
  )
  watcher = subprocess.Popen(
    ['sh', '-c', f'{say} esac >&2'], stdin=subprocess.PIPE, start_new_session=True
  )
  assert watcher.stdin
  faulthandler.enable(watcher.stdin)  # which writes to its file from the handler of SIGABRT


def is_first() -> bool:
  """Whether this process is the one that writes; starts no device."""
  return distributed.global_state.process_id == 0


def are_several() -> bool:
  """Whether there are others; starts no device."""
  return distributed.global_state.num_processes > 1


@contextlib.contextmanager
def first_before_others() -> Iterator[None]:
  """The first process goes through the block while the others wait, and then they.

  So they find what it left on the shared disk; where it failed they fail in their turn, each with
  its own words.
  """
  name = f'turn {next(_count)}'
  if not is_first():
    _wait(name)
  try:
    yield
  finally:
    if is_first():
      _wait(name)


def _wait(name: str) -> None:
  if are_several():
    _client().wait_at_barrier(name, 1000 * WAIT_SECONDS)


def _client() -> Any:
  return distributed.global_state.client


def told_by_first(text: str) -> str:
  """The text of the first process, in all; that of the others does not count."""
  if not are_several():
    return text
  name = f'text {next(_count)}'
  if is_first():
    _client().key_value_set(name, text)
    return text
  return _client().blocking_key_value_get(name, 1000 * WAIT_SECONDS)


class Agreement:
  """The largest number that any process had, in all of them after the same step.

  It is an all-reduce of four bytes, begun after one of `AGREE_EVERY` dispatches and read after the
  next of them, when it is long done: no step waits for it. So processes agree at most twice that
  many dispatches after one of them knew.
  """

  def __init__(self, mesh: Mesh) -> None:
    """Compiles when it is first asked."""
    self._mesh = mesh
    self._asked = 0
    self._pending: jax.Array | None = None
    self._max = jax.jit(jnp.max, out_shardings=sharding.replicated(mesh))

  def largest(self, number: int) -> int:
    """To be asked after each dispatch by all processes; alone, gives the number back at once."""
    if not are_several():
      return number
    self._asked += 1
    if self._asked % AGREE_EVERY:
      return 0
    agreed = 0 if self._pending is None else int(self._pending)
    own = np.full(1, number, np.int32)
    self._pending = self._max(
      jax.make_array_from_callback((self._mesh.size,), sharding.batch(self._mesh), lambda _: own)
    )
    return agreed
