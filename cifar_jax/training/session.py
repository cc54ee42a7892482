"""A run from its first session to its last: start or resume, train, evaluate, report."""

import contextlib
import json
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
from ml_collections import ConfigDict

from cifar_jax import data, output_files
from cifar_jax.config.dataset import DataSettings
from cifar_jax.config.optimization import ScheduleSettings, doubt_about_rate
from cifar_jax.config.training import TrainSettings
from cifar_jax.convert import initial_weights
from cifar_jax.data.dataset import digests
from cifar_jax.errors import InputError, LostError, ShortageError, is_out_of_memory
from cifar_jax.experiment.experiment import Experiment, build
from cifar_jax.experiment.later_leg import continue_schedule
from cifar_jax.report import summary
from cifar_jax.runs import first_save, identity, legs, provenance
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.metric_log import MetricLog
from cifar_jax.runs.results import METRICS, RESULT, best_by_test, read_records
from cifar_jax.runs.trackers import copies
from cifar_jax.runs.workdir import CHECKPOINTS, claim_workdir, extends, is_finished
from cifar_jax.runtime import processes, xla_flags
from cifar_jax.runtime.console import keep_lines, log_to, logger
from cifar_jax.runtime.signals import StopRequest
from cifar_jax.training import code_of_sessions, finished, leak, out_of_memory, published, start
from cifar_jax.training.finish import (
  evaluate_run,
  report_run,
  save_scorecard,
  send_end,
)
from cifar_jax.training.loop import Loop
from cifar_jax.training.profiler import FOLDER, Profiler
from cifar_jax.training.progress import Progress


def run(config: ConfigDict, workdir: pathlib.Path, *, from_python: bool = False) -> int:
  """Trains, evaluates and reports a run; resumes it if an earlier session stopped.

  A finished run is trained longer if the configuration has more epochs (`runs/legs.py`).

  Args:
    config: the configuration of the run.
    workdir: the directory of its files; new, or holding the same run.
    from_python: True if a notebook or a program calls: it handles signals itself, and a bar is
      always shown.

  Returns:
    An exit status: 0 at the end of the run; 143, 130 or 129 after SIGTERM, Ctrl-C or SIGHUP, when a
    checkpoint is saved.

  Raises:
    InputError: the config, the data or the workdir cannot be used. Nothing is lost.
    DivergedError: the loss or gradient was not finite. The last good checkpoint is intact.
    ShortageError: the batch does not fit in memory. Everything saved is intact.
    LostError: another process of this run died.
  """
  with keep_lines() as lines:
    copies.check_installed(TrainSettings(**config.train))
    start.record_own_module(config)
    processes.check_same(lambda: start.describe_program(config))
    with processes.first_process_first():
      start.check_place(workdir, config)
    if _is_finished(workdir, config):
      return _report_finished(workdir, config)
    origin = provenance.describe(config.sharding.num_devices)
    experiment = _build(config, workdir)
  stopping = StopRequest()
  handling = contextlib.nullcontext(stopping) if from_python else stopping
  with _advice(experiment), claim_workdir(workdir, config), _log(workdir, lines), handling as stop:
    if _is_finished(workdir, config):  # another command has finished the run since
      return _report_finished(workdir, config)
    logger.info('training %s on %s in %s', config.model.name, experiment.dataset.name, workdir)
    logger.debug(xla_flags.describe())
    if doubt := doubt_about_rate(
      experiment.optimizer_settings, ScheduleSettings(**config.schedule)
    ):
      logger.warning(doubt)
    with copies.opened(workdir, config) as run_copies:
      result = run_session(
        *(experiment, workdir, stop, origin['commit']),
        has_bar=from_python or None,
        config=config,
        run_copies=run_copies,
      )
      if result is None:
        processes.part()
        return stop.exit_status
      if processes.is_first():
        result |= digests(experiment.dataset)
        _write_result(workdir, config, result, origin)
      processes.part()
      report_run(workdir, lambda: experiment.dataset)
      if processes.is_first():
        send_end(workdir, run_copies)
    return 0


def _build(config: ConfigDict, workdir: pathlib.Path) -> Experiment:
  """Builds the experiment of a run; all processes must read the same data."""
  with processes.first_process_first():  # which downloads and prepares the data for all
    experiment = continue_schedule(build(config), config, legs.schedule_start(workdir, config))
  processes.check_same(lambda: start.describe_experiment(experiment))
  if not len(experiment.dataset.train):
    raise InputError(f'the data set {config.data.name} has no training images')
  if experiment.init_settings.source and not first_save.was_noted(workdir / CHECKPOINTS):
    start.check_initial_weights(experiment)
  if _first_says(extends(workdir, config)):  # before the files of the finished run are moved
    start.check_can_go_on(experiment, workdir / CHECKPOINTS)
  return experiment


@contextlib.contextmanager
def _advice(experiment: Experiment) -> Iterator[None]:
  """Turns JAX's errors for a lack of memory and a lost process into ones that say what to do."""
  try:
    yield
  except Exception as error:
    if is_out_of_memory(error):
      raise ShortageError(out_of_memory.advice(experiment)) from error
    if processes.are_several() and isinstance(error, jax.errors.JaxRuntimeError):
      details = ' '.join(str(error).split())[:200]
      raise LostError(f'{processes.LOST} ({details})') from error
    raise


