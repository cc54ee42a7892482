"""The loop: the order of a run's operations, and nothing else."""

import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from cifar_jax import experiment, metrics, models, order, provenance, sharding
from cifar_jax import state as states
from cifar_jax import step as steps
from cifar_jax import workdir as workdirs
from cifar_jax.checkpoint import Checkpoints
from cifar_jax.errors import DivergedError, InputError
from cifar_jax.evaluate import evaluate, place
from cifar_jax.models import table
from cifar_jax.progress import Progress, log_to, logger
from cifar_jax.records import Records
from cifar_jax.report import page, plots, runs, summary
from cifar_jax.signals import StopRequest

RESULT = 'result.json'


def run(config: ConfigDict, workdir: pathlib.Path) -> int:
  """Trains, evaluates and reports; goes on where an earlier run in the same workdir stopped.

  Args:
    config: what to run.
    workdir: where its files are kept; new, or holding the same run.

  Returns:
    An exit status: 0 at the end of the run, 143 or 130 after SIGTERM or Ctrl-C, with a checkpoint.

  Raises:
    InputError: the config, the data or the workdir cannot be used; nothing was changed.
    DivergedError: the loss or gradient was not finite; the last good checkpoint is kept.
  """
  workdirs.check(workdir, config)
  if (workdir / RESULT).exists():
    logger.info('this run is finished; its result:')
    return _report(workdir)
  origin = provenance.describe(config.sharding.num_devices)
  parts = experiment.build(config)
  if not len(parts.dataset.train):
    raise InputError(f'the data set {config.data.name} has no training images')
  with workdirs.claimed(workdir, config), log_to(workdir), StopRequest() as stop:
    with Checkpoints(workdir / workdirs.CHECKPOINTS, parts.checkpoints) as checkpoints:
      state, told = _first_or_latest_state(parts, checkpoints)
      told['commits'] = list(dict.fromkeys([*told['commits'], origin['commit']]))
      step = int(state.step)
      with (
        Records(workdir, after_step=step) as records,
        Progress(step, parts.num_steps, parts.plan.batch_size) as progress,
      ):
        loop = Loop(parts, checkpoints, records, progress, stop, told)
        state = loop.train(state)
        if stop.received and int(state.step) < parts.num_steps:
          logger.info('%s: saved at step %d', stop.received.name, int(state.step))
          logger.info('the same command goes on from there')
          return stop.exit_status
        result = loop.result(state)
    result |= {'model': config.model.name, 'data': config.data.name, 'seed': config.seed}
    result['published'] = table.published_error(config.model.name, config.data.name)
    result |= origin | {'commit': ', '.join(told['commits'])}
    workdirs.write(workdir / RESULT, json.dumps(result, indent=2) + '\n')
    return _report(workdir)


def _report(workdir: pathlib.Path) -> int:
  """Draws the learning curves, writes the page and says the result."""
  plots.learning_curves(workdir, '{model} on {data}'.format(**runs.read_result(workdir)))
  page.write([workdir], workdir / page.NAME)
  for line in summary.lines(workdir):
    logger.info(line)
  return 0


def _first_or_latest_state(
  parts: experiment.Experiment, checkpoints: Checkpoints
) -> tuple[states.State, dict[str, Any]]:
  """The state to begin with, and what is told from session to session of a run."""
  if checkpoints.latest is not None:
    state, told = checkpoints.restore(checkpoints.latest, experiment.abstract_state(parts))
    experiment.check_same_data(parts.dataset, told)
    logger.info('resuming at step %d of %d', int(state.step), parts.num_steps)
    return state, told
  state = experiment.initial_state(parts)
  dataset, size = parts.dataset, models.count(state.params)
  logger.info(
    '%s: %d training, %d validation and %d test images; %s parameters; %d steps of %d on %d x %s',
    *(dataset.name, len(dataset.train), len(dataset.validation), len(dataset.test), f'{size:,}'),
    *(parts.num_steps, parts.plan.batch_size, parts.mesh.size, jax.devices()[0].device_kind),
  )
  return state, {'seconds': 0.0, 'commits': [], 'data': experiment.fingerprint(dataset)}


