"""What a person sees of a run: lines on the console and in `log.txt`, and a bar on a terminal."""

import contextlib
import logging
import pathlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from cifar_jax.report.summary import duration

logger = logging.getLogger('cifar_jax')


def to_console() -> None:
  """Sends the program's own lines to standard error; what libraries fail at, they raise besides."""
  logging.getLogger('absl').setLevel(logging.CRITICAL)
  handler = logging.StreamHandler(sys.stderr)
  handler.setFormatter(logging.Formatter('%(message)s'))
  logger.handlers[:] = [handler]
  logger.setLevel(logging.INFO)
  logger.propagate = False


class _LogFile(logging.FileHandler):
  """A file that cannot be written, as on a full disk, is the caller's to hear of."""

  def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
    """Raises what `emit` caught."""
    raise


@contextlib.contextmanager
def log_to(workdir: pathlib.Path) -> Iterator[None]:
  """Appends what is logged to `log.txt` in `workdir` besides, plainly and with the time."""
  handler = _LogFile(workdir / 'log.txt')
  handler.setFormatter(logging.Formatter('%(asctime)s %(message)s'))
  logger.addHandler(handler)
  try:
    yield
  finally:
    logger.removeHandler(handler)
    handler.close()


class Progress:
  """The progress of a session: a bar on a terminal, the speed, the time left.

  To be used in a `with` block.
  """

  def __init__(self, step: int, num_steps: int, images_per_step: int) -> None:
    """Begins at `step` of `num_steps`; a step takes so many images, of all seeds together."""
    self.num_steps = num_steps
    self.images_per_step = images_per_step
    self._step = self._marked_step = step
    self._marked_time: float | None = None
    shown = sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)
    self._bar = tqdm(total=num_steps, initial=step, unit='step', disable=not shown, leave=False)
    self._redirect = logging_redirect_tqdm(loggers=[logger], tqdm_class=tqdm)

  def __enter__(self) -> 'Progress':
    """Lets the lines pass above the bar."""
    if not self._bar.disable:
      self._redirect.__enter__()
    return self

  def __exit__(self, *error: Any) -> None:
    """Ends the bar."""
    if not self._bar.disable:
      self._redirect.__exit__(*error)
    self._bar.close()

  def restart_clock(self) -> None:
    """Begins a stretch of steps whose speed counts."""
    self._marked_step, self._marked_time = self._step, time.perf_counter()

  def advance(self, num_steps: int) -> None:
    """Counts steps."""
    self._step += num_steps
    self._bar.update(num_steps)

  def go_back(self, step: int) -> None:
    """Goes on counting from an earlier step."""
    self._step = self._bar.n = step
    self.restart_clock()

  def measure(self) -> float | None:
    """Images per second since the clock was restarted, and restarts it; None if too early to say.

    Compilation, evaluation and checkpoints are not counted: the clock is restarted after them.
    """
    speed = None
    if self._marked_time is not None and self._step > self._marked_step:
      seconds = time.perf_counter() - self._marked_time
      speed = (self._step - self._marked_step) * self.images_per_step / seconds
    self.restart_clock()
    return speed

  def train_line(self, epoch: float, values: dict[str, float]) -> None:
    """Says how the steps since the last record went; `values` are those of the record."""
    line = (
      f'epoch {epoch:.2f}  step {self._step}/{self.num_steps}  loss {values["loss"]:.3f}  '
      f'accuracy {100 * values["accuracy"]:.1f} %  rate {values["learning_rate"]:.4g}'
    )
    if 'images_per_second' in values:
      speed = values['images_per_second']
      left = (self.num_steps - self._step) * self.images_per_step / speed
      line += f'  {speed:,.0f} images/s  {duration(left)} left'
    logger.info(line)
