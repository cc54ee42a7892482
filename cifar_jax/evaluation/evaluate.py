"""Evaluates a run, alone or in an ensemble, or a prediction file; the command is `evaluate.py`.

Every image of a split counts exactly once. Values, pictures and, for a run, every prediction are
written into files whose names contain the split and the checkpoint.
"""

import pathlib
import zlib

import numpy as np

from cifar_jax import output_files
from cifar_jax.data.dataset import select_split
from cifar_jax.errors import InputError
from cifar_jax.evaluation import scorecard
from cifar_jax.evaluation.ensemble import model_name, predict_ensemble, restore_ensemble
from cifar_jax.evaluation.predictions import (
  GroundTruth,
  Predictions,
  check_predictions,
  read_predictions,
)
from cifar_jax.evaluation.restore import Restored
from cifar_jax.evaluation.sources import load_ground_truth
from cifar_jax.runs import provenance


def evaluate_runs(
  runs: list[pathlib.Path],
  split: str,
  checkpoint: str,
  tta: str,
  overrides: list[str],
  out: pathlib.Path | None,
  seed_index: int = 0,
) -> None:
  """Evaluates a run, or an ensemble of several, and writes and prints the results.

  Args:
    runs: the workdirs.
    split: one of `config.dataset.SPLITS`.
    checkpoint: one of `options.CHECKPOINT_CHOICES`.
    tta: one of `config.augmentation.VIEWS`.
    overrides: `--config.SECTION.KEY=VALUE`, such as another location of the data.
    out: directory of the results; by default `evaluation` in the first workdir.
    seed_index: index of the seed, from 0, in runs that trained several seeds.

  Raises:
    InputError: there is no such run, checkpoint or split, or the results cannot be written.
  """
  members = restore_ensemble(runs, checkpoint, overrides, seed_index)
  experiment = members[0].experiment
  # First, because the commit may change during the computation.
  origin = provenance.describe(experiment.mesh.size, 'cifar_jax.evaluate')
  images = select_split(experiment.dataset, split)
  out = out or runs[0] / scorecard.FOLDER
  output_files.make_folder(out)
  stem = _file_stem(members, runs, split, checkpoint, tta)
  name = model_name(members)

  logits = predict_ensemble(members, images, tta)
  predictions = Predictions.of_logits(f'{runs[0].resolve().name}_{stem}', logits)
  truth = GroundTruth(images.labels, experiment.dataset.class_names, images.images)
  title = f'{name}{"" if tta == "none" else " with " + tta}, {split} split'
  details = {
    'split': split,
    'checkpoint': checkpoint,
    'tta': tta,
    'members': [_member_details(member) for member in members],
    **origin,
  }
  results = scorecard.save(out, stem, predictions, truth, details)
  scorecard.draw(out, stem, title, results, truth)

  steps = ', '.join(str(member.step) for member in members)
  print(
    f'{name}, {checkpoint} checkpoint (step {steps}), tta {tta}, on {len(images)} {split} images'
  )
  print('\n'.join([*scorecard.lines(results), f'written: {out / stem}.json, .npz and pictures']))


def _file_stem(
  members: list[Restored], runs: list[pathlib.Path], split: str, checkpoint: str, tta: str
) -> str:
  """The beginning of file names, different for all that can be evaluated of a run."""
  words = [split, checkpoint]
  if tta != 'none':
    words.append(tta)
  if members[0].is_one_of_several_seeds:
    words.append(f'seed{members[0].experiment.seeds[0]}')
  if len(runs) > 1:
    paths = '\n'.join(str(run.resolve()) for run in runs)
    words.append(f'ensemble_of_{len(runs)}_{zlib.crc32(paths.encode()):08x}')
  return '_'.join(words)


def _member_details(member: Restored) -> dict[str, str | int]:
  details = {'workdir': str(member.workdir), 'model': member.config.model.name, 'step': member.step}
  return details | ({'seed': member.experiment.seeds[0]} if member.is_one_of_several_seeds else {})


def evaluate_file(file: str, split: str, overrides: list[str], out: pathlib.Path | None) -> None:
  """Evaluates each model of a prediction file, and writes and prints the results.

  Args:
    file: `FILE.npz` or `FILE.npz:NAME`.
    split: one of `config.dataset.SPLITS`, whose labels and images are loaded if the file has no
      labels or `overrides` select a data set.
    overrides: `--config.data.KEY=VALUE`.
    out: directory of the results; by default `evaluation/FILE` in the current directory.

  Raises:
    InputError: the file, one of its models or the data cannot be used.
  """
  models, file_truth = read_predictions(file)
  truth = load_ground_truth(split, overrides) if file_truth is None or overrides else file_truth
  if file_truth is not None and not np.array_equal(file_truth.labels, truth.labels):
    raise InputError(f'{file} has other labels than the {split} split of these data')
  for model in models:
    check_predictions(model, truth)
  out = out or pathlib.Path('evaluation', pathlib.Path(file.partition('.npz')[0]).name)
  width = max(len(model.name) for model in models)
  for model in models:
    results = scorecard.compute(model, truth)
    stem = model.name.replace('/', '_')
    scorecard.write(out, stem, results)
    scorecard.draw(out, stem, model.name, results, truth)
    if len(models) > 1:
      low, high = (100 * (1 - bound) for bound in reversed(results['accuracy_interval']))
      print(
        f'{model.name:{width}}  error {results["error_percent"]:6.2f} %  '
        f'(95 % interval {low:.2f} to {high:.2f})'
      )
    else:
      print('\n'.join([f'{model.name} on {len(truth.labels)} images', *scorecard.lines(results)]))
  print(f'written: {out}')
