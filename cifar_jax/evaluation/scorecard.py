"""Scorecards: all measures of a model's predictions, as values, as a table and as pictures."""

import json
import math
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cifar_jax import output_files
from cifar_jax.evaluation import scores
from cifar_jax.evaluation.predictions import GroundTruth, Predictions, write_predictions
from cifar_jax.experiment import metrics
from cifar_jax.report import thumbnails
from cifar_jax.report.figures import confusion_and_calibration, images

if TYPE_CHECKING:  # importing matplotlib takes a second
  from matplotlib.figure import Figure

Scorecard = dict[str, Any]

FOLDER = 'evaluation'  # folder in a run's directory
CONFUSION_PICTURE, RELIABILITY_PICTURE, MISTAKES_PICTURE = _PICTURES = tuple(
  f'_{name}.png' for name in ('confusion_matrix', 'reliability', 'mistakes')
)  # the ends of their names
MISTAKES = 20  # most confident mistakes in a scorecard
_CLASSES_PRINTED = 20  # of more classes, those with the lowest F1 are printed


def compute(predictions: Predictions, truth: GroundTruth) -> Scorecard:
  """Computes all measures of one model's predictions.

  Args:
    predictions: predictions of a model.
    truth: labels of the same images.

  Returns:
    A dictionary, ready for JSON: `name`, `num_images`, `num_correct`, `accuracy`,
    `accuracy_interval` (95 %), `error_percent`, `classes` (one object per class) and
    `confusion_matrix` (true, predicted). If the predictions have logits, also `top5_accuracy`,
    `loss` (mean cross-entropy in nats, of the labels without smoothing), `calibration` and
    `most_confident_mistakes`.
  """
  labels, predicted = truth.labels, predictions.predicted
  correct = predicted == labels
  num_images, num_correct = len(labels), int(correct.sum())
  confusion = scores.confusion_matrix(labels, predicted, len(truth.class_names))
  measures = scores.precision_recall_f1(confusion)
  scorecard: Scorecard = {
    'name': predictions.name,
    'num_images': num_images,
    'num_correct': num_correct,
    'accuracy': num_correct / num_images,
    'accuracy_interval': list(scores.accuracy_interval(num_correct, num_images)),
    'error_percent': 100 * (num_images - num_correct) / num_images,
    'classes': [
      {
        'name': name,
        'images': int(count),
        'precision': _none_if_nan(precision),
        'recall': _none_if_nan(recall),
        'f1': _none_if_nan(f1),
      }
      for name, count, precision, recall, f1 in zip(
        truth.class_names, confusion.sum(axis=1), *measures, strict=True
      )
    ],
    'confusion_matrix': confusion.tolist(),
  }
  if predictions.logits is not None:
    scorecard |= _probability_measures(predictions.logits, predicted, truth)
  return scorecard


def _probability_measures(
  logits: np.ndarray, predicted: np.ndarray, truth: GroundTruth
) -> Scorecard:
  """The measures that need probabilities."""
  of_true_class, highest = scores.true_and_highest(logits, truth.labels)
  confidence = np.exp(highest)
  bins = scores.calibration(confidence, predicted == truth.labels)
  wrong = np.flatnonzero(predicted != truth.labels)
  most_confident = wrong[np.argsort(-confidence[wrong], kind='stable')][:MISTAKES]
  return {
    **_top_accuracy(logits, truth.labels),
    'loss': float(-of_true_class.mean()),
    'calibration': {
      'expected_calibration_error': bins.error,
      'edges': bins.edges.tolist(),
      'counts': bins.counts.tolist(),
      'confidence': [_none_if_nan(value) for value in bins.confidence],
      'accuracy': [_none_if_nan(value) for value in bins.accuracy],
    },
    'most_confident_mistakes': [
      {
        'index': int(index),
        'true': truth.class_names[truth.labels[index]],
        'predicted': truth.class_names[predicted[index]],
        'confidence': float(confidence[index]),
      }
      for index in most_confident
    ],
  }


def _top_accuracy(logits: np.ndarray, labels: np.ndarray) -> Scorecard:
  """The top-5 accuracy; nothing for so few classes that it is always 1."""
  if logits.shape[1] <= metrics.TOP:
    return {}
  return {'top5_accuracy': scores.top_accuracy(logits, labels, metrics.TOP)}


def _none_if_nan(value: float) -> float | None:
  """A value for JSON, which has no NaN."""
  return None if math.isnan(value) else float(value)


def save(
  out: pathlib.Path,
  stem: str,
  predictions: Predictions,
  truth: GroundTruth,
  details: dict[str, Any],
) -> Scorecard:
  """Computes a scorecard and writes it, `STEM.json`, and the predictions, `STEM.npz`.

  Args:
    out: the directory, created if needed.
    stem: beginning of all file names.
    predictions: predictions of a model.
    truth: labels of the same images.
    details: further entries of the JSON file.

  Returns:
    The scorecard, with the details.

  Raises:
    InputError: the files cannot be written.
  """
  output_files.make_folder(out)
  scorecard = compute(predictions, truth) | details
  file = out / f'{stem}.json'
  with output_files.replacing(file, drawn := pictures(out, stem)) as temporary:
    temporary.write_text(json.dumps(scorecard, indent=2) + '\n')
    write_predictions(out / f'{stem}.npz', truth, predictions, [file, *drawn])
  return scorecard


