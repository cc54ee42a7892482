"""The metrics of a run on disk: `metrics.jsonl`, the master copy, and TensorBoard's event files."""

import json
import os
import pathlib
import time
from typing import Any

from tensorboardX import event_file_writer, summary
from tensorboardX.proto import event_pb2

from cifar_jax.report import runs
from cifar_jax.workdir import write


class Records:
  """Appends records to `metrics.jsonl` and to the event files of a workdir.

  To be used in a `with` block.
  """

  def __init__(self, workdir: pathlib.Path, after_step: int, *, silent: bool = False) -> None:
    """Opens the files to go on after a step.

    Args:
      workdir: must exist.
      after_step: records of later steps, which a run that died left behind, are taken out again,
        and so are those of the test split, which belong to the end of a run.
      silent: whether nothing is written, as another process writes the same.
    """
    self._workdir, self._silent = workdir, silent
    self._open(after_step)

  def _open(self, after_step: int) -> None:
    if self._silent:
      return
    path = self._workdir / runs.METRICS
    kept = [
      record
      for record in (runs.read_records(self._workdir) if path.exists() else ())
      if record['step'] <= after_step and record['split'] != 'test'
    ]
    write(path, ''.join(json.dumps(record) + '\n' for record in kept))
    self._file = path.open('a')
    # Not `SummaryWriter`, whose thread dies of a full disk and leaves the program waiting for it.
    suffix = (
      f'.{os.getpid()}.{after_step}'  # its name else has only the second that the clock shows
    )
    self._events = event_file_writer.EventsWriter(str(self._workdir / 'events'), suffix)
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._events.write_event(event_pb2.Event(step=after_step + 1, session_log=start))

  def go_back(self, after_step: int) -> None:
    """Goes on after an earlier step; the arguments are those of the beginning."""
    self.__exit__()
    self._open(after_step)

  def __enter__(self) -> 'Records':
    """Nothing more to do."""
    return self

  def __exit__(self, *_: Any) -> None:
    """Closes the files."""
    if self._silent:
      return
    try:
      self._file.close()
    finally:
      self._events.close()

  def write(self, step: int, epoch: float, split: str, values: dict[str, Any]) -> None:
    """Writes one record, which is on disk when this returns.

    Args:
      step: number of steps taken.
      epoch: the same in epochs.
      split: which images the values are of.
      values: name to value, as `metrics.read` gives them; the event files get the numbers alone,
        of several seeds their means.
    """
    if self._silent:
      return
    record = {'step': step, 'epoch': round(epoch, 6), 'split': split, **values}
    self._file.write(json.dumps(record) + '\n')
    self._file.flush()
    os.fsync(self._file.fileno())
    numbers = {name: value for name, value in values.items() if isinstance(value, float)}
    for name, value in numbers.items():
      self._events.write_event(
        event_pb2.Event(
          step=step, wall_time=time.time(), summary=summary.scalar(f'{split}/{name}', value)
        )
      )
    self._events.flush()
