"""The progress of a session as its user sees it: a line per record, and a bar on a terminal."""

import logging
import math
import sys
import time
import warnings
from typing import Any

import jax
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from cifar_jax import models
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import State
from cifar_jax.report.summary import duration
from cifar_jax.runtime.console import logger

_MOST_PARTS = 12  # of a net, to be listed in the log


def log_new_run(experiment: Experiment, state: State) -> None:
  """Logs what a run that begins is made of: its data, its net, its steps and its devices.

  Args:
    experiment: what is trained.
    state: the state before the first step.
  """
  dataset, num_seeds = experiment.dataset, experiment.num_seeds
  logger.info(
    '%d training, %d validation and %d test images; %s parameters; %d steps of %d on %d x %s',
    *(len(dataset.train), len(dataset.validation), len(dataset.test)),
    *(f'{models.count(state.params) // num_seeds:,}', experiment.num_steps, experiment.batch_size),
    *(experiment.mesh.size, jax.devices()[0].device_kind),
  )
  parts = models.count_by_part(state.params)
  if len(parts) <= _MOST_PARTS:
    counts = (f'{name} {count // num_seeds:,}' for name, count in parts.items())
    logger.info('parameters by part: %s', ', '.join(counts))
  if num_seeds > 1:
    logger.info(
      'seeds %d to %d at once: metrics are means over the seeds, images/s counts all seeds',
      *(experiment.seeds[0], experiment.seeds[-1]),
    )


class Progress:
  """Counts the steps of a session, and measures their speed and the time left.

  Use it in a `with` block.
  """

  def __init__(
    self,
    step: int,
    num_steps: int,
    images_per_step: int,
    num_epochs: float,
    has_bar: bool | None = None,
  ) -> None:
    """Starts to count.

    Args:
      step: number of steps that the run has taken before this session.
      num_steps: number of steps of the whole run.
      images_per_step: images that a step uses, of all seeds together.
      num_epochs: number of epochs of the whole run.
      has_bar: True for a bar (a widget in a notebook), False for none; None for a bar below the log
        if standard error is a terminal.
    """
    self.num_steps = num_steps
    self.images_per_step, self._num_epochs = images_per_step, num_epochs
    self._step = self._clock_step = step
    self._clock_time: float | None = None
    self._is_below_lines = has_bar is None
    if has_bar is None:
      has_bar = sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # a notebook without widgets gets a bar of text
      from tqdm.auto import tqdm as suitable_tqdm
    bar = tqdm if self._is_below_lines else suitable_tqdm
    self._bar = bar(total=num_steps, initial=step, unit='step', disable=not has_bar, leave=False)
    self._redirect = logging_redirect_tqdm(loggers=[logger], tqdm_class=tqdm)

  def __enter__(self) -> 'Progress':
    """Makes log lines appear above the bar."""
    if not self._bar.disable and self._is_below_lines:
      self._redirect.__enter__()
    return self

  def __exit__(self, *error: Any) -> None:
    """Removes the bar."""
    if not self._bar.disable and self._is_below_lines:
      self._redirect.__exit__(*error)
    self._bar.close()

  def restart_clock(self) -> None:
    """Starts to measure the speed from the present step on."""
    self._clock_step, self._clock_time = self._step, time.perf_counter()

  def advance(self, num_steps: int) -> None:
    """Counts steps that were taken."""
    self._step += num_steps
    epoch = math.ceil(self._num_epochs * self._step / self.num_steps)
    self._bar.set_description_str(f'epoch {epoch} of {self._num_epochs:g}', refresh=False)
    self._bar.update(num_steps)

  def go_back(self, step: int) -> None:
    """Sets the number of steps taken to an earlier one."""
    self._step = self._bar.n = step
    self.restart_clock()

  def measure(self) -> float | None:
    """The speed since the clock was restarted; restarts the clock.

    Compilation, evaluation and checkpoints do not count, because the loop restarts the clock after
    each of them.

    Returns:
      Images per second; None if no step was taken since then.
    """
    speed = None
    if self._clock_time is not None and self._step > self._clock_step:
      seconds = time.perf_counter() - self._clock_time
      speed = (self._step - self._clock_step) * self.images_per_step / seconds
    self.restart_clock()
    return speed

  def log_record(self, epoch: float, values: dict[str, float]) -> None:
    """Logs a line with the values of a training record.

    Args:
      epoch: number of epochs trained.
      values: `loss`, `accuracy` in [0, 1], `learning_rate`, and `images_per_second` if measured.
    """
    line = (
      f'epoch {epoch:.2f}  step {self._step}/{self.num_steps}  loss {values["loss"]:.3f}  '
      f'accuracy {100 * values["accuracy"]:.1f} %  rate {values["learning_rate"]:.4g}'
    )
    if 'images_per_second' in values:
      speed = values['images_per_second']
      left = (self.num_steps - self._step) * self.images_per_step / speed
      line += f'  {speed:,.0f} images/s  {duration(left)} left'
    logger.info(line)
    self._bar.set_postfix_str(
      f'loss {values["loss"]:.3f}, accuracy {100 * values["accuracy"]:.1f} %', refresh=False
    )
