"""Runs and published predictions side by side: `python -m cifar_jax.compare DIR_OR_FILE ...`.

A directory is a run, which predicts its test images; a file `FILE.npz` or `FILE.npz:NAME` holds
predictions (see `predictions.py`). All must be of the same images. Gives each model's error; of
each two their agreement, the consistency of their errors (Cohen's kappa, Geirhos et al. 2020, arXiv
2006.16736) and McNemar's test; and the images on which all fail.
"""

import collections
import dataclasses
import itertools
import json
import pathlib
from typing import Any

import numpy as np

from cifar_jax import command, ensemble, evaluate, predictions, scores, verdict, workdir
from cifar_jax.errors import InputError
from cifar_jax.predictions import Predictions, Truth
from cifar_jax.report import comparison, files, images

_PAIRS_PRINTED = 10
_IMAGES_SHOWN = 40


def of(models: list[Predictions], truth: Truth) -> dict[str, Any]:
  """The comparison, ready for JSON.

  Returns:
    `models` (`name`, `error_percent` and its 95 % interval, in the order of their errors), `pairs`
    (`first`, `second`, `agreement`, `error_consistency`, `only_first_right`, `only_second_right`,
    `mcnemar_p`) and `all_fail`, the indices of the images on which each model is wrong.
  """
  models = sorted(models, key=lambda model: np.sum(model.predicted != truth.labels))
  correct = [model.predicted == truth.labels for model in models]
  rows = []
  for model, right in zip(models, correct, strict=True):
    low, high = scores.accuracy_interval(int(right.sum()), len(right))
    error = 100 * int(np.sum(~right)) / len(right)
    bounds = [100 * (1 - high), 100 * (1 - low)]
    rows.append({'name': model.name, 'error_percent': error, 'error_interval': bounds})
  pairs = []
  for i, j in itertools.combinations(range(len(models)), 2):
    test = scores.mcnemar(correct[i], correct[j])
    kappa = scores.error_consistency(correct[i], correct[j])
    pairs.append(
      {'first': models[i].name, 'second': models[j].name}
      | {'agreement': scores.agreement(models[i].predicted, models[j].predicted)}
      | {'error_consistency': None if np.isnan(kappa) else kappa}
      | {'only_first_right': test.only_first, 'only_second_right': test.only_second}
      | {'mcnemar_p': test.p_value}
    )
  all_fail = np.flatnonzero(~np.any(correct, axis=0))
  return {'num_images': len(truth.labels), 'models': rows, 'pairs': pairs} | {
    'all_fail': all_fail.tolist()
  }


def collect(
  sources: list[str], split: str, which: str, tta: str, overrides: list[str]
) -> tuple[list[Predictions], Truth]:
  """The predictions of runs and files, and the one truth that they share.

  Args:
    sources: directories and files.
    split: one of `evaluate.SPLITS`.
    which: checkpoint of the runs, one of `restore.CHECKPOINTS`.
    tta: of the runs, one of `views.NAMES`.
    overrides: `--config.SECTION.KEY=VALUE`, for each run and for the data of the files.

  Raises:
    InputError: one cannot be read, or they are not of the same images.
  """
  models: list[Predictions] = []
  truths: list[tuple[str, Truth]] = []
  for source in sources:
    if '.npz' in source and not pathlib.Path(source).is_dir():
      read, truth = predictions.read(source)
      models += read
    else:
      run = pathlib.Path(source)
      members = ensemble.restore([run], which, overrides)
      dataset = members[0].parts.dataset
      part = evaluate.split_of(dataset, split)
      logits = ensemble.predict(members, part, tta)
      models.append(Predictions.of_logits(run.resolve().name, logits))
      truth = Truth(part.labels, dataset.class_names, part.images)
    truths += [] if truth is None else [(source, truth)]
  if not truths:
    truths = [('the data', evaluate.load_truth(split, overrides))]
  chosen = next((each for each in truths if each[1].images is not None), truths[0])
  for source, truth in truths:
    if not np.array_equal(truth.labels, chosen[1].labels):
      raise InputError(f'{source} is not of the same images as {chosen[0]}: the labels differ')
  for model in models:
    predictions.check(model, chosen[1])
  return _named_apart(models), chosen[1]


