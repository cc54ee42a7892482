"""The program's log: lines on standard error, and in a run also in `log.txt`."""

import contextlib
import logging
import pathlib
import sys
from collections.abc import Iterator

logger = logging.getLogger('cifar_jax')


def silence_absl() -> None:
  """Silences the log of absl, through which Orbax warns of every directory it only reads.

  An error of Orbax also raises an exception, so nothing is lost.
  """
  logging.getLogger('absl').setLevel(logging.CRITICAL)


def to_console() -> None:
  """Sends the program's log to standard error and silences that of absl."""
  silence_absl()
  handler = logging.StreamHandler(sys.stderr)
  handler.setFormatter(logging.Formatter('%(message)s'))
  logger.handlers[:] = [handler]
  logger.setLevel(logging.INFO)
  logger.propagate = False


def warnings_only() -> None:
  """Sends the warnings of the program's log to standard error, for notebooks and programs."""
  silence_absl()
  handler = logging.StreamHandler(sys.stderr)
  handler.setFormatter(logging.Formatter('cifar_jax: %(message)s'))
  handler.setLevel(logging.WARNING)
  logger.handlers[:] = [handler]
  logger.setLevel(logging.INFO)  # for `log.txt`
  logger.propagate = False


class _LogFile(logging.FileHandler):
  """A log file that raises an error, such as one of a full disk, in the code that logs."""

  def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
    """Raises the exception that `emit` caught."""
    raise


@contextlib.contextmanager
def log_to(workdir: pathlib.Path) -> Iterator[None]:
  """Within the block, also appends each log line to `log.txt` in `workdir`, with its time."""
  handler = _LogFile(workdir / 'log.txt', encoding='utf-8', errors='backslashreplace')
  handler.setFormatter(logging.Formatter('%(asctime)s %(message)s'))
  logger.addHandler(handler)
  try:
    yield
  finally:
    logger.removeHandler(handler)
    handler.close()
