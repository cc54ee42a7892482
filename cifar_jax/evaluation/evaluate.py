"""Evaluates a run, alone or in an ensemble, or a prediction file; the command is `evaluate.py`.

Every image of a split counts exactly once. Values, pictures and, for a run, every prediction are
written into files whose names contain the split and the checkpoint.
"""

import pathlib
from typing import Any

from cifar_jax import input_files, json_text, output_files
from cifar_jax.config.augmentation import VIEWS
from cifar_jax.config.dataset import SPLITS
from cifar_jax.config.initialization import CHECKPOINT_CHOICES
from cifar_jax.errors import InputError
from cifar_jax.evaluation import corruptions, scorecard
from cifar_jax.evaluation.ensemble import model_name, predict_ensemble
from cifar_jax.evaluation.predictions import Predictions, check_predictions, read_predictions
from cifar_jax.evaluation.sources import absolute_overrides, load_ground_truth
from cifar_jax.evaluation.trial import Trial, open_trial
from cifar_jax.runs import provenance


def evaluate_runs(
  runs: list[pathlib.Path],
  split: str,
  checkpoint: str,
  tta: str,
  overrides: list[str],
  out: pathlib.Path | None,
  seed_index: int = 0,
) -> tuple[dict[str, Any], list[str]]:
  """Evaluates a run, or an ensemble of several, and writes the results.

  Args:
    runs: the workdirs.
    split: one of `config.dataset.SPLITS`.
    checkpoint: one of `CHECKPOINT_CHOICES`.
    tta: one of `config.augmentation.VIEWS`.
    overrides: `--config.SECTION.KEY=VALUE`, such as another location of the data, or another data
      set.
    out: directory of the results; by default `evaluation` in the first workdir.
    seed_index: index of the seed, from 0, in runs that trained several seeds.

  Returns:
    The results, as in the JSON file, and a table of them in lines.

  Raises:
    InputError: an argument is none of the choices, there is no such run, checkpoint or split, or
      the results cannot be written.
  """
  choices = {'split': SPLITS, 'checkpoint': CHECKPOINT_CHOICES, 'tta': VIEWS}
  for (name, known), given in zip(choices.items(), (split, checkpoint, tta), strict=True):
    if given not in known:
      raise InputError(f'{name} is {given!r}: choose one of {", ".join(known)}')
  trial = open_trial(runs, checkpoint, tta, overrides, seed_index)
  # First, because the commit may change during the computation.
  origin = provenance.describe(trial.members[0].experiment.mesh.size, 'cifar_jax.evaluate')
  if out is not None:
    stem = trial.file_stem() if trial.has_corrupted_data else trial.file_stem(split)
    _check_not_of_other_runs(out, stem, runs)
  out = out or runs[0] / scorecard.FOLDER
  output_files.make_folder(out)
  if trial.has_corrupted_data:
    return _measure_corruptions(trial, out, origin)
  return _measure_split(trial, split, out, origin)


def _check_not_of_other_runs(out: pathlib.Path, stem: str, runs: list[pathlib.Path]) -> None:
  """Raises InputError if there is an evaluation of other runs in a folder that the user gave."""
  path = out / f'{stem}.json'
  beside = [out / f'{stem}.npz', *scorecard.pictures(out, stem)]
  output_files.check_is_own(path, 'members', beside=beside)
  if path.exists():
    members = json_text.parse(input_files.read_text(path))['members']
    theirs = [member.get('workdir') for member in members]
    output_files.check_is_of(path, theirs, [run.resolve() for run in runs])