def _named_apart(models: list[Predictions]) -> list[Predictions]:
  """Numbers the second and further models of a name."""
  seen = collections.Counter[str]()
  apart = []
  for model in models:
    seen[model.name] += 1
    again = f' {seen[model.name]}' if seen[model.name] > 1 else ''
    apart.append(dataclasses.replace(model, name=model.name + again))
  return apart


def lines(compared: dict[str, Any]) -> list[str]:
  """The short table of a comparison."""
  rows, pairs = compared['models'], compared['pairs']
  width = max(len(row['name']) for row in rows)
  told = [
    f'{row["name"]:{width}}  error {row["error_percent"]:6.2f} %  (95 % interval '
    f'{row["error_interval"][0]:.2f} to {row["error_interval"][1]:.2f})'
    for row in rows
  ]
  if len(pairs) <= _PAIRS_PRINTED:
    for pair in pairs:
      kappa = pair['error_consistency']
      told += [
        f'{pair["first"]} and {pair["second"]}: agreement {100 * pair["agreement"]:.2f} %, '
        f'error consistency {"undefined" if kappa is None else f"{kappa:.3f}"}',
        f'  right alone {pair["only_first_right"]} and {pair["only_second_right"]}, '
        f'McNemar p = {pair["mcnemar_p"]:.2g}',
      ]
  else:
    kappas = [p['error_consistency'] for p in pairs if p['error_consistency'] is not None]
    chance = sum(pair['mcnemar_p'] >= comparison.LEVEL for pair in pairs)
    told += [
      f'{len(pairs)} pairs: error consistency {min(kappas):.3f} to {max(kappas):.3f}; '
      f'{chance} differ by no more than chance (McNemar p ≥ {comparison.LEVEL})'
    ]
  return [*told, f'all fail on {len(compared["all_fail"])} of {compared["num_images"]} images']


def write(
  out: pathlib.Path, compared: dict[str, Any], models: list[Predictions], truth: Truth
) -> None:
  """Writes `comparison.json`, `comparison.png` and, with images, `all_fail.png`."""
  verdict.make_folder(out)
  files.save(comparison.matrix(compared['models'], compared['pairs']), out / 'comparison.png')
  shown = compared['all_fail'][:_IMAGES_SHOWN]
  if shown and truth.images is not None:
    captions = []
    for index in shown:
      votes = np.bincount([model.predicted[index] for model in models])
      label = int(votes.argmax())
      captions.append(
        f'{truth.class_names[truth.labels[index]]} → {truth.class_names[label]}\n'
        f'{votes[label]} of {len(models)}'
      )
    count = len(compared['all_fail'])
    which = f'the first {len(shown)} of {count}' if len(shown) < count else f'{count}'
    title = f'Images on which all {len(models)} fail: {which}\n(true class → commonest prediction)'
    files.save(images.grid(truth.images[shown], captions, title, columns=8), out / 'all_fail.png')
  workdir.write(out / 'comparison.json', json.dumps(compared, indent=2) + '\n')


def main() -> None:
  """Errors, agreement, error consistency and McNemar's test of runs and files of predictions."""
  parser = command.Parser(prog='python -m cifar_jax.compare', description=main.__doc__)
  parser.add_argument('sources', nargs='+', metavar='DIR_OR_FILE')
  parser.add_argument('--split', choices=evaluate.SPLITS, default='test')
  parser.add_argument('--out', type=pathlib.Path, default=pathlib.Path('comparison'))
  ensemble.add_arguments(parser)
  arguments, overrides = parser.parse_known_args()
  models, truth = collect(
    arguments.sources, arguments.split, arguments.checkpoint, arguments.tta, overrides
  )
  if len(models) < 2:
    raise InputError('a comparison is of two or more; give another run or file')
  compared = of(models, truth)
  write(arguments.out, compared, models, truth)
  print('\n'.join([*lines(compared), f'written: {arguments.out}']))


if __name__ == '__main__':
  command.run(main)
