"""Compares the predictions of models, in numbers and pictures; the command is `compare.py`.

The comparison has the error of each model; for each pair of models their agreement, the consistency
of their errors (Cohen's kappa, Geirhos et al. 2020, arXiv 2006.16736) and McNemar's test; and the
images on which all models fail.
"""

import itertools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from cifar_jax import input_files, json_text, output_files
from cifar_jax.evaluation import scores
from cifar_jax.evaluation.predictions import GroundTruth, Predictions
from cifar_jax.report.figures import comparison, images

Comparison = dict[str, Any]

NUMBERS = 'comparison.json'
PICTURES = ('comparison.png', 'all_fail.png')
_PAIRS_PRINTED = 10
_IMAGES_SHOWN = 40


def compare_models(models: list[Predictions], truth: GroundTruth) -> Comparison:
  """Compares the predictions of two models or more.

  Args:
    models: the predictions.
    truth: labels of the same images.

  Returns:
    A dictionary, ready for JSON: `num_images`; `models` (`name`, `error_percent` and its 95 %
    `error_interval`, the lowest error first); `pairs` (`first`, `second`, `agreement`,
    `error_consistency`, `only_first_right`, `only_second_right`, `mcnemar_p`); and `all_fail`, the
    indices of the images on which every model is wrong.
  """
  models = sorted(models, key=lambda model: np.sum(model.predicted != truth.labels))
  correct = [model.predicted == truth.labels for model in models]
  rows = []
  for model, right in zip(models, correct, strict=True):
    low, high = scores.accuracy_interval(int(right.sum()), len(right))
    error = 100 * int(np.sum(~right)) / len(right)
    bounds = [100 * (1 - high), 100 * (1 - low)]
    rows.append({'name': model.name, 'error_percent': error, 'error_interval': bounds})
  pairs = [
    _compare_pair(models[i], models[j], correct[i], correct[j])
    for i, j in itertools.combinations(range(len(models)), 2)
  ]
  all_fail = np.flatnonzero(~np.any(correct, axis=0)).tolist()
  return {'num_images': len(truth.labels), 'models': rows, 'pairs': pairs, 'all_fail': all_fail}


def _compare_pair(
  first: Predictions, second: Predictions, first_correct: np.ndarray, second_correct: np.ndarray
) -> dict[str, Any]:
  test = scores.mcnemar(first_correct, second_correct)
  kappa = scores.error_consistency(first_correct, second_correct)
  return {
    'first': first.name,
    'second': second.name,
    'agreement': scores.agreement(first.predicted, second.predicted),
    'error_consistency': None if np.isnan(kappa) else kappa,
    'only_first_right': test.only_first,
    'only_second_right': test.only_second,
    'mcnemar_p': test.p_value,
  }


def lines(compared: Comparison) -> list[str]:
  """The lines of a comparison's table."""
  rows, pairs = compared['models'], compared['pairs']
  width = max(len(row['name']) for row in rows)
  table = [
    f'{row["name"]:{width}}  error {row["error_percent"]:6.2f} %  (95 % interval '
    f'{row["error_interval"][0]:.2f} to {row["error_interval"][1]:.2f})'
    for row in rows
  ]
  if len(pairs) <= _PAIRS_PRINTED:
    for pair in pairs:
      kappa = pair['error_consistency']
      table += [
        f'{pair["first"]} and {pair["second"]}: agreement {100 * pair["agreement"]:.2f} %, '
        f'error consistency {"undefined" if kappa is None else f"{kappa:.3f}"}',
        f'  right alone {pair["only_first_right"]} and {pair["only_second_right"]}, '
        f'McNemar p {_format_p(pair["mcnemar_p"])}',
      ]
  else:
    kappas = [p['error_consistency'] for p in pairs if p['error_consistency'] is not None]
    consistency = f'{min(kappas):.3f} to {max(kappas):.3f}' if kappas else 'undefined'
    by_chance = sum(pair['mcnemar_p'] >= comparison.LEVEL for pair in pairs)
    table += [
      f'{len(pairs)} pairs: error consistency {consistency}; '
      f'{by_chance} differ by no more than chance (McNemar p ≥ {comparison.LEVEL})'
    ]
  return [*table, f'all fail on {len(compared["all_fail"])} of {compared["num_images"]} images']


def _format_p(value: float) -> str:
  """A p-value after its name. One that is too small for a float64 was rounded to 0."""
  return f'= {value:.2g}' if value else f'< {np.finfo(np.float64).smallest_subnormal:.0g}'


def check_out(out: pathlib.Path, compared: Mapping[str, Any]) -> None:
  """Raises InputError if a comparison in a folder would replace one of other predictions.

  Args:
    out: the folder.
    compared: what is to be compared: `sources` and `overrides`, as `sources.py` makes them
      absolute, `split`, `checkpoint` and `tta`.
  """
  path, pictures = out / NUMBERS, [out / name for name in PICTURES]
  output_files.check_is_own(path, 'models', 'pairs', beside=pictures)
  if path.exists() and 'sources' in (theirs := json_text.parse(input_files.read_text(path))):
    output_files.check_is_of(path, _predicted(theirs), _predicted(compared))


def _predicted(compared: Mapping[str, Any]) -> list[str]:
  """What is compared, in words; earlier versions did not write the sources."""
  options = [f'{key} {compared.get(key)}' for key in ('split', 'checkpoint', 'tta')]
  return [*map(str, [*compared['sources'], *compared.get('overrides', [])]), *options]


def write(
  out: pathlib.Path, compared: Comparison, models: list[Predictions], truth: GroundTruth
) -> None:
  """Writes `comparison.json`, `comparison.png` and, if there are images, `all_fail.png`.

  Args:
    out: the directory, created if needed.
    compared: from `compare_models`.
    models: the predictions that were compared.
    truth: labels and perhaps images.

  Raises:
    InputError: the files cannot be written.
  """
  output_files.make_folder(out)
  matrix_path, images_path = (out / name for name in PICTURES)
  text = json.dumps(compared, indent=2) + '\n'
  output_files.write_text(out / NUMBERS, text, outdated=(matrix_path, images_path))
  picture = comparison.matrix(compared['models'], compared['pairs'])
  output_files.save_figure(picture, matrix_path)
  all_fail = compared['all_fail']
  shown = all_fail[:_IMAGES_SHOWN]
  if shown and truth.images is not None:
    captions = [_caption(index, models, truth) for index in shown]
    count = f'the first {len(shown)} of ' if len(shown) < len(all_fail) else ''
    title = (
      f'Images on which all {len(models)} fail: {count}{len(all_fail)}\n'
      '(true class → commonest prediction)'
    )
    picture = images.grid(truth.images[shown], captions, title, columns=8)
    output_files.save_figure(picture, images_path)


def _caption(index: int, models: list[Predictions], truth: GroundTruth) -> str:
  """The true class of an image, the commonest prediction, and how many models made it."""
  votes = np.bincount([model.predicted[index] for model in models])
  label = int(votes.argmax())
  return (
    f'{truth.class_names[truth.labels[index]]} → {truth.class_names[label]}\n'
    f'{votes[label]} of {len(models)}'
  )
