"""What is found of one model's predictions: values, a short table, files and pictures."""

import json
import math
import pathlib
from typing import Any

import numpy as np

from cifar_jax import metrics, predictions, scores, workdir
from cifar_jax.errors import InputError
from cifar_jax.predictions import Predictions, Truth
from cifar_jax.report import evaluation, files, images

Verdict = dict[str, Any]

FOLDER = 'evaluation'  # of a run, for its verdicts
MISTAKES = 20  # shown
_ROWS = 20  # of classes printed; of more, those with the lowest F1


def of(found: Predictions, truth: Truth) -> Verdict:
  """All measures of one model, ready for JSON; those that need probabilities only where there are.

  Args:
    found: the predictions of a model.
    truth: of the same images.

  Returns:
    `name`, `num_images`, `num_correct`, `accuracy`, `accuracy_interval` (95 %), `error_percent`,
    `classes` (one object each), `confusion_matrix` (true, predicted); with probabilities also
    `top5_accuracy`, `loss` (mean cross-entropy in nats, of the labels as they are), `calibration`
    and `most_confident_mistakes`.
  """
  labels, predicted = truth.labels, found.predicted
  correct = predicted == labels
  num_images, num_correct = len(labels), int(correct.sum())
  confusion = scores.confusion_matrix(labels, predicted, len(truth.class_names))
  measures = scores.precision_recall_f1(confusion)
  verdict: Verdict = {
    'name': found.name,
    'num_images': num_images,
    'num_correct': num_correct,
    'accuracy': num_correct / num_images,
    'accuracy_interval': list(scores.accuracy_interval(num_correct, num_images)),
    'error_percent': 100 * (num_images - num_correct) / num_images,
    'classes': [
      {'name': name, 'images': int(count), 'precision': _number(p), 'recall': _number(r)}
      | {'f1': _number(f)}
      for name, count, p, r, f in zip(truth.class_names, confusion.sum(1), *measures, strict=True)
    ],
    'confusion_matrix': confusion.tolist(),
  }
  if found.logits is not None:
    verdict |= _of_probabilities(found.logits, truth, predicted)
  return verdict


def leave(
  out: pathlib.Path, stem: str, title: str, found: Predictions, truth: Truth, told: Verdict
) -> Verdict:
  """Judges one model's predictions, and leaves all files: those of `write`, and `STEM.npz`.

  Args:
    out: the directory, made if need be.
    stem: what the names of all files begin with.
    title: what stands above each picture.
    found: the predictions.
    truth: of the same images.
    told: what else is to be in the JSON.

  Raises:
    InputError: the files cannot be written.
  """
  make_folder(out)
  judged = of(found, truth) | told
  predictions.write(out / f'{stem}.npz', truth, found)
  write(out, stem, title, judged, truth)
  return judged


def _of_probabilities(logits: np.ndarray, truth: Truth, predicted: np.ndarray) -> Verdict:
  log_probabilities = scores.log_softmax(logits)
  own = np.take_along_axis(log_probabilities, truth.labels[:, None], axis=1)
  confidence = np.exp(log_probabilities.max(axis=1))
  bins = scores.calibration(confidence, predicted == truth.labels)
  wrong = np.flatnonzero(predicted != truth.labels)
  worst = wrong[np.argsort(-confidence[wrong], kind='stable')][:MISTAKES]
  return {
    'top5_accuracy': scores.top_accuracy(logits, truth.labels, metrics.TOP),
    'loss': float(-own.mean()),
    'calibration': {
      'expected_calibration_error': bins.error,
      'edges': bins.edges.tolist(),
      'counts': bins.counts.tolist(),
      'confidence': [_number(value) for value in bins.confidence],
      'accuracy': [_number(value) for value in bins.accuracy],
    },
    'most_confident_mistakes': [
      {'index': int(i), 'true': truth.class_names[truth.labels[i]]}
      | {'predicted': truth.class_names[predicted[i]], 'confidence': float(confidence[i])}
      for i in worst
    ],
  }


def _number(value: float) -> float | None:
  """For JSON, which has no NaN."""
  return None if math.isnan(value) else float(value)


def lines(verdict: Verdict) -> list[str]:
  """The short table of a verdict."""
  low, high = (100 * bound for bound in verdict['accuracy_interval'])
  told = [
    f'  accuracy        {100 * verdict["accuracy"]:.2f} % (95 % interval {low:.2f} to {high:.2f})'
  ]
  if 'loss' in verdict:
    bins = verdict['calibration']
    told += [
      f'  top-5 accuracy  {100 * verdict["top5_accuracy"]:.2f} %',
      f'  loss            {verdict["loss"]:.4f} nats',
      f'  calibration     {100 * bins["expected_calibration_error"]:.2f} % expected error, '
      f'{len(bins["counts"])} bins',
    ]
  classes = sorted(verdict['classes'], key=lambda row: row['f1'] or 0.0)[:_ROWS]
  shown = [row for row in verdict['classes'] if row in classes]
  width = max(len(row['name']) for row in shown)
  told.append(f'  {"class":{width}}  images  precision  recall      F1')
  for row in shown:
    shares = [_percent(row[key]) for key in ('precision', 'recall', 'f1')]
    told.append(
      f'  {row["name"]:{width}}  {row["images"]:6}  {shares[0]:>9}  {shares[1]:>6}  {shares[2]:>6}'
    )
  if len(shown) < len(verdict['classes']):
    told.append(f'  ({len(verdict["classes"]) - len(shown)} classes with a higher F1 are left out)')
  return told


def _percent(share: float | None) -> str:
  return '-' if share is None else f'{100 * share:.2f}'


def write(out: pathlib.Path, stem: str, title: str, verdict: Verdict, truth: Truth) -> None:
  """Writes `STEM.json` and the pictures `STEM_*.png` that the verdict has something for.

  Args:
    out: the directory, made if need be.
    stem: what the names of all files begin with.
    title: what stands above each picture.
    verdict: as `of` gives it, and what else is to be in the JSON.
    truth: of the same images; without images there is no picture of the mistakes.

  Raises:
    InputError: the files cannot be written.
  """
  make_folder(out)
  names, error = truth.class_names, f'error {verdict["error_percent"]:.2f} %'
  confusion = np.array(verdict['confusion_matrix'])
  files.save(
    evaluation.confusion_matrix(confusion, names, f'{title}: {error}'),
    out / f'{stem}_confusion_matrix.png',
  )
  if 'calibration' in verdict:
    picture = evaluation.reliability(verdict['calibration'], title)
    files.save(picture, out / f'{stem}_reliability.png')
  mistakes = verdict.get('most_confident_mistakes')
  if mistakes and truth.images is not None:
    captions = [f'{m["true"]} → {m["predicted"]}\n{100 * m["confidence"]:.2f} %' for m in mistakes]
    above = f'{title}: the most confident mistakes\n(true class → prediction, its probability)'
    picture = images.grid(truth.images[[m['index'] for m in mistakes]], captions, above)
    files.save(picture, out / f'{stem}_mistakes.png')
  workdir.write(out / f'{stem}.json', json.dumps(verdict, indent=2) + '\n')


def make_folder(folder: pathlib.Path) -> None:
  """Makes a folder for results; raises InputError where that is impossible."""
  try:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f'{workdir.UNFINISHED}'
    probe.touch()
    probe.unlink()
  except OSError as error:
    raise InputError(f'cannot write in {folder}: {error.strerror}; give another --out') from error