class Loop:
  """Steps, records, evaluations and checkpoints, in their order."""

  def __init__(
    self,
    parts: experiment.Experiment,
    checkpoints: Checkpoints,
    records: Records,
    progress: Progress,
    stop: StopRequest,
    told: dict[str, Any],
  ) -> None:
    """Copies the data to the devices; the first step compiles.

    Args:
      parts: of the experiment.
      checkpoints: of the workdir.
      records: of the workdir.
      progress: of this session.
      stop: is asked after each step.
      told: goes into each checkpoint; its `seconds` are the run's before this session.
    """
    self.parts, self.checkpoints, self.records = parts, checkpoints, records
    self.progress, self.stop, self.told = progress, stop, told
    self.began = time.perf_counter() - told['seconds']
    self.batch_size, self.num_images = parts.plan.batch_size, len(parts.dataset.train)
    self.train_step = experiment.train_step(parts)
    self.eval_step = experiment.eval_step(parts)
    self.reset_means = steps.make_reset_means(parts.mesh)
    train, validation = parts.dataset.train, parts.dataset.validation
    self.images, self.labels = sharding.replicate((train.images, train.labels), parts.mesh)
    self.key = jax.device_put(parts.key, sharding.replicated(parts.mesh))
    self.validation = place(validation, self.batch_size, parts.mesh) if len(validation) else None
    best = checkpoints.best
    accuracy = None if best is None else checkpoints.validation_accuracy(best)
    self.best_accuracy = -1.0 if accuracy is None else accuracy

  def train(self, state: states.State) -> states.State:
    """Trains to the last step, or until a signal asks to stop; the state returned is saved."""
    step = int(state.step)
    while step < self.parts.num_steps and not self.stop.received:
      epoch = order.epoch_of(step, self.batch_size, self.num_images)
      end = order.end_of_epoch(epoch, self.batch_size, self.num_images)
      state = self._steps(state, epoch, step, end)
      step = int(state.step)
      if step == end:
        self._end_of_epoch(state, step, epoch)
    if step != self.checkpoints.latest:
      self._save(state, step)
    self.checkpoints.wait()
    return state

  def _steps(self, state: states.State, epoch: int, step: int, end: int) -> states.State:
    """The steps of an epoch from `step` to `end`, with the records and checkpoints between."""
    epoch_order = order.of_epoch(self.key, jnp.int32(epoch), self.num_images)
    while step < end and not self.stop.received:
      with jax.transfer_guard_host_to_device('disallow'):
        state = self.train_step(state, self.key, self.images, self.labels, epoch_order)
      step += 1
      self.progress.advance()
      if not self.progress.clock_runs:
        jax.block_until_ready(state.step)  # the first step compiles, which is not to be timed
        self.progress.restart_clock()
      if step % self.parts.plan.log_every_steps == 0 or step == end:
        state = self._record(state, step)
      if step < end and self.parts.checkpoints.due_after_step(step):
        self._save(state, step)
    return state

  def _record(self, state: states.State, step: int) -> states.State:
    """Writes the means since the last record, and begins new ones."""
    values = metrics.read(state.means)
    self._check_finite(state)
    schedule = self.parts.schedule
    values['learning_rate'] = float(schedule.learning_rate(step - 1, state.opt_state))
    speed = self.progress.measure()
    if speed is not None:
      values['images_per_second'] = speed
    self.records.write(step, self._in_epochs(step), 'train', values)
    self.progress.train_line(self._in_epochs(step), values)
    return self.reset_means(state)

  def _in_epochs(self, step: int) -> float:
    return step * self.batch_size / self.num_images

  def _check_finite(self, state: states.State) -> None:
    first = int(state.first_nonfinite)
    if first != states.NEVER:
      good = self.checkpoints.latest
      raise DivergedError(
        f'the loss or the gradient of step {first} is not finite; '
        f'the last good checkpoint is {"none" if good is None else f"step {good}"}; try a lower '
        'schedule.learning_rate, a warm-up, or optimizer.clip_norm, in another --workdir'
      )

  def _end_of_epoch(self, state: states.State, step: int, epoch: int) -> None:
    """Evaluates on the validation split, and saves where that is due or the best so far."""
    accuracy = None
    if self.validation is not None:
      values = evaluate(self.eval_step, state, self.validation)
      accuracy = values['accuracy']
      self.records.write(step, self._in_epochs(step), 'validation', values)
      logger.info(
        'epoch %d of %d  validation loss %.3f  accuracy %.2f %%',
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

  def result(self, state: states.State) -> dict[str, Any]:
    """Evaluates the last and the best checkpoint on the test split, once, at the end of the run."""
    parts, step = self.parts, int(state.step)
    seconds = time.perf_counter() - self.began
    test = place(parts.dataset.test, self.batch_size, parts.mesh)
    last = evaluate(self.eval_step, state, test)
    self.records.write(step, self._in_epochs(step), 'test', last)
    result: dict[str, Any] = {
      'num_params': models.count(state.params),
      'num_epochs': parts.plan.num_epochs,
      'num_steps': step,
      'seconds': round(seconds, 1),
      'images_per_second': round(step * self.batch_size / seconds, 1),
      'test': last,
    }
    best = self.checkpoints.best
    if best is not None:
      best_state, _ = self.checkpoints.restore(best, experiment.abstract_state(parts))
      result['best'] = {
        'step': best,
        'epoch': round(self._in_epochs(best)),
        'validation_accuracy': self.checkpoints.validation_accuracy(best),
        'test': evaluate(self.eval_step, best_state, test),
      }
    return result
