"""Writes the metrics of a run: `metrics.jsonl`, the master copy, and what is made of it."""

import json
import os
import pathlib
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import own_files
from cifar_jax.output_files import write_text
from cifar_jax.runs.event_files import EventFiles
from cifar_jax.runs.results import METRICS, read_records
from cifar_jax.runs.trackers.copies import Copies


class MetricLog:
  """Appends records to `metrics.jsonl` and to the event files of a workdir, and sends copies.

  Use it in a `with` block.

  Attributes:
    num_records: the number of records in `metrics.jsonl`; 0 if silent.
    num_doubled: how many of them stood there before, of the same step and split.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    after_step: int,
    *,
    config: ConfigDict | None = None,
    copies: Copies | None = None,
    silent: bool = False,
  ) -> None:
    """Opens the files to append records of the steps after `after_step`.

    Records of later steps, which a killed session left behind, are removed.

    Args:
      workdir: must exist.
      after_step: the number of steps that the run has taken.
      config: the configuration, for the event files.
      copies: of the run in other services.
      silent: whether to write nothing, because another process writes the same.
    """
    self._workdir, self._silent = workdir, silent
    self._config, self._copies = config, copies or Copies(workdir, {}, {})
    self.num_records = self.num_doubled = 0
    self._open(after_step)

  def _open(self, after_step: int, *, without_test: bool = False) -> None:
    if self._silent:
      return
    path = self._workdir / METRICS
    valid = [
      record
      for record in (read_records(self._workdir) if path.exists() else ())
      if record['step'] <= after_step and not (without_test and _is_test_of(after_step, record))
    ]
    write_text(path, ''.join(json.dumps(record) + '\n' for record in valid))
    self.num_records = len(valid)
    self.num_doubled = len(valid) - len({(record['step'], record['split']) for record in valid})
    self._file = own_files.open_own(path)
    self._events = EventFiles(self._workdir, after_step, self._config)
    self._copies.send(valid)

  def go_back(self, after_step: int) -> None:
    """Removes the records of the steps after `after_step`, and appends from there on."""
    self.__exit__()
    self._open(after_step)

  def __enter__(self) -> 'MetricLog':
    """Returns the object itself."""
    return self

  def __exit__(self, *_: object) -> None:
    """Closes the files."""
    if self._silent:
      return
    try:
      self._file.close()
    finally:
      self._events.close()

  def write_last(self, step: int, epoch: float, values: dict[str, Any]) -> None:
    """Writes the record of the test split at the end of the run.

    It replaces the record of a session that was killed after writing it.

    Args:
      step: number of steps of the run.
      epoch: the same number in epochs.
      values: as for `write`.
    """
    if not self._silent and any(_is_test_of(step, r) for r in read_records(self._workdir)):
      self.__exit__()
      self._open(step, without_test=True)
    self.write(step, epoch, 'test', values)

  def write(self, step: int, epoch: float, split: str, values: dict[str, Any]) -> None:
    """Writes one record, which is on disk when this returns.

    Args:
      step: number of steps taken.
      epoch: the same number in epochs.
      split: the split that the values were measured on.
      values: name to value, as from `metrics.read`. The event files and the copies get only the
        floats: for several seeds, the means.
    """
    if self._silent:
      return
    own_files.check_held(self._workdir)
    record = {'step': step, 'epoch': round(epoch, 6), 'split': split, **values}
    self._file.write(json.dumps(record) + '\n')
    self._file.flush()
    os.fsync(self._file.fileno())
    self.num_records += 1
    self._events.write(record)
    self._copies.send([record])


def _is_test_of(step: int, record: dict[str, Any]) -> bool:
  return record['split'] == 'test' and record['step'] == step
