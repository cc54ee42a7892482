"""The program's log and its bars: on standard error, and the log of a run also in `log.txt`.

What takes longer than a second says so before it begins: by a line of the log, and on a terminal by
a bar. Lines for the file alone have the level DEBUG.
"""

import contextlib
import logging
import pathlib
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from cifar_jax import output_files, own_files
from cifar_jax.printable import printable

logger = logging.getLogger('cifar_jax')

T = TypeVar('T')
_BAR_DELAY = 1.0  # seconds before a bar appears: what is over by then needs none


def silence_absl() -> None:
  """Silences the log of absl, through which Orbax warns of every directory it only reads.

  An error of Orbax also raises an exception, so nothing is lost.
  """
  logging.getLogger('absl').setLevel(logging.CRITICAL)


def to_console() -> None:
  """Sends the program's log to standard error, as plain lines, and silences that of absl."""
  _send_to_console(logging.INFO, '%(message)s')


def warnings_only() -> None:
  """Sends the warnings of the program's log to standard error, for notebooks and programs."""
  _send_to_console(logging.WARNING, 'cifar_jax: %(message)s')


def _send_to_console(level: int, form: str) -> None:
  """Sends the log to standard error, for records of a level and above, and to no other console.

  The log of a run that goes on in another thread stays.
  """
  silence_absl()
  handler = logging.StreamHandler(sys.stderr)
  handler.setFormatter(_Lines(form))
  handler.setLevel(level)
  of_runs = [other for other in logger.handlers if isinstance(other, _LogFile | _Kept)]
  logger.handlers[:] = [*of_runs, handler]
  logger.setLevel(logging.DEBUG)  # for `log.txt`
  logger.propagate = False


def bar(items: Iterable[T], description: str, unit: str, total: int | None = None) -> Iterable[T]:
  """Yields items; on a terminal a bar counts them if they take longer than a second.

  Args:
    items: what to go through.
    description: what is done with the items, at the beginning of the bar.
    unit: what an item is, in the plural.
    total: the number of items, if `items` has no length.
  """
  from tqdm import tqdm

  return tqdm(
    items, description, total, unit=f' {unit}', delay=_BAR_DELAY, disable=None, leave=False
  )


class _Lines(logging.Formatter):
  """Formats a record as lines without control characters."""

  def format(self, record: logging.LogRecord) -> str:
    """Formats a record; only line breaks are kept."""
    return '\n'.join(map(printable, super().format(record).split('\n')))


class _LogFile(logging.FileHandler):
  """A log file that raises an error, such as one of a full disk, in the code that logs."""

  def _open(self) -> Any:
    """Opens the file; raises InputError for a symbolic link or a pipe."""
    path = pathlib.Path(self.baseFilename)
    if path.is_file() and not path.is_symlink() and path.stat().st_nlink > 1:
      # A copy by hard links has the same content: from here on each has its own.
      output_files.write_text(path, path.read_text('utf-8', 'backslashreplace'))
    return own_files.open_own(path, errors=self.errors)

  def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
    """Raises the exception that `emit` caught."""
    raise


class _Kept(logging.Handler):
  """Keeps records until there is a file for them."""

  def __init__(self) -> None:
    super().__init__()
    self.records: list[logging.LogRecord] = []

  def emit(self, record: logging.LogRecord) -> None:
    """Keeps a record."""
    self.records.append(record)


@contextlib.contextmanager
def keep_lines() -> Iterator[list[logging.LogRecord]]:
  """Keeps the log lines of the block, for `log_to`: a workdir is opened once its data are read."""
  handler = _Kept()
  with _also_to(handler):
    yield handler.records


@contextlib.contextmanager
def log_to(workdir: pathlib.Path, earlier: Iterable[logging.LogRecord] = ()) -> Iterator[None]:
  """Within the block, also appends each log line to `log.txt` in `workdir`, with its time.

  Args:
    workdir: the directory of the run.
    earlier: lines from `keep_lines`, which are written first.
  """
  handler = _LogFile(workdir / 'log.txt', errors='backslashreplace')
  handler.setFormatter(_Lines('%(asctime)s %(message)s'))
  with _also_to(handler):
    for record in earlier:
      handler.handle(record)
    yield


@contextlib.contextmanager
def _also_to(handler: logging.Handler) -> Iterator[None]:
  """Within the block, also sends the log to a handler, which is closed at the end.

  Lines of other threads, such as an analysis of another run in a notebook, are left out.
  """
  thread = threading.get_ident()
  handler.addFilter(lambda record: record.thread == thread)
  logger.addHandler(handler)
  try:
    yield
  finally:
    logger.removeHandler(handler)
    handler.close()
