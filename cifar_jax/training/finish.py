"""The end of a run: evaluation on the test split, its files, and the report."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from cifar_jax import models, output_files
from cifar_jax.augment import views
from cifar_jax.data.dataset import Dataset
from cifar_jax.errors import InputError
from cifar_jax.evaluation import result_scorecard, scorecard
from cifar_jax.evaluation.predictions import GroundTruth, Predictions, read_predictions
from cifar_jax.experiment.eval_step import (
  DeviceSplit,
  evaluate_split,
  make_eval_step,
  split_to_devices,
)
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import State, abstract_state
from cifar_jax.report import page, summary
from cifar_jax.report.figures import curves
from cifar_jax.runs import event_files, retention
from cifar_jax.runs.results import read_result
from cifar_jax.runs.trackers.copies import Copies
from cifar_jax.runtime import processes
from cifar_jax.runtime.console import logger
from cifar_jax.training import divergence
from cifar_jax.training.loop import Loop


def evaluate_run(loop: Loop, state: State) -> tuple[dict[str, Any], np.ndarray]:
  """Evaluates the last and the best checkpoint on the test split, once, at the end of a run.

  Args:
    loop: has trained the run to its end.
    state: the state after the last step.

  Returns:
    The result, ready for JSON, and the logits of the last checkpoint, float32 `[n, classes]`, or
    `[seeds, n, classes]` for several seeds.

  Raises:
    DivergedError: the test loss is not finite, although the losses of all steps were.
  """
  experiment, step, seconds = loop.experiment, state.num_steps, loop.seconds()
  logger.info('testing on %d images', len(experiment.dataset.test))
  test = split_to_devices(experiment.dataset.test, experiment.batch_size, experiment.mesh)
  last, logits = evaluate_split(loop.eval_step, state, test)
  divergence.check_evaluation(experiment, step, 'test', last)
  loop.metric_log.write_last(step, loop.epochs(step), last)
  is_early = step < experiment.num_steps
  num_images = step * experiment.batch_size * experiment.num_seeds
  result: dict[str, Any] = {
    'num_params': models.count(state.params) // experiment.num_seeds,
    'num_epochs': int(loop.epochs(step)) if is_early else experiment.train_settings.num_epochs,
    'num_steps': step,
    'seconds': round(seconds, 1),
    'images_per_second': round(num_images / seconds, 1),
    'test': last,
  }
  if is_early:
    result['planned_epochs'] = experiment.train_settings.num_epochs
  if experiment.num_seeds > 1:
    result['seeds'] = list(experiment.seeds)
  if (tta := experiment.augmentation.tta) != 'none':
    tta_step = make_eval_step(experiment, views.make(tta, experiment.augmentation))
    result['tta'] = {'views': tta, 'test': evaluate_split(tta_step, state, test)[0]}
  if loop.run_info['skipped']:
    result['skipped_steps'] = loop.run_info['skipped']
  if at_best := _at_best(loop, step, last, test):
    result['best'] = at_best
  return result, logits


def _at_best(
  loop: Loop, step: int, last: dict[str, Any], test: DeviceSplit
) -> dict[str, Any] | None:
  """What the result says of the best checkpoint by validation; None if there is none, or no more.

  Args:
    loop: of the run.
    step: of the last checkpoint.
    last: its values on the test split.
    test: the test split.
  """
  best = loop.checkpoints.best_so_far
  if best is None:
    return None
  values, (best_step, accuracy) = last, best
  if best_step != step:
    if not loop.checkpoints.has(best_step):
      logger.warning(
        '%s: the result has the last checkpoint alone', retention.LOST.format(best_step)
      )
      return None
    state, _ = loop.checkpoints.restore(best_step, abstract_state(loop.experiment))
    values, _ = evaluate_split(loop.eval_step, state, test)
  return {
    'step': best_step,
    'epoch': int(loop.epochs(best_step)),  # a whole epoch ends with the step that exceeds it
    'validation_accuracy': accuracy,
    'test': values,
  }


def save_scorecard(
  workdir: pathlib.Path, experiment: Experiment, step: int, logits: np.ndarray
) -> None:
  """Writes the scorecard that `python -m cifar_jax.evaluate` gives for the last checkpoint.

  Args:
    workdir: of the run.
    experiment: the experiment of the run.
    step: of the last checkpoint.
    logits: on the test split, float32 `[n, classes]`, or `[seeds, n, classes]` for several seeds,
      of which the first gets a scorecard.
  """
  stem = result_scorecard.stem(experiment.seeds)
  scorecard.save(
    workdir / scorecard.FOLDER,
    stem,
    Predictions.of_logits(
      f'{workdir.resolve().name}_{stem}', logits if experiment.num_seeds == 1 else logits[0]
    ),
    _truth(experiment.dataset),
    {
      'split': 'test',
      'checkpoint': 'last',
      'tta': 'none',
      'members': [{'workdir': str(workdir.resolve()), 'step': step}],
    },
  )


def report_run(workdir: pathlib.Path, dataset: Callable[[], Dataset]) -> None:
  """Draws all pictures, writes the page and logs the result, in the first process.

  The result is written before, so nothing is lost if this fails or is killed. Called again, it
  draws what is missing.

  Args:
    workdir: of a run with a result.
    dataset: gives the data of the run, if they are needed.
  """
  if not processes.is_first():
    return
  result = read_result(workdir)
  title = f'{result["model"]} on {result["data"]}'
  if 'seeds' in result:
    title += f', mean of {len(result["seeds"])} seeds'
  logger.info('drawing pictures')
  _draw_scorecard(workdir, result, dataset)
  with output_files.decoration(workdir / curves.NAME):
    curves.learning_curves(workdir, title)
  with output_files.decoration(workdir / page.NAME):
    page.write([workdir], workdir / page.NAME)
  with output_files.decoration(workdir / 'events'):
    event_files.write_end(workdir, result['num_steps'], _pictures(workdir, result))
  for line in summary.lines(workdir):
    logger.info(line)


def _draw_scorecard(
  workdir: pathlib.Path, result: dict[str, Any], dataset: Callable[[], Dataset]
) -> None:
  """Draws the pictures of the scorecard of `save_scorecard`, if one of them is not there."""
  seeds = tuple(result.get('seeds', [result['seed']]))
  path = result_scorecard.beginning(workdir, result)
  if not path.with_suffix('.json').exists():
    return
  title = f'{result["model"]}, test split' + (f', seed {seeds[0]}' if len(seeds) > 1 else '')
  with output_files.decoration(path.parent):
    content = result_scorecard.read(workdir, result)
    pictures = scorecard.picture_paths(path.parent, path.name, content)
    if not all(picture.exists() for picture in pictures):
      truth = _truth(dataset())
      _check_tested_on(truth, path.with_suffix('.npz'))
      scorecard.draw(path.parent, path.name, title, content, truth)


def _check_tested_on(truth: GroundTruth, predictions: pathlib.Path) -> None:
  """Raises InputError unless the predictions in a file are of these images."""
  _, tested = read_predictions(str(predictions))
  difference = 'labels' if tested is None else tested.difference(truth)
  if difference:
    raise InputError(
      f'data.data_dir holds other test images than the run was tested on: the {difference} differ'
    )


def send_end(workdir: pathlib.Path, run_copies: Copies) -> None:
  """Sends the pictures of a run with a report to the services that have a copy of the run."""
  result = read_result(workdir)
  run_copies.send_end(result['num_steps'], _pictures(workdir, result))


def _pictures(workdir: pathlib.Path, result: dict[str, Any]) -> dict[str, pathlib.Path]:
  """The pictures of the scorecard of `save_scorecard` that there are, by their titles."""
  path = result_scorecard.beginning(workdir, result)
  try:
    result_scorecard.read(workdir, result)
  except InputError:  # `_draw_scorecard` has said why
    return {}
  endings = {
    'mistakes': scorecard.MISTAKES_PICTURE,
    'confusion matrix': scorecard.CONFUSION_PICTURE,
  }
  paths = {title: path.with_name(path.name + end) for title, end in endings.items()}
  return {title: path for title, path in paths.items() if path.is_file()}


def _truth(dataset: Dataset) -> GroundTruth:
  return GroundTruth(dataset.test.labels, dataset.class_names, dataset.test.images)
