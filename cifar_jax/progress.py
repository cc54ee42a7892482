"""What a person sees of a run: lines on the console and in `log.txt`, and a bar on a terminal."""

import logging
import pathlib
import sys
import time
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from cifar_jax.report.summary import duration

logger = logging.getLogger('cifar_jax')


def to_console() -> None:
  """Sends the program's own lines to standard error, and of the libraries' only errors."""
  logging.getLogger('absl').setLevel(logging.ERROR)
  handler = logging.StreamHandler(sys.stderr)
  handler.setFormatter(logging.Formatter('%(message)s'))
  logger.handlers[:] = [handler]
  logger.setLevel(logging.INFO)
  logger.propagate = False


class Progress:
  """The progress of a run, in a `with` block.

  Attributes:
    images_per_second: over the time between the last two records, without compilation, evaluation
      and checkpoints.
  """

  def __init__(self, workdir: pathlib.Path, step: int, num_steps: int, batch_size: int) -> None:
    """Begins at `step` of `num_steps`; `log.txt` in `workdir` is appended to."""
    self.num_steps = num_steps
    self.batch_size = batch_size
    self.images_per_second = 0.0
    self._step = self._marked_step = step
    self._marked_time: float | None = None
    self._file = logging.FileHandler(workdir / 'log.txt')
    self._file.setFormatter(logging.Formatter('%(asctime)s %(message)s'))
    self._bar = tqdm(
      total=num_steps, initial=step, unit='step', disable=not sys.stderr.isatty(), leave=False
    )
    self._redirect = logging_redirect_tqdm(loggers=[logger], tqdm_class=tqdm)

  def __enter__(self) -> 'Progress':
    """Begins to write."""
    logger.addHandler(self._file)
    if not self._bar.disable:
      self._redirect.__enter__()
    return self

  def __exit__(self, *error: Any) -> None:
    """Ends the bar and the file."""
    if not self._bar.disable:
      self._redirect.__exit__(*error)
    self._bar.close()
    logger.removeHandler(self._file)
    self._file.close()

  @property
  def clock_runs(self) -> bool:
    """Whether a stretch has begun."""
    return self._marked_time is not None

  def restart_clock(self) -> None:
    """Begins a stretch of steps whose speed counts."""
    self._marked_step, self._marked_time = self._step, time.perf_counter()

  def advance(self) -> None:
    """Counts one step."""
    self._step += 1
    self._bar.update()

  def measure(self) -> float:
    """Images per second since the clock was restarted, and restarts it."""
    if self._marked_time is not None and self._step > self._marked_step:
      seconds = time.perf_counter() - self._marked_time
      self.images_per_second = (self._step - self._marked_step) * self.batch_size / seconds
    self.restart_clock()
    return self.images_per_second

  def train_line(self, epoch: float, values: dict[str, float]) -> None:
    """Says how the steps since the last record went."""
    left = (self.num_steps - self._step) * self.batch_size / max(self.images_per_second, 1e-9)
    logger.info(
      'epoch %.2f  step %d/%d  loss %.3f  accuracy %.1f %%  rate %.4g  %s images/s  %s left',
      *(epoch, self._step, self.num_steps, values['loss'], 100 * values['accuracy']),
      *(values['learning_rate'], f'{self.images_per_second:,.0f}', duration(left)),
    )
