"""The end of a run: evaluation on the test split, its files, and the report."""

import pathlib
from typing import Any

import numpy as np

from cifar_jax import models
from cifar_jax.augment import views
from cifar_jax.evaluation import scorecard
from cifar_jax.evaluation.predictions import GroundTruth, Predictions
from cifar_jax.experiment.eval_step import evaluate_split, make_eval_step, split_to_devices
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import State, abstract_state
from cifar_jax.report import page, summary
from cifar_jax.report.figures import curves
from cifar_jax.runs.results import read_result
from cifar_jax.runtime import processes
from cifar_jax.runtime.console import logger
from cifar_jax.train.loop import Loop


def evaluate_run(loop: Loop, state: State) -> tuple[dict[str, Any], np.ndarray]:
  """Evaluates the last and the best checkpoint on the test split, once, at the end of a run.

  Args:
    loop: has trained the run to its end.
    state: the state after the last step.

  Returns:
    The result, ready for JSON, and the logits of the last checkpoint, float32 `[n, classes]`, or
    `[seeds, n, classes]` for several seeds.
  """
  experiment, step, seconds = loop.experiment, state.num_steps, loop.seconds()
  test = split_to_devices(experiment.dataset.test, experiment.batch_size, experiment.mesh)
  last, logits = evaluate_split(loop.eval_step, state, test)
  loop.metric_log.write(step, loop.epochs(step), 'test', last)
  num_images = step * experiment.batch_size * experiment.num_seeds
  result: dict[str, Any] = {
    'num_params': models.count(state.params) // experiment.num_seeds,
    'num_epochs': experiment.train_settings.num_epochs,
    'num_steps': step,
    'seconds': round(seconds, 1),
    'images_per_second': round(num_images / seconds, 1),
    'test': last,
  }
  if experiment.num_seeds > 1:
    result['seeds'] = list(experiment.seeds)
  if (tta := experiment.augmentation.tta) != 'none':
    tta_step = make_eval_step(experiment, views.make(tta, experiment.augmentation))
    result['tta'] = {'views': tta, 'test': evaluate_split(tta_step, state, test)[0]}
  if loop.run_info['skipped']:
    result['skipped_steps'] = loop.run_info['skipped']
  best = loop.checkpoints.best
  if best is not None:
    best_state, _ = loop.checkpoints.restore(best, abstract_state(experiment))
    result['best'] = {
      'step': best,
      'epoch': round(loop.epochs(best)),
      'validation_accuracy': loop.checkpoints.validation_accuracy(best),
      'test': evaluate_split(loop.eval_step, best_state, test)[0],
    }
  return result, logits


def save_scorecard(
  workdir: pathlib.Path, experiment: Experiment, model: str, logits: np.ndarray
) -> None:
  """Writes the scorecard that `python -m cifar_jax.evaluate` gives for the last checkpoint.

  Args:
    workdir: of the run.
    experiment: the experiment of the run.
    model: the name of the model.
    logits: on the test split, float32 `[n, classes]`, or `[seeds, n, classes]` for several seeds,
      of which the first gets a scorecard.
  """
  test, class_names = experiment.dataset.test, experiment.dataset.class_names
  stem, title = 'test_last', f'{model}, test split'
  if experiment.num_seeds > 1:
    stem, title = f'{stem}_seed{experiment.seeds[0]}', f'{title}, seed {experiment.seeds[0]}'
    logits = logits[0]
  scorecard.save(
    workdir / scorecard.FOLDER,
    stem,
    title,
    Predictions.of_logits(f'{workdir.resolve().name}_{stem}', logits),
    GroundTruth(test.labels, class_names, test.images),
    {'split': 'test', 'checkpoint': 'last', 'tta': 'none'},
  )


def report_run(workdir: pathlib.Path) -> None:
  """Draws the learning curves, writes the page and logs the result, in the first process."""
  if not processes.is_first():
    return
  result = read_result(workdir)
  title = f'{result["model"]} on {result["data"]}'
  if 'seeds' in result:
    title += f', mean of {len(result["seeds"])} seeds'
  curves.learning_curves(workdir, title)
  page.write([workdir], workdir / page.NAME)
  for line in summary.lines(workdir):
    logger.info(line)
