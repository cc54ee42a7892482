"""Measures of predictions, such as calibration and McNemar's test: pure NumPy functions.

Throughout, `labels` and `predicted` are integer `[n]`, `logits` and `probabilities` float
`[n, classes]`, and `correct` bool `[n]`. A fraction with denominator zero is NaN.
"""

from typing import NamedTuple

import numpy as np

_LOGITS_AT_ONCE = 1 << 22
NUM_BINS = 15  # of the calibration: Guo et al. 2017, arXiv 1706.04599, section 5


class Calibration(NamedTuple):
  """The accuracy of predictions in bins of their confidence.

  Attributes:
    edges: float64 `[bins + 1]`, edges of the bins, which are open below and closed above.
    counts: int64 `[bins]`, number of predictions.
    confidence: float64 `[bins]`, mean confidence; NaN in an empty bin.
    accuracy: float64 `[bins]`, fraction of correct predictions; NaN in an empty bin.
    error: expected calibration error: the distance of confidence and accuracy, averaged over all
      predictions, in [0, 1].
  """

  edges: np.ndarray
  counts: np.ndarray
  confidence: np.ndarray
  accuracy: np.ndarray
  error: float


class McNemar(NamedTuple):
  """The images on which exactly one of two models is right.

  Attributes:
    only_first: number of images that only the first model gets right.
    only_second: number of images that only the second model gets right.
    p_value: of the exact McNemar test: the probability that chance alone divides these images so
      unevenly, or more unevenly. 0 stands for one below the smallest float64, 5e-324.
  """

  only_first: int
  only_second: int
  p_value: float


def log_softmax(logits: np.ndarray) -> np.ndarray:
  """Logarithms of the probabilities, float64, of logits `[..., classes]`."""
  shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def true_and_highest(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Logarithms of the probabilities of the label and of the most probable class, float64 `[n]`.

  Part by part, because `log_softmax` makes several copies of its logits in float64.
  """
  true, highest = np.empty(len(logits)), np.empty(len(logits))
  images = max(1, _LOGITS_AT_ONCE // logits.shape[1])
  for begin in range(0, len(logits), images):
    part = slice(begin, begin + images)
    log_probabilities = log_softmax(logits[part])
    true[part] = np.take_along_axis(log_probabilities, labels[part, None], axis=1)[:, 0]
    highest[part] = log_probabilities.max(axis=1)
  return true, highest


def mean_probabilities(logits: np.ndarray) -> np.ndarray:
  """The mean of the probabilities of several models, as logits.

  Args:
    logits: float `[models, n, classes]`.

  Returns:
    float32 `[n, classes]`, logarithms of probabilities.
  """
  return np.logaddexp.reduce(log_softmax(logits) - np.log(len(logits)), axis=0).astype(np.float32)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
  """Counts of each pair of true and predicted class: int64 `[true, predicted]`."""
  cells = labels.astype(np.int64) * num_classes + predicted
  return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def precision_recall_f1(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Precision, recall and F1 score of each class.

  Args:
    confusion: from `confusion_matrix`.

  Returns:
    Three arrays, float64 `[classes]` in [0, 1]: the fraction of images predicted as the class that
    belong to it, the fraction of images of the class that are predicted as it, and the harmonic
    mean of the two.
  """
  correct, true, predicted = np.diagonal(confusion), confusion.sum(1), confusion.sum(0)
  return _divide(correct, predicted), _divide(correct, true), _divide(2 * correct, true + predicted)


def top_accuracy(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
  """The fraction of images whose label is among the `k` highest logits; a tie counts as correct.

  Args:
    logits: float `[n, classes]`.
    labels: int `[n]`.
    k: number of highest logits that count.
  """
  true_logits = np.take_along_axis(logits, labels[:, None], axis=1)
  return float(np.mean(np.sum(logits > true_logits, axis=1) < k))


def accuracy_interval(num_correct: int, num_images: int) -> tuple[float, float]:
  """The exact 95 % confidence interval of an accuracy: Clopper and Pearson 1934."""
  from scipy import special  # here and not `scipy.stats`, which takes over a second to import

  num_wrong = num_images - num_correct
  low = special.betaincinv(num_correct, num_wrong + 1, 0.025) if num_correct else 0.0
  high = special.betaincinv(num_correct + 1, num_wrong, 0.975) if num_wrong else 1.0
  return float(low), float(high)


def calibration(
  confidence: np.ndarray, correct: np.ndarray, num_bins: int = NUM_BINS
) -> Calibration:
  """Bins predictions by confidence: Guo et al. 2017, arXiv 1706.04599, equations 2 to 5.

  Args:
    confidence: float `[n]`, the probability of the predicted class.
    correct: bool `[n]`, whether the prediction is right.
    num_bins: number of bins, of equal width over [0, 1].
  """
  edges = np.linspace(0.0, 1.0, num_bins + 1)
  bins = np.digitize(confidence, edges[1:-1], right=True)
  counts = np.bincount(bins, minlength=num_bins)
  confidences = np.bincount(bins, weights=confidence, minlength=num_bins)
  hits = np.bincount(bins, weights=correct, minlength=num_bins)
  error = float(np.abs(hits - confidences).sum() / len(correct))
  return Calibration(edges, counts, _divide(confidences, counts), _divide(hits, counts), error)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
  """The fraction of images for which two models, each int `[n]`, predict the same class."""
  return float(np.mean(first == second))


def error_consistency(first_correct: np.ndarray, second_correct: np.ndarray) -> float:
  """Cohen's kappa of being right: Geirhos et al. 2020, arXiv 2006.16736, equations 1 to 3.

  Args:
    first_correct: bool `[n]`, whether the first model is right.
    second_correct: bool `[n]`, whether the second model is right.

  Returns:
    1 if both models err on the same images, 0 if their errors coincide as often as those of
    independent models with their accuracies, negative if less often; NaN if both models are always
    right or both always wrong.
  """
  first, second = float(np.mean(first_correct)), float(np.mean(second_correct))
  observed = float(np.mean(first_correct == second_correct))
  expected = first * second + (1 - first) * (1 - second)
  return (observed - expected) / (1 - expected) if expected < 1 else float('nan')


def mcnemar(first_correct: np.ndarray, second_correct: np.ndarray) -> McNemar:
  """Tests whether the accuracies of two models differ: McNemar 1947, by the binomial test.

  Args:
    first_correct: bool `[n]`, whether the first model is right.
    second_correct: bool `[n]`, whether the second model is right.
  """
  from scipy import stats  # takes over a second to import

  only_first = int(np.sum(first_correct & ~second_correct))
  only_second = int(np.sum(second_correct & ~first_correct))
  discordant = only_first + only_second
  p_value = stats.binomtest(only_first, discordant, 0.5).pvalue if discordant else 1.0
  return McNemar(only_first, only_second, float(p_value))


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
  nan = np.full(len(denominator), np.nan)
  return np.divide(numerator, denominator, out=nan, where=denominator > 0)