def _measure_split(
  trial: Trial, split: str, out: pathlib.Path, origin: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
  """Evaluates a trial on a split of its data; as `evaluate_runs`."""
  truth = trial.truth(split)
  logits = predict_ensemble(trial.members, truth.split(), trial.tta)
  stem = trial.file_stem(split)  # after the computation, in which the run may have gone on
  predictions = Predictions.of_logits(f'{trial.runs[0].resolve().name}_{stem}', logits)
  details = {'split': split, **trial.details(), **origin}
  if number := trial.num_trained_on(truth):
    details['images_trained_on'] = number
  results = scorecard.save(out, stem, predictions, truth, details)
  views = '' if trial.tta == 'none' else f' with {trial.tta}'
  title = f'{model_name(trial.members)}{views}, {trial.images_name(split)}'
  scorecard.draw(out, stem, title, results, truth)
  heading = f'{trial.heading()}, on {len(truth.labels)} images ({trial.images_name(split)})'
  written = f'written: {out / stem}.json, .npz and pictures'
  return results, [heading, *scorecard.lines(results), written]


def _measure_corruptions(
  trial: Trial, out: pathlib.Path, origin: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
  """Evaluates a trial on all corruptions of the test images; as `evaluate_runs`."""
  assert trial.data is not None
  results = corruptions.measure(trial.members, trial.data, trial.tta) | trial.details() | origin
  path = out / f'{trial.file_stem()}.json'
  corruptions.write(path, results)
  heading = f'{trial.heading()}, on {trial.data.name}'
  return results, [heading, *corruptions.lines(results), f'written: {path}']


def _check_is_of_file(out: pathlib.Path, stem: str, sources: list[str]) -> None:
  """Raises InputError unless the files of a result are absent, or of the same file and data."""
  path, keys = out / f'{stem}.json', ('error_percent', 'accuracy_interval')
  output_files.check_is_own(path, *keys, beside=scorecard.pictures(out, stem))
  if not path.exists():
    return
  content = json_text.parse(input_files.read_text(path))
  if 'members' in content:  # of runs
    raise output_files.not_own(path)
  output_files.check_is_of(path, content.get('sources'), sources)


def evaluate_file(file: str, split: str, overrides: list[str], out: pathlib.Path | None) -> None:
  """Evaluates each model of a prediction file, and writes and prints the results.

  Args:
    file: `FILE.npz` or `FILE.npz:NAME`.
    split: one of `config.dataset.SPLITS`, whose labels and images are loaded if the file has no
      labels or `overrides` select a data set.
    overrides: `--config.data.KEY=VALUE`.
    out: directory of the results; by default `evaluation/FILE` in the current directory.

  Raises:
    InputError: the file, one of its models or the data cannot be used, or a result would replace
      another file.
  """
  models, file_truth = read_predictions(file)
  truth = load_ground_truth(split, overrides) if file_truth is None or overrides else file_truth
  if file_truth is not None and (difference := file_truth.difference(truth)):
    raise InputError(f'{file} is not of the {split} split of these data: the {difference} differ')
  for model in models:
    check_predictions(model, truth)
  stems = {model.name: model.name.replace('/', '_') for model in models}
  source = pathlib.Path(file.partition('.npz')[0] + '.npz').resolve()
  sources = [str(source), f'the {split} split', *absolute_overrides(overrides)]
  out = out or pathlib.Path('evaluation', source.stem)
  files = [
    path
    for stem in stems.values()
    for path in (out / f'{stem}.json', *scorecard.pictures(out, stem))
  ]
  if len(set(files)) < len(files):
    raise InputError(
      f'{file} has models whose results would have the same file, as a/b and a_b, or a and '
      'a_mistakes: give FILE.npz:NAME'
    )
  for stem in stems.values():
    _check_is_of_file(out, stem, sources)
  width = max(len(model.name) for model in models)
  for model in models:
    results = scorecard.compute(model, truth) | {'sources': sources}
    scorecard.write(out, stems[model.name], results)
    scorecard.draw(out, stems[model.name], model.name, results, truth)
    if len(models) > 1:
      low, high = (100 * (1 - bound) for bound in reversed(results['accuracy_interval']))
      print(
        f'{model.name:{width}}  error {results["error_percent"]:6.2f} %  '
        f'(95 % interval {low:.2f} to {high:.2f})'
      )
    else:
      print('\n'.join([f'{model.name} on {len(truth.labels)} images', *scorecard.lines(results)]))
  print(f'written: {out}')
