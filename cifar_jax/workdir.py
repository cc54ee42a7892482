"""The directory of a run: which run it holds, and whether it may go on there."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator

from ml_collections import ConfigDict

from cifar_jax import config as configs
from cifar_jax import processes
from cifar_jax.errors import InputError
from cifar_jax.report import runs

CONFIG = 'config.json'
CHECKPOINTS = 'checkpoints'
UNFINISHED = '.tmp'  # the suffix of what a kill may leave half written
BEGUN = ('lock', CONFIG + UNFINISHED)  # all that a kill may leave of a run that has no config yet


def check(workdir: pathlib.Path, config: ConfigDict) -> None:
  """Raises InputError, having touched nothing, where a run may not begin or go on in `workdir`."""
  for path in (workdir, *workdir.parents):
    if path.exists() and not path.is_dir():
      raise InputError(f'{path} is a file; --workdir names a directory')
  if (workdir / CONFIG).exists():
    changes = configs.differences(read_config(workdir), config)
    if changes:
      raise InputError(
        f'{workdir} holds a run with another configuration: {"; ".join(changes)}; '
        'take that back, or give another --workdir'
      )
    if (workdir / runs.METRICS).exists():
      runs.read_records(workdir)
    if (workdir / CHECKPOINTS).exists() and not (workdir / CHECKPOINTS).is_dir():
      raise InputError(f'{workdir / CHECKPOINTS} is no directory; move it away')
  elif workdir.is_dir() and any(file.name not in BEGUN for file in workdir.iterdir()):
    raise InputError(f'{workdir} is not empty and holds no run; give another --workdir')


@contextlib.contextmanager
def claimed(workdir: pathlib.Path, config: ConfigDict) -> Iterator[None]:
  """Makes the directory, writes the configuration into it, and holds it for this run alone.

  Of several processes the first does so, for all.

  Raises:
    InputError: the directory cannot be written, or another run is going on in it.
  """
  with contextlib.ExitStack() as stack:
    problem = ''
    if processes.is_first():
      try:
        stack.enter_context(_locked(workdir))
        _write_config(workdir, config)
      except InputError as error:
        problem = str(error)
    if problem := processes.told_by_first(problem):
      raise InputError(problem)
    yield


@contextlib.contextmanager
def _locked(workdir: pathlib.Path) -> Iterator[None]:
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    lock = (workdir / 'lock').open('a')
  except OSError as error:
    raise InputError(f'cannot write in {workdir}: {error.strerror}') from error
  with lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise InputError(f'another process is running in {workdir}; wait for it to end') from error
    yield


def _write_config(workdir: pathlib.Path, config: ConfigDict) -> None:
  try:
    write(workdir / CONFIG, configs.to_json(config))
  except OSError as error:
    raise InputError(f'cannot write in {workdir}: {error.strerror}') from error


def write(path: pathlib.Path, text: str) -> None:
  """Writes a file whole or not at all, also where the power fails."""
  temporary = path.with_name(path.name + UNFINISHED)
  with temporary.open('w') as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  temporary.replace(path)


def read_config(workdir: pathlib.Path) -> ConfigDict:
  """The configuration of the run in `workdir`.

  Raises:
    InputError: it holds no run, or its configuration cannot be read.
  """
  path = workdir / CONFIG
  if not path.is_file():
    raise InputError(f'{workdir} holds no run: there is no {path}')
  try:
    config = configs.from_json(path.read_text())
  except (OSError, ValueError) as error:
    raise InputError(f'{path} cannot be read ({error}); restore it from a copy') from error
  configs.check(config, path)
  return config
