"""What a paper prints about predictions: pure NumPy functions of labels, classes and probabilities.

Throughout, `labels` and `predicted` are integer `[n]`, `probabilities` float `[n, classes]`, and
`correct` bool `[n]`. A share that would divide by zero is NaN.
"""

from typing import NamedTuple

import numpy as np

NUM_BINS = 15  # of the calibration: Guo et al. 2017, arXiv 1706.04599, section 5


class Calibration(NamedTuple):
  """How often predictions of each confidence are right.

  Attributes:
    edges: float64 `[bins + 1]`, of the bins, which are open below and closed above.
    counts: int64 `[bins]`, predictions in each.
    confidence: float64 `[bins]`, their mean confidence; NaN without any.
    accuracy: float64 `[bins]`, the share of them that is right; NaN without any.
    error: expected calibration error, the mean distance of the two over all predictions, in [0, 1].
  """

  edges: np.ndarray
  counts: np.ndarray
  confidence: np.ndarray
  accuracy: np.ndarray
  error: float


class McNemar(NamedTuple):
  """The images on which exactly one of two is right.

  Attributes:
    only_first: how many only the first gets right.
    only_second: how many only the second gets right.
    p_value: of McNemar's test, exact: that chance alone divides them so unevenly or more.
  """

  only_first: int
  only_second: int
  p_value: float


def log_softmax(logits: np.ndarray) -> np.ndarray:
  """Logits `[..., classes]` to logarithms of probabilities, float64 of the same shape."""
  shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def mean_probabilities(logits: np.ndarray) -> np.ndarray:
  """The mean of several predictions' probabilities, as logits.

  Args:
    logits: float `[members, n, classes]`.

  Returns:
    float32 `[n, classes]`, logarithms of probabilities.
  """
  return np.logaddexp.reduce(log_softmax(logits) - np.log(len(logits)), axis=0).astype(np.float32)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
  """How often each class was taken for each: int64 `[true, predicted]`."""
  cells = labels.astype(np.int64) * num_classes + predicted
  return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def precision_recall_f1(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Three measures of each class, from `confusion_matrix`.

  Returns:
    float64 `[classes]`, each in [0, 1]: the share right of those predicted as the class, the share
    right of those of the class, and the harmonic mean of the two.
  """
  right, of_class, as_class = np.diagonal(confusion), confusion.sum(1), confusion.sum(0)
  return _share(right, as_class), _share(right, of_class), _share(2 * right, of_class + as_class)


def top_accuracy(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
  """The share of images whose label is among the k highest; at a tie it is.

  Args:
    logits: float `[images, classes]`.
    labels: int `[images]`.
    k: how many of the highest count.
  """
  own = np.take_along_axis(logits, labels[:, None], axis=1)
  return float(np.mean(np.sum(logits > own, axis=1) < k))


def accuracy_interval(num_correct: int, num_images: int) -> tuple[float, float]:
  """The exact 95 % confidence interval of an accuracy: Clopper and Pearson 1934."""
  from scipy import special  # a second and more, as `scipy.stats` takes, is too much for one number

  num_wrong = num_images - num_correct
  low = special.betaincinv(num_correct, num_wrong + 1, 0.025) if num_correct else 0.0
  high = special.betaincinv(num_correct + 1, num_wrong, 0.975) if num_wrong else 1.0
  return float(low), float(high)


def calibration(
  confidence: np.ndarray, correct: np.ndarray, num_bins: int = NUM_BINS
) -> Calibration:
  """Bins predictions by confidence: Guo et al. 2017, arXiv 1706.04599, equations 2 to 5.

  Args:
    confidence: float `[n]`, the probability given to the predicted class.
    correct: whether it was right.
    num_bins: of equal width over [0, 1].
  """
  edges = np.linspace(0.0, 1.0, num_bins + 1)
  bins = np.digitize(confidence, edges[1:-1], right=True)
  counts = np.bincount(bins, minlength=num_bins)
  confidences = np.bincount(bins, weights=confidence, minlength=num_bins)
  hits = np.bincount(bins, weights=correct, minlength=num_bins)
  error = float(np.abs(hits - confidences).sum() / len(correct))
  return Calibration(edges, counts, _share(confidences, counts), _share(hits, counts), error)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
  """The share of images on which two, each int `[images]`, predict the same class."""
  return float(np.mean(first == second))


def error_consistency(first_correct: np.ndarray, second_correct: np.ndarray) -> float:
  """Cohen's kappa of being right: Geirhos et al. 2020, arXiv 2006.16736, equations 1 to 3.

  Args:
    first_correct: bool `[images]`, whether the first is right.
    second_correct: the same of the second.

  Returns:
    1 if two err on the same images, 0 if as independent ones of their accuracies would, negative
    if they avoid each other's errors; NaN where both are always right or both always wrong.
  """
  first, second = float(np.mean(first_correct)), float(np.mean(second_correct))
  observed = float(np.mean(first_correct == second_correct))
  expected = first * second + (1 - first) * (1 - second)
  return (observed - expected) / (1 - expected) if expected < 1 else float('nan')


def mcnemar(first_correct: np.ndarray, second_correct: np.ndarray) -> McNemar:
  """Whether two differ in accuracy by more than chance: McNemar 1947, by the binomial test.

  Args:
    first_correct: bool `[images]`, whether the first is right.
    second_correct: the same of the second.
  """
  from scipy import stats

  only_first = int(np.sum(first_correct & ~second_correct))
  only_second = int(np.sum(second_correct & ~first_correct))
  differ = only_first + only_second
  p_value = stats.binomtest(only_first, differ, 0.5).pvalue if differ else 1.0
  return McNemar(only_first, only_second, float(p_value))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
  return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
