"""TensorBoard's event files of a run: scalars, the configuration, hyper-parameters and pictures.

They lie in the workdir, one of each session and one of the end of each leg of the run. TensorBoard
itself is not needed to write them.
"""

import io
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict
from PIL import Image
from tensorboardX import event_file_writer, summary
from tensorboardX.proto import event_pb2, summary_pb2

from cifar_jax import input_files
from cifar_jax.config.loading import flatten, to_json
from cifar_jax.runs.results import Record, scalars

_NAMES = 'events.out.tfevents.'  # the beginning of the files' names
_OF_THE_END = '.step{}.end'  # the end of the name of the last one of a leg
# What the table of hyper-parameters shows beside them, by the names of their scalars.
_RESULTS = ('test/accuracy', 'test/loss', 'validation/accuracy', 'validation/loss')


class EventFiles:
  """Writes the event file of a session."""

  def __init__(self, workdir: pathlib.Path, after_step: int, config: ConfigDict | None) -> None:
    """Opens a file for the records of the steps after `after_step`.

    TensorBoard then leaves out what earlier files have of these steps.

    Args:
      workdir: must exist.
      after_step: the number of steps that the run has taken.
      config: the configuration, which the first file of a run has as a text and as
        hyper-parameters; None to leave it out.
    """
    num_earlier = len(list(workdir.glob(f'{_NAMES}*')))
    # By itself the name has only a time in seconds, which two sessions can share.
    self._events = _open(workdir, f'.{num_earlier:04d}')
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._events.write_event(event_pb2.Event(step=after_step + 1, session_log=start))
    if config is not None and not num_earlier:
      experiment, beginning, _ = _hyper_parameters(flatten(config))
      for text in (_as_text(config), experiment, beginning):
        _write(self._events, 0, text)
    self._events.flush()

  def write(self, record: Record) -> None:
    """Writes the scalars of a record."""
    for name, value in scalars(record).items():
      _write(self._events, record['step'], summary.scalar(name, value))
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
  suffix = _OF_THE_END.format(step)
  if any(workdir.glob(f'{_NAMES}*{suffix}')):
    return
  images = [_image(title, path) for title, path in pictures.items()]
  *_, ending = _hyper_parameters({})
  events = _open(workdir, suffix)
  try:
    for value in (*images, ending):
      _write(events, step, value)
  finally:
    events.close()


def _open(workdir: pathlib.Path, suffix: str) -> event_file_writer.EventsWriter:
  # Not `SummaryWriter`: on a full disk its thread dies and the program waits for it forever.
  return event_file_writer.EventsWriter(str(workdir / 'events'), suffix)


def _write(events: event_file_writer.EventsWriter, step: int, value: summary_pb2.Summary) -> None:
  events.write_event(event_pb2.Event(step=step, wall_time=time.time(), summary=value))


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