def _is_finished(workdir: pathlib.Path, config: ConfigDict) -> bool:
  """Whether the first process sees a result of this length."""
  return _first_says(is_finished(workdir, config))


def _first_says(answer: bool) -> bool:
  """The answer of the first process, so that all processes do the same."""
  return bool(processes.broadcast_from_first('yes' if answer else ''))


def _report_finished(workdir: pathlib.Path, config: ConfigDict) -> int:
  """Reports a run that has a result; raises InputError if the result cannot be read."""
  summary.lines(workdir)  # raises before anything is drawn
  if processes.is_first():
    finished.warn_of_changes(workdir, config)
  processes.part()
  logger.info('this run is finished')
  report_run(workdir, lambda: data.load(DataSettings(**config.data)))
  if processes.is_first() and copies.lack_the_end(workdir, TrainSettings(**config.train)):
    with contextlib.closing(copies.open_alone(workdir, config)) as run_copies:
      run_copies.send(read_records(workdir))
      send_end(workdir, run_copies)
  return 0


def _log(
  workdir: pathlib.Path, earlier: list[logging.LogRecord]
) -> contextlib.AbstractContextManager[None]:
  return log_to(workdir, earlier) if processes.is_first() else contextlib.nullcontext()


def run_session(
  experiment: Experiment,
  workdir: pathlib.Path,
  stop: StopRequest,
  commit: str | None,
  *,
  has_bar: bool | None = None,
  config: ConfigDict | None = None,
  run_copies: copies.Copies | None = None,
) -> dict[str, Any] | None:
  """Trains from the latest checkpoint to the end of the run and evaluates, or until a signal.

  Args:
    experiment: what to run.
    workdir: the directory of the run, which exists.
    stop: says when a signal has come.
    commit: the commit that this session runs.
    has_bar: whether to show a bar; by default on a terminal.
    config: the configuration of the run, for its event files and checkpoints.
    run_copies: the copies of the run in other services.

  Returns:
    The result of the run, with the commits of all its sessions; None after a signal, when a
    checkpoint is saved.
  """
  with Checkpoints(workdir / CHECKPOINTS, experiment.checkpoint_settings) as checkpoints:
    state, run_info = start.first_or_latest_state(experiment, checkpoints, commit)
    if config is not None:
      run_info |= identity.describe(config) | leak.find(workdir, config, experiment.dataset)
    step = state.num_steps
    images_per_step = experiment.batch_size * experiment.num_seeds
    num_epochs = experiment.train_settings.num_epochs
    with (
      MetricLog(
        workdir, step, config=config, copies=run_copies, silent=not processes.is_first()
      ) as metric_log,
      Progress(step, experiment.num_steps, images_per_step, num_epochs, has_bar) as progress,
      Profiler(experiment.train_settings.profile, workdir / FOLDER) as profiler,
    ):
      _warn_of_wrong_records(metric_log, run_info)
      loop = Loop(experiment, checkpoints, metric_log, progress, profiler, stop, run_info)
      state = loop.train(state)
      if stop.agreed_signal:
        logger.info('%s: saved at step %d', stop.agreed_signal.name, state.num_steps)
        logger.info('the same command resumes from there')
        return None
      result, logits = evaluate_run(loop, state)
    if processes.is_first():
      save_scorecard(workdir, experiment, result['num_steps'], logits)
      if experiment.train_settings.test_each_epoch:
        result['best_by_test'] = best_by_test(read_records(workdir))
    result |= {key: run_info[key] for key in (initial_weights.KEY, leak.KEY) if key in run_info}
    return result | code_of_sessions.in_result(run_info)


def _warn_of_wrong_records(metric_log: MetricLog, run_info: dict[str, Any]) -> None:
  """Logs a warning if there are fewer records than when the checkpoint was saved, or one twice."""
  saved, found = run_info.get('records', 0), metric_log.num_records  # early versions saved none
  if found < saved and processes.is_first():
    logger.warning(
      '%s has %d of the %d records up to this step: the others are lost, unless you stop the run '
      'and restore the file from a copy',
      *(METRICS, found, saved),
    )
  if metric_log.num_doubled:
    logger.warning(
      '%s has records twice, as after a copy of it was appended: restore it from a copy', METRICS
    )


def _write_result(
  workdir: pathlib.Path, config: ConfigDict, result: dict[str, Any], origin: dict[str, Any]
) -> None:
  """Writes `result.json`: what the run gave, what it was, and its origin."""
  model, data = config.model.name, config.data.name
  result = result | {'model': model, 'data': data, 'seed': config.seed}
  result['published'] = published.error_of(config)
  of_all_sessions = {key: result[key] for key in ('commit', provenance.CODE)}
  result |= origin | of_all_sessions
  if described := legs.describe(workdir, result):
    result['legs'] = described
  output_files.write_text(workdir / RESULT, json.dumps(result, indent=2) + '\n')
