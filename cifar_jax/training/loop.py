"""The training loop: steps, records, evaluations and checkpoints, in their order."""

import math
import signal
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax.errors import DivergedError
from cifar_jax.experiment import metrics
from cifar_jax.experiment.epoch_order import end_of_epoch, epoch_of_step, order_of_epoch
from cifar_jax.experiment.eval_step import make_eval_step
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import State, abstract_state
from cifar_jax.experiment.train_step import (
  make_end_epoch,
  make_reset_means,
  make_skip_step,
  make_train_step,
)
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.metric_log import MetricLog
from cifar_jax.runtime.agreement import Agreement
from cifar_jax.runtime.console import logger
from cifar_jax.runtime.devices import replicate, replicate_key, wait_on_cpu
from cifar_jax.runtime.signals import StopRequest
from cifar_jax.training import dispatch, divergence, start
from cifar_jax.training.compilation import Compilation
from cifar_jax.training.epoch_evaluator import NO_SCORE, EpochEvaluator, Score
from cifar_jax.training.profiler import Profiler
from cifar_jax.training.progress import Progress

MAX_SKIPPED = 10  # batches of a run; if more are not finite, the data are not to blame


class Loop:
  """Trains a run to its end, or until a signal.

  Attributes:
    experiment: what is trained.
    checkpoints: the checkpoints of the run.
    metric_log: the records of the run.
    run_info: goes into each checkpoint.
    eval_step: the jitted evaluation step.
  """

  def __init__(
    self,
    experiment: Experiment,
    checkpoints: Checkpoints,
    metric_log: MetricLog,
    progress: Progress,
    profiler: Profiler,
    stop: StopRequest,
    run_info: dict[str, Any],
  ) -> None:
    """Copies the data to the devices; the first step compiles.

    Args:
      experiment: what to train.
      checkpoints: of the workdir.
      metric_log: of the workdir.
      progress: of this session.
      profiler: of this session.
      stop: is read after each dispatch.
      run_info: goes into each checkpoint. `seconds` is the time that the run took before this
        session; `skipped`, if present, lists the steps whose batches to leave out.
    """
    self.experiment, self.checkpoints, self.metric_log = experiment, checkpoints, metric_log
    self._progress, self._profiler, self._stop = progress, profiler, stop
    # Step by step (JAX_DISABLE_JIT), each constant of the code is a transfer of its own.
    step_by_step: bool = jax.config.jax_disable_jit  # type: ignore[attr-defined]
    self._transfers = 'allow' if step_by_step else 'disallow'
    self._agreement = Agreement(experiment.mesh)
    self.run_info = {'skipped': []} | run_info  # checkpoints of an early version lack the key
    self._start_time = time.perf_counter() - run_info['seconds']
    self._num_images = len(experiment.dataset.train)
    self._train_steps = {
      num_steps: make_train_step(experiment, num_steps)
      for num_steps in {1, experiment.steps_per_dispatch}
    }
    self._compilation = Compilation()
    self.eval_step = make_eval_step(experiment)
    self._skip_step = make_skip_step(experiment)
    self._reset_means = make_reset_means(experiment.mesh)
    self._end_schedule_epoch = make_end_epoch(experiment)
    train = experiment.dataset.train
    self._images, self._labels = replicate((train.images, train.labels), experiment.mesh)
    self._key = replicate_key(experiment.key, experiment.mesh)
    best = checkpoints.best_so_far
    self._evaluator = EpochEvaluator(experiment, self.eval_step, metric_log, best)

  def train(self, state: State) -> State:
    """Trains to the last step or until a signal; the returned state is saved."""
    while True:
      try:
        state = self._train_epochs(state)
        self.checkpoints.wait()
        self._stop.unsaved = False
        self._notice_late_signal()
        return state
      except DivergedError as error:
        if self.experiment.train_settings.nonfinite != 'skip':
          raise
        state = self._go_back(error)

  def _notice_late_signal(self) -> None:
    """Notices a signal that came after the last step, as in the last validation."""
    if self._stop.agreed_signal:  # the same in all processes
      return
    if number := self._agreement.largest_now(self._stop.received_signal or 0):
      self._stop.agreed_signal = signal.Signals(number)

  def _train_epochs(self, state: State) -> State:
    step, batch_size = state.num_steps, self.experiment.batch_size
    while step < self.experiment.num_steps and not self._stop.agreed_signal:
      if self._evaluator.has_stalled(step):
        break
      epoch = epoch_of_step(step, batch_size, self._num_images)
      end = end_of_epoch(epoch, batch_size, self._num_images)
      end = min(end, self.experiment.num_steps)  # the last epoch may be a part of one
      state = self._take_steps(state, epoch, step, end)
      step = state.num_steps
      if step == end:
        state = self._end_epoch(state, step, epoch)
    if step != self.checkpoints.latest:
      self._save(state, step)
    return state

  def _take_steps(self, state: State, epoch: int, step: int, end: int) -> State:
    """Takes the steps of an epoch from `step` to `end`, with records and checkpoints between."""
    epoch_order = order_of_epoch(self._key, jnp.int32(epoch), self._num_images)
    while step < end and not self._stop.agreed_signal:
      if self._profiler.before_dispatch(step, state):
        self._progress.restart_clock()
      num_steps = self._next_num_steps(step, end)
      with jax.transfer_guard_host_to_device(self._transfers):
        if step in self.run_info['skipped']:
          state = self._skip_step(state)
        else:
          self._compilation.announce(num_steps, state.params)
          train_step = self._train_steps[num_steps]
          state = train_step(state, self._key, self._images, self._labels, epoch_order)
      step += num_steps
      self._stop.unsaved = True
      wait_on_cpu(state.step)
      if number := self._agreement.largest(self._stop.received_signal or 0):
        self._stop.agreed_signal = signal.Signals(number)
      self._progress.advance(num_steps)
      if self._compilation.has_ended(state.step):
        self._progress.restart_clock()  # the first call compiles, which the speed leaves out
      if step % self.experiment.train_settings.log_every_steps == 0 or step == end:
        state = self._record(state, step)
      if step < end and self.experiment.checkpoint_settings.due_after_step(step):
        self._save(state, step)
    return state

  def _next_num_steps(self, step: int, end: int) -> int:
    """The number of steps that the next dispatch takes, up to the next thing the host has to do."""
    experiment, skipped = self.experiment, self.run_info['skipped']
    if step in skipped:
      return 1
    every = (experiment.train_settings.log_every_steps, experiment.checkpoint_settings.every_steps)
    at = [*skipped, experiment.train_settings.profile]  # the same in all processes
    return dispatch.next_num_steps(step, end, experiment.steps_per_dispatch, every, at)

  def _record(self, state: State, step: int) -> State:
    """Writes the means since the last record, and returns the state with empty means."""
    values = metrics.read(state.means, self.experiment.dataset.num_classes)
    divergence.check_steps(self.experiment, state, self.checkpoints.latest)
    if math.isnan(values['loss']):  # all batches since the last record were skipped
      return state
    rates = self.experiment.schedule.learning_rate(step - 1, state.opt_state)
    values['learning_rate'] = float(np.mean(rates))  # a plateau schedule lowers it for each seed
    speed = self._progress.measure()
    if speed is not None:
      values['images_per_second'] = speed
    self.metric_log.write(step, self.epochs(step), 'train', values)
    self._progress.log_record(self.epochs(step), values)
    return self._reset_means(state)

  def _end_epoch(self, state: State, step: int, epoch: int) -> State:
    """Evaluates, then saves a checkpoint that is due or the best so far; returns the state."""
    score = self._evaluator.evaluate(state, step, epoch, self.epochs(step))
    if self._end_schedule_epoch:  # before a checkpoint is saved, so that it has the next rate
      accuracies = replicate(score.of_seeds, self.experiment.mesh)
      state = self._end_schedule_epoch(state, accuracies)
    settings = self.experiment.checkpoint_settings
    if score.is_best or settings.due_after_epoch(epoch) or settings.due_after_step(step):
      self._save(state, step, score)
    self._progress.restart_clock()
    return state

  def _save(self, state: State, step: int, score: Score = NO_SCORE) -> None:
    divergence.check_steps(self.experiment, state, self.checkpoints.latest)
    divergence.check_weights(self.experiment, state)
    run_info = self.run_info | {'seconds': self.seconds(), 'records': self.metric_log.num_records}
    if best := self._evaluator.best:
      run_info['best'] = dict(zip(('step', 'accuracy'), best, strict=True))
    self.checkpoints.save(
      step, state, run_info=run_info, accuracy=score.accuracy, is_best=score.is_best
    )
    self._progress.restart_clock()

  def _go_back(self, error: DivergedError) -> State:
    """Returns the state of the last checkpoint, and marks the step of an error to be skipped."""
    self.checkpoints.wait()
    latest = self.checkpoints.latest or 0
    if len(self.run_info['skipped']) >= MAX_SKIPPED:
      raise error
    if latest:
      state, _ = self.checkpoints.restore(latest, abstract_state(self.experiment))
    else:
      state, _ = start.first_state(self.experiment, self.run_info)
    self._evaluator.best = self.checkpoints.best_so_far
    self.run_info['skipped'] = [*self.run_info['skipped'], error.step]
    self.metric_log.go_back(latest)
    self._progress.go_back(latest)
    logger.warning(
      '%s is not finite: back to step %d, and on without the batch of step %d',
      *(error.subject, latest, error.step),
    )
    return state

  def epochs(self, num_steps: int) -> float:
    """The number of epochs that a number of steps makes."""
    return num_steps * self.experiment.batch_size / self._num_images

  def seconds(self) -> float:
    """The time that the run has taken so far, in all its sessions."""
    return time.perf_counter() - self._start_time
