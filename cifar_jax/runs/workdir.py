"""The directory of a run: which run it holds, and whether a run may start or resume in it."""

import contextlib
import fnmatch
import itertools
import pathlib
from collections.abc import Iterator

from ml_collections import ConfigDict

from cifar_jax import input_files
from cifar_jax.config import loading
from cifar_jax.errors import InputError, cannot_write
from cifar_jax.output_files import TEMPORARY_SUFFIX, write_text
from cifar_jax.own_files import hold, link_error, lock, open_own
from cifar_jax.runs import damaged, fewer_kept, given_up_leg, legs, linked, names
from cifar_jax.runs.results import CONFIG, METRICS, read_records
from cifar_jax.runtime import processes

CHECKPOINTS = 'checkpoints'
LOCK = 'lock'

# Orbax looks for the files of a checkpoint by a pattern that begins with the whole path. If one of
# these is in the path, it finds none of its files, or those of another directory.
PATTERN_CHARACTERS = '*?[\\'

# Patterns of what the run writes into and moves. `checkpoints` may be a link to a larger disk.
_NO_LINKS = (
  *('log.txt', 'analysis', 'evaluation', 'plots', 'profile', 'leg*'),
  *('wandb', 'mlflow', 'mlflow.db'),
)
# Patterns of all the files in a workdir whose run was killed before it had written its config.
WRITTEN_BEFORE_CONFIG = (LOCK, f'{CONFIG}*{TEMPORARY_SUFFIX}')


def check_workdir(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Checks that a run may start or resume in a directory; changes nothing.

  Args:
    workdir: need not exist.
    config: the configuration of the run.

  Raises:
    InputError: the directory holds another run (but for one that is finished and can be trained
      longer: `legs.py`) or other files, or symbolic links out of it, or cannot be read, or
      checkpoints cannot be written under its name, or some would be deleted.
  """
  names.check(workdir)
  absolute = str(workdir.absolute())
  if wrong := [character for character in PATTERN_CHARACTERS if character in absolute]:
    raise InputError(
      f'{absolute} has {wrong[0]} in its path, and checkpoints there could not be read again; give '
      'a --workdir without it'
    )
  for path in (workdir, *workdir.parents):
    if path.exists() and not path.is_dir():
      raise InputError(f'{path} is a file; --workdir names a directory')
  if legs.is_name(workdir.name) and (workdir.absolute().parent / CONFIG).exists():
    raise InputError(
      f'{workdir} is the name of a leg of the run in {workdir.parent}; give another --workdir'
    )
  for path in itertools.chain.from_iterable(map(workdir.glob, _NO_LINKS)):
    if path.is_symlink():
      raise link_error(path)
  if (workdir / CONFIG).exists():
    old = read_config(workdir)
    changes = loading.differences(old, config)
    if changes and legs.extends(workdir, old, config):
      legs.check(workdir, old, config)
    elif changes and not _replaces_leg(workdir, config):
      raise InputError(
        f'{workdir} holds a run with another configuration: {"; ".join(changes)}; '
        'undo that change, or give another --workdir'
      )
    if not is_finished(workdir, config):
      fewer_kept.check(workdir / CHECKPOINTS, old, config)
    if (workdir / METRICS).exists():
      read_records(workdir)
    if (workdir / CHECKPOINTS).exists() and not (workdir / CHECKPOINTS).is_dir():
      raise InputError(f'{workdir / CHECKPOINTS} is not a directory; move it away')
  elif workdir.is_dir() and not all(map(_was_written_before_config, workdir.iterdir())):
    raise InputError(f'{workdir} is not empty and holds no run; give another --workdir')


def _replaces_leg(workdir: pathlib.Path, config: ConfigDict) -> bool:
  """Whether a configuration gives up a leg that has no result, and trains on from the one before.

  A leg can diverge: then the run is trained longer at other rates, or not at all.

  Raises:
    InputError: there are checkpoints of the leg to be given up, or the other leg cannot be.
  """
  if legs.is_finished(workdir) or not (folders := legs.earlier(workdir)):
    return False
  leg, end = folders[-1], legs.ends(workdir)[-1]
  old = read_config(leg)
  if loading.changed_keys(old, config):
    if not legs.is_longer(old, config):
      return False
    legs.check(workdir, old, config, leg)
  directory = workdir / CHECKPOINTS
  if later := [str(step) for step in damaged.steps_in(directory) if step > end]:
    raise InputError(
      f'{workdir} holds a leg from step {end} on with another configuration; to give that leg up, '
      f'move its checkpoints ({", ".join(later)}) out of {directory}, and give this command again'
    )
  return True


def _was_written_before_config(file: pathlib.Path) -> bool:
  return any(fnmatch.fnmatchcase(file.name, pattern) for pattern in WRITTEN_BEFORE_CONFIG)


@contextlib.contextmanager
def claim_workdir(workdir: pathlib.Path, config: ConfigDict) -> Iterator[None]:
  """Makes the directory, writes the configuration into it, and locks it within the block.

  In a run of several processes the first process does this for all.

  Raises:
    InputError: the directory cannot be written, holds another run, or another process holds its
      lock.
  """
  with contextlib.ExitStack() as stack:
    problem = ''
    if processes.is_first():
      try:
        stack.enter_context(locked(workdir))
        check_workdir(workdir, config)  # again: another run may have been here since
        linked.claim(workdir / CHECKPOINTS)
        _write_config(workdir, config)
        legs.clear(workdir)
      except InputError as error:
        problem = str(error)
    if problem := processes.broadcast_from_first(problem):
      raise InputError(problem)
    yield


@contextlib.contextmanager
def locked(workdir: pathlib.Path) -> Iterator[None]:
  """Makes a directory, of a run or of a study, and locks it within the block.

  Raises:
    InputError: it cannot be written, or another process holds its lock.
  """
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    file = open_own(workdir / LOCK)
  except OSError as error:
    raise cannot_write(f'in {workdir}', error) from error
  with file:
    try:
      lock(file, wait=False)
    except BlockingIOError as error:
      raise InputError(f'another process is running in {workdir}; wait for it to end') from error
    except OSError as error:
      raise InputError(f'cannot lock {workdir / LOCK}: {error.strerror}') from error
    with hold(file):
      yield


def _write_config(workdir: pathlib.Path, config: ConfigDict) -> None:
  try:
    if extends(workdir, config):
      legs.archive(workdir)
    elif (workdir / CONFIG).exists() and loading.changed_keys(read_config(workdir), config):
      given_up_leg.keep(workdir)
    write_text(workdir / CONFIG, loading.to_json(config))
  except OSError as error:
    raise cannot_write(f'in {workdir}', error) from error


def extends(workdir: pathlib.Path, config: ConfigDict) -> bool:
  """Whether a configuration trains the run in a directory longer, which has finished."""
  return (workdir / CONFIG).exists() and legs.extends(workdir, read_config(workdir), config)


def is_finished(workdir: pathlib.Path, config: ConfigDict) -> bool:
  """Whether the run of a configuration has its result, not that of a shorter leg of it."""
  return legs.is_finished(workdir) and not extends(workdir, config)


def read_config(workdir: pathlib.Path) -> ConfigDict:
  """The configuration of the run in a directory.

  Raises:
    InputError: the directory holds no run, or its configuration cannot be read.
  """
  path = workdir / CONFIG
  if not path.is_file():
    raise InputError(f'{workdir} holds no run: there is no {path}')
  try:
    config = loading.from_json(input_files.read_text(path))
  except (OSError, ValueError) as error:
    raise InputError(f'{path} cannot be read ({error}); restore it from a copy') from error
  loading.check(config, path)
  return config
