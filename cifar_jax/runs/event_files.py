"""TensorBoard's event files of a run: scalars, the configuration, hyper-parameters and pictures.

They lie in the workdir, one of each session and one of the end of the run. TensorBoard itself is
not needed to write them. It keeps the first hyper-parameters of a folder, so the files of a later
leg lie in a folder of their own: `leg2_events` for the second one.
"""

import io
import pathlib
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict
from PIL import Image
from tensorboardX import summary
from tensorboardX.proto import event_pb2, summary_pb2
from tensorboardX.record_writer import RecordWriter

from cifar_jax import input_files, output_files
from cifar_jax.config.loading import flatten, to_json
from cifar_jax.runs import legs
from cifar_jax.runs.results import Record, scalars

_NAMES = 'events.out.tfevents.'  # the beginning of the files' names
_OF_THE_END = '.step{}.end'  # the end of the name of the last one of a leg
# What the table of hyper-parameters shows beside them, by the names of their scalars.
_RESULTS = ('test/accuracy', 'test/loss', 'validation/accuracy', 'validation/loss')


class EventFiles:
  """Writes the event file of a session."""

  def __init__(self, workdir: pathlib.Path, after_step: int, config: ConfigDict | None) -> None:
    """Opens a file for the records of the steps after `after_step`.

    TensorBoard then leaves out what earlier files of the leg have of these steps.

    Args:
      workdir: must exist.
      after_step: the number of steps that the run has taken.
      config: the configuration, which the first file of a leg has as a text and as
        hyper-parameters; None to leave it out.

    Raises:
      InputError: the result of an earlier leg cannot be read, or the folder cannot be written to.
      OSError: the file cannot be written.
    """
    folder, leg_start = _place(workdir)
    is_first = not any(folder.glob(f'{_NAMES}*'))
    self._events = _open(folder)
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    _write(self._events, after_step + 1, session_log=start)
    if config is not None and is_first:
      experiment, beginning, _ = _hyper_parameters(flatten(config))
      for text in (_as_text(config), experiment, beginning):
        _write(self._events, leg_start, summary=text)
    self._events.flush()

  def write(self, record: Record) -> None:
    """Writes the scalars of a record."""
    for name, value in scalars(record).items():
      _write(self._events, record['step'], summary=summary.scalar(name, value))
    self._events.flush()

  def close(self) -> None:
    """Closes the file."""
    self._events.close()


def write_end(workdir: pathlib.Path, step: int, pictures: Mapping[str, pathlib.Path]) -> None:
  """Writes the pictures of a finished run, and that it is finished; once for each step.

  Args:
    workdir: of the run.
    step: number of steps of the run.
    pictures: PNG files by their titles.
  """
  folder, _ = _place(workdir)
  suffix = _OF_THE_END.format(step)
  # An earlier version wrote all legs into the workdir.
  written = folder if folder.exists() else workdir
  if any(written.glob(f'{_NAMES}*{suffix}')):
    return
  images = [_image(title, path) for title, path in pictures.items()]
  *_, ending = _hyper_parameters({})
  events = _open(folder, suffix)
  try:
    for value in (*images, ending):
      _write(events, step, summary=value)
  finally:
    events.close()


def _place(workdir: pathlib.Path) -> tuple[pathlib.Path, int]:
  """The folder for the files of a run's current leg, and the step at which the leg began."""
  ends = legs.ends(workdir)
  if not ends:
    return workdir, 0
  return workdir / legs.EVENTS.format(len(ends) + 1), ends[-1]


def _open(folder: pathlib.Path, suffix: str = '') -> RecordWriter:
  """Opens a new file, whose name sorts after those of the files that are there.

  TensorBoard reads the files in the order of their names. The time in a name is therefore later
  than those of the others, also within one second and after the clock was set back.

  Args:
    folder: for the file; that of a leg is made.
    suffix: the end of its name.
  """
  if not folder.exists():
    output_files.make_folder(folder)
  # Not `SummaryWriter`: on a full disk its thread dies and the program waits for it forever. Not
  # `EventsWriter`: it takes the time of the clock.
  names = [path.name.removeprefix(_NAMES) for path in folder.glob(f'{_NAMES}*')]
  times = [int(match[0]) for name in names if (match := re.match('[0-9]+', name))]
  seconds = max([int(time.time()), *(earlier + 1 for earlier in times)])
  events = RecordWriter(str(folder / f'{_NAMES}{seconds:010d}.{socket.gethostname()}{suffix}'))
  _write(events, 0, file_version='brain.Event:2')
  return events


def _write(events: RecordWriter, step: int, **content: Any) -> None:
  """Writes an event; `content` is its only field beside the step and the time."""
  event = event_pb2.Event(step=step, wall_time=time.time(), **content)
  events.write(event.SerializeToString())


def _as_text(config: ConfigDict) -> summary_pb2.Summary:
  """The configuration as a text, which TensorBoard reads as Markdown: indented, it is code."""
  lines = to_json(config).splitlines()
  return summary.text('configuration', '\n'.join(f'    {line}' for line in lines))


def _hyper_parameters(values: Mapping[str, Any]) -> tuple[Any, Any, Any]:
  """Summaries of the plugin: what is measured, the beginning of a session, and its end."""
  plain = {
    key: value if isinstance(value, bool | int | float | str) else str(value)
    for key, value in values.items()
  }
  return summary.hparams(plain, dict.fromkeys(_RESULTS))


def _image(title: str, path: pathlib.Path) -> summary_pb2.Summary:
  """A PNG file as it is: `summary.image` would decode and encode it."""
  content = input_files.read_bytes(path)
  with Image.open(io.BytesIO(content), formats=['PNG']) as picture:
    width, height = picture.size
    channels = len(picture.getbands())
  image = summary_pb2.Summary.Image(
    height=height, width=width, colorspace=channels, encoded_image_string=content
  )
  return summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=title, image=image)])
