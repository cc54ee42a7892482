"""Writes the metrics of a run: `metrics.jsonl`, the master copy, and TensorBoard event files."""

import json
import os
import pathlib
import time
from typing import Any

from tensorboardX import event_file_writer, summary
from tensorboardX.proto import event_pb2

from cifar_jax.output_files import write_text
from cifar_jax.runs.results import METRICS, read_records


class MetricLog:
  """Appends records to `metrics.jsonl` and to the event files of a workdir.

  Use it in a `with` block.

  Attributes:
    num_records: the number of records in `metrics.jsonl`; 0 if silent.
  """

  def __init__(self, workdir: pathlib.Path, after_step: int, *, silent: bool = False) -> None:
    """Opens the files to append records of the steps after `after_step`.

    Records of later steps, which a killed session left behind, are removed.

    Args:
      workdir: must exist.
      after_step: the number of steps that the run has taken.
      silent: whether to write nothing, because another process writes the same.
    """
    self._workdir, self._silent = workdir, silent
    self.num_records = 0
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
    self._file = path.open('a')
    # By itself the name has only a time in seconds, which two sessions can share.
    suffix = f'.{os.getpid()}.{after_step}'
    # Not `SummaryWriter`: on a full disk its thread dies and the program waits for it forever.
    self._events = event_file_writer.EventsWriter(str(self._workdir / 'events'), suffix)
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._events.write_event(event_pb2.Event(step=after_step + 1, session_log=start))

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

    It takes the place of the one that a session left behind which was killed after it.

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
      values: name to value, as from `metrics.read`. The event files get only the floats: for
        several seeds, the means.
    """
    if self._silent:
      return
    record = {'step': step, 'epoch': round(epoch, 6), 'split': split, **values}
    self._file.write(json.dumps(record) + '\n')
    self._file.flush()
    os.fsync(self._file.fileno())
    self.num_records += 1
    scalars = {name: value for name, value in values.items() if isinstance(value, float)}
    for name, value in scalars.items():
      self._events.write_event(
        event_pb2.Event(
          step=step, wall_time=time.time(), summary=summary.scalar(f'{split}/{name}', value)
        )
      )
    self._events.flush()


def _is_test_of(step: int, record: dict[str, Any]) -> bool:
  return record['split'] == 'test' and record['step'] == step
