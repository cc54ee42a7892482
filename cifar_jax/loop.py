"""The loop: the order of a run's operations, and nothing else."""

import math
import signal
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cifar_jax import dispatch, experiment, metrics, models, order, processes, sharding
from cifar_jax import state as states
from cifar_jax import step as steps
from cifar_jax.augment import views
from cifar_jax.checkpoint import Checkpoints
from cifar_jax.errors import DivergedError
from cifar_jax.placed import evaluate, place
from cifar_jax.profile import Profile
from cifar_jax.progress import Progress, logger
from cifar_jax.records import Records
from cifar_jax.signals import StopRequest

MOST_SKIPPED = 10  # batches of a run: more are no accident of the data


class Loop:
  """Steps, records, evaluations and checkpoints, in their order."""

  def __init__(
    self,
    parts: experiment.Experiment,
    checkpoints: Checkpoints,
    records: Records,
    progress: Progress,
    profile: Profile,
    stop: StopRequest,
    told: dict[str, Any],
  ) -> None:
    """Copies the data to the devices; the first step compiles.

    Args:
      parts: of the experiment.
      checkpoints: of the workdir.
      records: of the workdir.
      progress: of this session.
      profile: of this session.
      stop: is asked after each dispatch.
      told: goes into each checkpoint; its `seconds` are the run's before this session, and its
        `skipped` the steps that are not to be taken.
    """
    self.parts, self.checkpoints, self.records = parts, checkpoints, records
    self.progress, self.profile, self.stop = progress, profile, stop
    self.agreement = processes.Agreement(parts.mesh)
    self.told = {'skipped': []} | told  # which an earlier version did not tell
    self.began = time.perf_counter() - told['seconds']
    self.batch_size, self.num_images = parts.plan.batch_size, len(parts.dataset.train)
    self.train_steps = {n: experiment.train_step(parts, n) for n in {1, parts.steps_per_dispatch}}
    self.compiled: set[int] = set()  # the keys of those that have run
    self.eval_step = experiment.eval_step(parts)
    self.skip_step = steps.make_skip_step(parts.mesh)
    self.reset_means = steps.make_reset_means(parts.mesh)
    train, validation = parts.dataset.train, parts.dataset.validation
    self.images, self.labels = sharding.replicate((train.images, train.labels), parts.mesh)
    self.key = sharding.replicate_key(parts.key, parts.mesh)
    self.validation = place(validation, self.batch_size, parts.mesh) if len(validation) else None
    best = checkpoints.best
    accuracy = None if best is None else checkpoints.validation_accuracy(best)
    self.best_accuracy = -1.0 if accuracy is None else accuracy

  def train(self, state: states.State) -> states.State:
    """Trains to the last step, or until a signal asks to stop; the state returned is saved."""
    while True:
      try:
        state = self._train(state)
        self.checkpoints.wait()
        self.stop.unsaved = False
        return state
      except DivergedError as error:
        if self.parts.plan.nonfinite != 'skip':
          raise
        state = self._go_back(error)

  def _train(self, state: states.State) -> states.State:
    step = state.num_steps
    while step < self.parts.num_steps and not self.stop.agreed:
      epoch = order.epoch_of(step, self.batch_size, self.num_images)
      end = order.end_of_epoch(epoch, self.batch_size, self.num_images)
      end = min(end, self.parts.num_steps)  # the last epoch need not be whole
      state = self._steps(state, epoch, step, end)
      step = state.num_steps
      if step == end:
        self._end_of_epoch(state, step, epoch)
    if step != self.checkpoints.latest:
      self._save(state, step)
    return state

  def _go_back(self, error: DivergedError) -> states.State:
    """The state of the last good checkpoint, after which the step of an error will be skipped."""
    self.checkpoints.wait()
    good = self.checkpoints.latest or 0
    if len(self.told['skipped']) >= MOST_SKIPPED:
      raise error
    if good:
      state, _ = self.checkpoints.restore(good, experiment.abstract_state(self.parts))
    else:
      state = experiment.initial_state(self.parts)
    self.told['skipped'] = [*self.told['skipped'], error.step]
    self.records.go_back(good)
    self.progress.go_back(good)
    logger.warning(
      '%s is not finite: back to step %d, and on without the batch of step %d',
      *(error.what, good, error.step),
    )
    return state

  def _steps(self, state: states.State, epoch: int, step: int, end: int) -> states.State:
    """The steps of an epoch from `step` to `end`, with the records and checkpoints between."""
    epoch_order = order.of_epoch(self.key, jnp.int32(epoch), self.num_images)
    while step < end and not self.stop.agreed:
      if self.profile.between(step, state):
        self.progress.restart_clock()
      num_steps = self._next(step, end)
      with jax.transfer_guard_host_to_device('disallow'):
        if step in self.told['skipped']:
          state = self.skip_step(state)
        else:
          train_step = self.train_steps[num_steps]
          state = train_step(state, self.key, self.images, self.labels, epoch_order)
      step += num_steps
      self.stop.unsaved = True
      sharding.one_at_a_time(state.step, self.parts.mesh)
      if number := self.agreement.largest(self.stop.received or 0):
        self.stop.agreed = signal.Signals(number)
      self.progress.advance(num_steps)
      if num_steps not in self.compiled:
        self.compiled.add(num_steps)
        jax.block_until_ready(state.step)  # the first call compiles, which is not to be timed
        self.progress.restart_clock()
      if step % self.parts.plan.log_every_steps == 0 or step == end:
        state = self._record(state, step)
      if step < end and self.parts.checkpoints.due_after_step(step):
        self._save(state, step)
    return state

  def _next(self, step: int, end: int) -> int:
    """How many steps the next dispatch takes, before all that is to be done between two."""
    parts, skipped = self.parts, self.told['skipped']
    if step in skipped:
      return 1
    every = (parts.plan.log_every_steps, parts.checkpoints.every_steps)
    at = [*skipped, parts.plan.profile]  # the same in all processes
    return dispatch.num_steps(step, end, parts.steps_per_dispatch, every, at)

  def _record(self, state: states.State, step: int) -> states.State:
    """Writes the means since the last record, and begins new ones."""
    values = metrics.read(state.means)
    self._check_finite(state)
    if math.isnan(values['loss']):  # all were skipped: a mean of nothing
      return state
    schedule = self.parts.schedule
    rates = schedule.learning_rate(step - 1, state.opt_state)
    values['learning_rate'] = float(np.mean(rates))  # a plateau lowers each seed's by itself
    speed = self.progress.measure()
    if speed is not None:
      values['images_per_second'] = speed
    self.records.write(step, self._in_epochs(step), 'train', values)
    self.progress.train_line(self._in_epochs(step), values)
    return self.reset_means(state)

  def _in_epochs(self, step: int) -> float:
    return step * self.batch_size / self.num_images

  def _check_finite(self, state: states.State) -> None:
    of_seeds = np.ravel(state.first_nonfinite)
    index = int(np.argmin(of_seeds))
    if of_seeds[index] != states.NEVER:
      step, only_gradient = divmod(int(of_seeds[index]), 2)
      good, several = self.checkpoints.latest, len(of_seeds) > 1
      raise DivergedError(
        step,
        'gradient' if only_gradient else 'loss',
        f'the last good checkpoint is {"none" if good is None else f"step {good}"}; try '
        'train.nonfinite=skip here, or a lower schedule.learning_rate, a warm-up, or '
        'optimizer.clip_norm in another --workdir',
        self.parts.seeds[index] if several else None,
      )

  def _end_of_epoch(self, state: states.State, step: int, epoch: int) -> None:
    """Evaluates on the validation split, and saves where that is due or the best so far."""
    accuracy = None
    if self.validation is not None:
      values, _ = evaluate(self.eval_step, state, self.validation)
      accuracy = values['accuracy']
      self.records.write(step, self._in_epochs(step), 'validation', values)
      logger.info(
        'epoch %d of %g  validation loss %.3f  accuracy %.2f %%',
        *(epoch + 1, self.parts.plan.num_epochs, values['loss'], 100 * accuracy),
      )
    policy = self.parts.checkpoints
    # Whichever epochs are due, the best is always among the saved.
    best = accuracy is not None and accuracy >= self.best_accuracy
    if best or policy.due_after_epoch(epoch) or policy.due_after_step(step):
      self._save(state, step, accuracy)
    self.best_accuracy = max(self.best_accuracy, accuracy or 0.0)
    self.progress.restart_clock()

  def _save(self, state: states.State, step: int, accuracy: float | None = None) -> None:
    self._check_finite(state)
    told = self.told | {'seconds': time.perf_counter() - self.began}
    self.checkpoints.save(step, state, run=told, accuracy=accuracy)
    self.progress.restart_clock()

  def result(self, state: states.State) -> tuple[dict[str, Any], np.ndarray]:
    """Evaluates the last and the best checkpoint on the test split, once, at the end of the run.

    Returns:
      The result, and the logits of the last checkpoint, float32 `[n, classes]`; of several seeds
      `[seeds, n, classes]`.
    """
    parts, step = self.parts, state.num_steps
    seconds = time.perf_counter() - self.began
    test = place(parts.dataset.test, self.batch_size, parts.mesh)
    last, logits = evaluate(self.eval_step, state, test)
    self.records.write(step, self._in_epochs(step), 'test', last)
    result: dict[str, Any] = {
      'num_params': models.count(state.params) // len(parts.seeds),
      'num_epochs': parts.plan.num_epochs,
      'num_steps': step,
      'seconds': round(seconds, 1),
      'images_per_second': round(step * self.batch_size * len(parts.seeds) / seconds, 1),
      'test': last,
    }
    if len(parts.seeds) > 1:
      result['seeds'] = list(parts.seeds)
    if (tta := parts.augmentation.tta) != 'none':
      tta_step = experiment.eval_step(parts, views.make(tta, parts.augmentation))
      result['tta'] = {'views': tta, 'test': evaluate(tta_step, state, test)[0]}
    if self.told['skipped']:
      result['skipped_steps'] = self.told['skipped']
    best = self.checkpoints.best
    if best is not None:
      best_state, _ = self.checkpoints.restore(best, experiment.abstract_state(parts))
      result['best'] = {
        'step': best,
        'epoch': round(self._in_epochs(best)),
        'validation_accuracy': self.checkpoints.validation_accuracy(best),
        'test': evaluate(self.eval_step, best_state, test)[0],
      }
    return result, logits
