"""Keeps the copies that services have of a run up to date with its metric log.

`trackers.json` in the workdir has for each service the run's id there, the last step that was sent
with the splits of its records, and the step of the last end that was sent: a run that is trained
longer has another. A resumed session computes steps again that an earlier one has sent: their
records are not sent twice. Records that a service lacks, because it failed or was chosen later, are
sent from `metrics.jsonl`.

A copy of a workdir, and a leg that takes the place of one that was given up, get a run of their own
in each service: theirs would have the records of both.
"""

import contextlib
import hashlib
import importlib
import importlib.util
import json
import operator
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from cifar_jax.config.training import TrainSettings
from cifar_jax.errors import InputError
from cifar_jax.output_files import write_text
from cifar_jax.runs import contents, legs
from cifar_jax.runs.results import Record, read_object, read_result
from cifar_jax.runs.trackers.tracker import Tracker
from cifar_jax.runtime import processes
from cifar_jax.runtime.console import logger

FILE = 'trackers.json'

# By the name of a service, which is that of its library too: the class that speaks to it.
CLASSES = {
  'mlflow': ('cifar_jax.runs.trackers.mlflow_run', 'MlflowRun'),
  'wandb': ('cifar_jax.runs.trackers.wandb_run', 'WandbRun'),
}


def check_installed(settings: TrainSettings) -> None:
  """Raises InputError if the library of a chosen service is not installed."""
  for name in settings.tracker_names:
    if importlib.util.find_spec(name) is None:
      raise InputError(
        f"train.trackers has {name}, which is not installed: pip install 'cifar_jax[{name}]', or "
        'leave it out'
      )


class Copies:
  """The copies of one run. A service that fails is left out until the next session."""

  def __init__(
    self, workdir: pathlib.Path, trackers: dict[str, Tracker], of: Mapping[str, Any]
  ) -> None:
    """Begins with what `trackers.json` says, if it is there.

    Args:
      workdir: of the run.
      trackers: the open services by their names.
      of: from `_describe`.
    """
    self._path, self._trackers = workdir / FILE, trackers
    self._sent = _read(workdir)
    self._is_finished = False
    for name, tracker in trackers.items():
      sent = self._sent.get(name, {})
      if sent.get('id') != tracker.run_id:
        sent = {'step': -1, 'splits': [], 'end': None, 'id': tracker.run_id}
      self._note(name, sent | {'of': of})

  def send(self, records: Sequence[Record]) -> None:
    """Sends records, in the order of the metric log, to each service that lacks them."""
    for name in list(self._trackers):
      for record in records:
        step, split = record['step'], record['split']
        sent = self._sent[name]
        earlier = sent['splits'] if step == sent['step'] else []
        if step < sent['step'] or split in earlier:
          continue
        self._attempt(
          name,
          operator.methodcaller('write', record),
          **{'step': step, 'splits': [*earlier, split]},
        )

  def send_end(self, step: int, pictures: Mapping[str, pathlib.Path]) -> None:
    """Sends what a finished run has beside its records; once for each step.

    Args:
      step: number of steps of the run.
      pictures: PNG files by their titles.
    """
    for name in list(self._trackers):
      if self._sent[name].get('end') != step:
        self._attempt(name, lambda tracker: tracker.write_pictures(step, pictures), end=step)
    self._is_finished = True

  def close(self) -> None:
    """Ends the session of each service."""
    for name in list(self._trackers):
      self._attempt(name, lambda tracker: tracker.close(is_finished=self._is_finished))

  def _attempt(self, name: str, action: Callable[[Tracker], None], **sent: Any) -> None:
    """Does something with a service; if it fails, warns and leaves the service out from now on.

    Args:
      name: of the service.
      action: what to do.
      **sent: what `trackers.json` says once it is done. It is written before: a kill may then cost
        the copy a record, but never doubles one.
    """
    if name not in self._trackers:
      return
    before = self._sent[name]
    try:
      self._note(name, before | sent)
      action(self._trackers[name])
    except Exception as error:
      del self._trackers[name]
      self._note(name, before)
      logger.warning(
        '%s has failed and gets no more records in this session (%s); metrics.jsonl has them all',
        *(name, _short(error)),
      )

  def _note(self, name: str, sent: dict[str, Any]) -> None:
    if self._sent.get(name) != sent:
      self._sent[name] = sent
      write_text(self._path, json.dumps(self._sent, indent=2) + '\n')