def write(out: pathlib.Path, stem: str, scorecard: Scorecard) -> None:
  """Writes `STEM.json` and removes earlier pictures; raises InputError if that is impossible."""
  output_files.make_folder(out)
  with output_files.replacing(out / f'{stem}.json', pictures(out, stem)) as temporary:
    temporary.write_text(json.dumps(scorecard, indent=2) + '\n')


def pictures(out: pathlib.Path, stem: str) -> list[pathlib.Path]:
  """All files that `draw` may write."""
  return [out / f'{stem}{end}' for end in (*_PICTURES, MISTAKES_PICTURE.replace('.png', '.json'))]


def picture_paths(out: pathlib.Path, stem: str, scorecard: Scorecard) -> list[pathlib.Path]:
  """The pictures that `draw` makes of a scorecard where the images are known."""
  names = [CONFUSION_PICTURE]
  names += [RELIABILITY_PICTURE] if 'calibration' in scorecard else []
  names += [MISTAKES_PICTURE] if scorecard.get('most_confident_mistakes') else []
  return [out / f'{stem}{name}' for name in names]


def draw(
  out: pathlib.Path, stem: str, title: str, scorecard: Scorecard, truth: GroundTruth
) -> None:
  """Draws the pictures `STEM_*.png`; one that cannot be made is a warning.

  The images of the mistakes are in `STEM_mistakes.json` too, for the page on the run.

  Without probabilities there is no reliability diagram and no picture of the mistakes.

  Args:
    out: the directory, which exists.
    stem: beginning of all file names.
    title: title of each picture.
    scorecard: from `compute`, perhaps with further entries.
    truth: labels of the same images; without images there is no picture of the mistakes.
  """
  with output_files.decoration(path := out / f'{stem}{CONFUSION_PICTURE}'):
    output_files.save_figure(confusion_figure(title, scorecard, truth), path)
  if 'calibration' in scorecard:
    with output_files.decoration(path := out / f'{stem}{RELIABILITY_PICTURE}'):
      figure = confusion_and_calibration.reliability(scorecard['calibration'], title)
      output_files.save_figure(figure, path)
  if scorecard.get('most_confident_mistakes') and truth.images is not None:
    with output_files.decoration(path := out / f'{stem}{MISTAKES_PICTURE}'):
      output_files.save_figure(mistakes_figure(title, scorecard, truth), path)
      mistakes = scorecard['most_confident_mistakes']
      shown = truth.images[[mistake['index'] for mistake in mistakes]]
      thumbnails.write(path.with_suffix('.json'), shown, mistakes)


def confusion_figure(title: str, scorecard: Scorecard, truth: GroundTruth) -> 'Figure':
  """Draws the confusion matrix of a scorecard, under a title and the error."""
  heading = f'{title}: error {scorecard["error_percent"]:.2f} %'
  confusion = np.array(scorecard['confusion_matrix'])
  return confusion_and_calibration.confusion_matrix(confusion, truth.class_names, heading)


def mistakes_figure(title: str, scorecard: Scorecard, truth: GroundTruth) -> 'Figure':
  """Draws the most confident mistakes of a scorecard, of which there must be one."""
  assert truth.images is not None
  mistakes = scorecard['most_confident_mistakes']
  captions = [f'{m["true"]} → {m["predicted"]}\n{100 * m["confidence"]:.2f} %' for m in mistakes]
  heading = f'{title}: the most confident mistakes\n(true class → prediction, its probability)'
  return images.grid(truth.images[[m['index'] for m in mistakes]], captions, heading)


def lines(scorecard: Scorecard) -> list[str]:
  """The lines of a scorecard's table."""
  low, high = (100 * bound for bound in scorecard['accuracy_interval'])
  table = [
    f'  accuracy        {100 * scorecard["accuracy"]:.2f} % (95 % interval {low:.2f} to {high:.2f})'
  ]
  if 'loss' in scorecard:
    bins = scorecard['calibration']
    if 'top5_accuracy' in scorecard:
      table.append(f'  top-5 accuracy  {100 * scorecard["top5_accuracy"]:.2f} %')
    table += [
      f'  loss            {scorecard["loss"]:.4f} nats',
      f'  calibration     {100 * bins["expected_calibration_error"]:.2f} % expected error, '
      f'{len(bins["counts"])} bins',
    ]
  return table + _class_lines(scorecard['classes'])


def _class_lines(classes: list[dict[str, Any]]) -> list[str]:
  """The lines of the classes with the lowest F1, in the order of the labels."""
  lowest = sorted(classes, key=lambda row: row['f1'] or 0.0)[:_CLASSES_PRINTED]
  shown = [row for row in classes if row in lowest]
  width = max(len(row['name']) for row in shown)
  table = [f'  {"class":{width}}  images  precision  recall      F1']
  for row in shown:
    precision, recall, f1 = (_percent(row[key]) for key in ('precision', 'recall', 'f1'))
    table.append(
      f'  {row["name"]:{width}}  {row["images"]:6}  {precision:>9}  {recall:>6}  {f1:>6}'
    )
  if len(shown) < len(classes):
    table.append(f'  ({len(classes) - len(shown)} classes with a higher F1 are left out)')
  return table


def _percent(fraction: float | None) -> str:
  return '-' if fraction is None else f'{100 * fraction:.2f}'
