"""Evaluates after each epoch: on the validation images, and on the test images if asked to."""

from typing import NamedTuple

import numpy as np

from cifar_jax.experiment.epoch_order import epoch_of_step
from cifar_jax.experiment.eval_step import DeviceSplit, EvalStep, evaluate_split, split_to_devices
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import State
from cifar_jax.optim.plateau import is_better
from cifar_jax.runs.metric_log import MetricLog
from cifar_jax.runtime.console import logger
from cifar_jax.training import divergence


class Score(NamedTuple):
  """What an epoch has reached on the validation images.

  Attributes:
    accuracy: in [0, 1]; for several seeds their mean. None without validation images.
    of_seeds: the same as a float32 scalar, or `[seeds]`; 0 without validation images.
    is_best: whether it is the best so far, by more than `train.best_threshold`.
  """

  accuracy: float | None
  of_seeds: np.ndarray
  is_best: bool


NO_SCORE = Score(None, np.zeros((), np.float32), False)


class EpochEvaluator:
  """Evaluates a state after each epoch, and writes the records.

  Attributes:
    best: step and validation accuracy of the best state so far; None before the first validation.
  """

  def __init__(
    self,
    experiment: Experiment,
    eval_step: EvalStep,
    metric_log: MetricLog,
    best: tuple[int, float] | None,
  ) -> None:
    """Copies the images to the devices.

    Args:
      experiment: what is trained.
      eval_step: the jitted evaluation step.
      metric_log: of the workdir.
      best: step and validation accuracy of the best checkpoint so far; None without one.
    """
    self._experiment = experiment
    self._settings, self._num_steps = experiment.train_settings, experiment.num_steps
    self._num_images = len(experiment.dataset.train)
    self._eval_step, self._metric_log = eval_step, metric_log
    self.best = best

    def copy(name: str) -> DeviceSplit | None:
      split = getattr(experiment.dataset, name)
      if not len(split):
        return None
      return split_to_devices(split, experiment.batch_size, experiment.mesh)

    self._validation = copy('validation')
    self._test = copy('test') if self._settings.test_each_epoch else None
    if self._test:
      logger.warning('train.test_each_epoch: this run looks at the test images after each epoch')

  def evaluate(self, state: State, step: int, epoch: int, epochs: float) -> Score:
    """Evaluates a state and writes one record per split.

    Args:
      state: the state after an epoch.
      step: number of steps taken.
      epoch: the epoch that has ended, counted from 0.
      epochs: `step` in epochs; slightly above `epoch + 1` where the last batch also has images of
        the next epoch.

    Raises:
      DivergedError: the validation loss is not finite. Nothing is written.
    """
    score = self._validate(state, step, epoch, epochs)
    if is_last := self.has_stalled(step):
      logger.info(
        'train.patience: no best validation accuracy for %d epochs, so the run ends here',
        self._settings.patience,
      )
    if self._test and step < self._num_steps and not is_last:  # the end evaluates the last state
      values, _ = evaluate_split(self._eval_step, state, self._test)
      self._metric_log.write(step, epochs, 'test', values)
    return score

  def has_stalled(self, step: int) -> bool:
    """Whether early stopping ends the run after a number of steps (`train.patience`)."""
    settings = self._settings
    now, best = (
      epoch_of_step(steps, settings.batch_size, self._num_images)
      for steps in (step, self.best[0] if self.best else 0)
    )
    return 0 < settings.patience <= now - best

  def _validate(self, state: State, step: int, epoch: int, epochs: float) -> Score:
    """Evaluates a state on the validation images, as `evaluate`."""
    if self._validation is None:
      return NO_SCORE
    values, _ = evaluate_split(self._eval_step, state, self._validation)
    divergence.check_evaluation(self._experiment, step, 'validation', values)
    self._metric_log.write(step, epochs, 'validation', values)
    accuracy = values['accuracy']
    logger.info(
      'epoch %d of %g  validation loss %.3f  accuracy %.2f %%',
      *(epoch + 1, self._settings.num_epochs, values['loss'], 100 * accuracy),
    )
    of_best = self.best[1] if self.best else -1.0
    is_best = bool(is_better(accuracy, of_best, self._settings.best_threshold))
    if is_best:
      self.best = step, accuracy
    of_seeds = values['each']['accuracy'] if 'each' in values else accuracy
    return Score(accuracy, np.asarray(of_seeds, np.float32), is_best)