@contextlib.contextmanager
def opened(workdir: pathlib.Path, config: ConfigDict) -> Iterator[Copies]:
  """Opens the copies of a run within the block, in the first process for all.

  Args:
    workdir: of the run, which exists.
    config: the configuration of the run.

  Raises:
    InputError: a service cannot be opened.
  """
  copies, problem = Copies(workdir, {}, {}), ''
  if processes.is_first():
    try:
      copies = open_alone(workdir, config)
    except InputError as error:
      problem = str(error)
  if problem := processes.broadcast_from_first(problem):
    raise InputError(problem)
  with contextlib.closing(copies):
    yield copies


def open_alone(workdir: pathlib.Path, config: ConfigDict) -> Copies:
  """Opens the copies of a run, without the other processes; as `opened`."""
  sent, of = _read(workdir), _describe(workdir, config)
  trackers: dict[str, Tracker] = {}
  for name in TrainSettings(**config.train).tracker_names:
    module, kind = CLASSES[name]
    try:
      make: Any = getattr(importlib.import_module(module), kind)
      of_service = sent.get(name, {})
      run_id = of_service.get('id') if _is_same_run(of_service, of) else None
      trackers[name] = make(workdir, config, run_id)
    except Exception as error:
      raise InputError(
        f'{name} cannot be used ({_short(error)}); see its environment variables, or leave it out '
        'of train.trackers'
      ) from error
  return Copies(workdir, trackers, of)


def _describe(workdir: pathlib.Path, config: ConfigDict) -> dict[str, Any]:
  """Where a run is, the number of its earlier legs, and a digest of its length and schedule.

  The inode of its folder stays when the folder is renamed, and a copy has another.
  """
  length = json.dumps([config.train.num_epochs, config.schedule.to_dict()], sort_keys=True)
  return {
    'workdir': os.path.realpath(workdir),
    'inode': workdir.stat().st_ino,
    'legs': len(legs.earlier(workdir)),
    'length': hashlib.sha256(length.encode()).hexdigest()[:16],
  }


def _is_same_run(sent: Mapping[str, Any], of: Mapping[str, Any]) -> bool:
  """Whether what a service has is of this run, and not of what it was copied from or gave up.

  Args:
    sent: what `trackers.json` says of the service. Earlier versions do not say what it is of, or do
      not say the inode.
    of: this run, from `_describe`.
  """
  before = sent.get('of', of)
  if before['length'] != of['length'] and before['legs'] == of['legs']:
    return False
  # A backup that was restored has the path of the run, and not its inode.
  key = 'inode' if 'inode' in before else 'workdir'
  return bool(before[key] == of[key])


def lack_the_end(workdir: pathlib.Path, settings: TrainSettings) -> bool:
  """Whether a service lacks a part of a run that has a result."""
  names, sent = settings.tracker_names, _read(workdir)
  if not names:
    return False
  end = read_result(workdir).get('num_steps')
  return any(sent.get(name, {}).get('end') != end for name in names)


def _read(workdir: pathlib.Path) -> dict[str, Any]:
  path = workdir / FILE
  if not path.exists():
    return {}
  sent = read_object(path, 'delete it')
  for name, of_service in sent.items():
    if wrong := contents.wrong_value(of_service, contents.TRACKED):
      raise InputError(f'{path}: {wrong} of {name} is missing or wrong: restore it from a copy')
  return sent


def _short(error: Exception) -> str:
  return ' '.join(str(error).split())[:200] or type(error).__name__
