"""Measures of predictions, against values computed by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from cifar_jax.evaluation import scores

# Four images of class 0, three of class 1, one of class 2; class 2 is never predicted.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2])
PREDICTED = np.array([0, 0, 0, 1, 1, 1, 0, 1])


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
  matrix = scores.confusion_matrix(LABELS, PREDICTED, 3)
  assert matrix.tolist() == [[3, 1, 0], [1, 2, 0], [0, 1, 0]]


def test_precision_recall_and_f1_are_those_computed_by_hand() -> None:
  precision, recall, f1 = scores.precision_recall_f1(scores.confusion_matrix(LABELS, PREDICTED, 3))
  np.testing.assert_allclose(precision, [3 / 4, 2 / 4, np.nan])  # never predicted
  np.testing.assert_allclose(recall, [3 / 4, 2 / 3, 0])
  np.testing.assert_allclose(f1, [3 / 4, 4 / 7, 0])


def test_log_probabilities_do_not_depend_on_the_parts_that_are_computed_at_once(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  random = np.random.RandomState(0)
  logits, labels = random.randn(7, 3).astype(np.float32), random.randint(0, 3, 7)
  whole = scores.log_softmax(logits)
  for at_once in (1, 6, 100):
    monkeypatch.setattr(scores, '_LOGITS_AT_ONCE', at_once)
    true, highest = scores.true_and_highest(logits, labels)
    np.testing.assert_array_equal(true, whole[np.arange(7), labels])
    np.testing.assert_array_equal(highest, whole.max(axis=1))


def test_a_class_without_images_has_no_recall() -> None:
  _, recall, _ = scores.precision_recall_f1(np.array([[2, 0], [0, 0]]))
  assert recall[0] == 1 and math.isnan(recall[1])


def test_large_logits_do_not_overflow() -> None:
  logits = np.array([[1000.0, 1000.0 + math.log(3)], [-1000.0, -1000.0]], np.float64)
  np.testing.assert_allclose(np.exp(scores.log_softmax(logits)), [[0.25, 0.75], [0.5, 0.5]])


def test_an_ensemble_averages_probabilities_not_logits() -> None:
  first, second = np.log([[0.9, 0.1]]), np.log([[0.2, 0.8]]) + 7  # a constant changes nothing
  mean = scores.mean_probabilities(np.stack([first, second]))
  np.testing.assert_allclose(np.exp(mean), [[0.55, 0.45]], rtol=1e-6)


def test_top_k_counts_a_tie_as_a_hit() -> None:
  logits = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [5.0, 5.0, 0.0]])
  labels = np.array([1, 0, 1])
  assert scores.top_accuracy(logits, labels, 1) == pytest.approx(1 / 3)
  assert scores.top_accuracy(logits, labels, 2) == pytest.approx(2 / 3)
  assert scores.top_accuracy(logits, labels, 5) == 1


def test_calibration_averages_confidence_and_accuracy_per_bin() -> None:
  # Lower bin: 0.3 and 0.5, one correct. Upper bin: 0.8, 0.8 and 1.0, all correct.
  confidence = np.array([0.3, 0.5, 0.8, 0.8, 1.0])
  bins = scores.calibration(confidence, np.array([1, 0, 1, 1, 1], bool), num_bins=2)
  assert bins.counts.tolist() == [2, 3]
  np.testing.assert_allclose(bins.confidence, [0.4, 2.6 / 3])
  np.testing.assert_allclose(bins.accuracy, [0.5, 1.0])
  assert bins.error == pytest.approx(2 / 5 * 0.1 + 3 / 5 * (1 - 2.6 / 3))


def test_an_empty_bin_has_no_accuracy_and_adds_no_error() -> None:
  bins = scores.calibration(np.array([0.95]), np.array([True]), num_bins=10)
  assert math.isnan(bins.accuracy[0]) and bins.error == pytest.approx(0.05)


def test_the_accuracy_interval_is_that_of_clopper_and_pearson() -> None:
  # 9,711 of 10,000: Recht et al. 2018, arXiv 1806.00451, Table 1: 97.1 [96.8, 97.4].
  low, high = scores.accuracy_interval(9711, 10_000)
  assert (round(100 * low, 1), round(100 * high, 1)) == (96.8, 97.4)
  assert scores.accuracy_interval(0, 10) == (0.0, pytest.approx(1 - 0.025**0.1))
  assert scores.accuracy_interval(10, 10) == (pytest.approx(0.025**0.1), 1.0)
  few = stats.binomtest(7, 10).proportion_ci(0.95, 'exact')
  assert scores.accuracy_interval(7, 10) == pytest.approx((few.low, few.high))


@pytest.mark.parametrize(
  ('first', 'second', 'kappa'),
  [
    ([1, 1, 0, 0], [1, 1, 0, 0], 1.0),
    ([1, 0, 1, 0], [1, 1, 0, 0], 0.0),  # as often as independent models
    ([1, 1, 0, 0], [0, 0, 1, 1], -1.0),
    # They agree on 4 of 5. Correct on 4/5 and 3/5, independent models agree on 12/25 + 2/25: kappa
    # is (20 - 14) / (25 - 14).
    ([1, 1, 1, 1, 0], [1, 1, 1, 0, 0], 6 / 11),
  ],
)
def test_error_consistency_is_cohens_kappa(
  first: list[int], second: list[int], kappa: float
) -> None:
  assert scores.error_consistency(np.array(first, bool), np.array(second, bool)) == pytest.approx(
    kappa
  )


def test_error_consistency_of_models_without_errors_is_nan() -> None:
  assert math.isnan(scores.error_consistency(np.ones(3, bool), np.ones(3, bool)))


def test_mcnemar_is_the_binomial_test_of_images_that_only_one_model_gets_right() -> None:
  first = np.array([1] * 8 + [0] * 1 + [1] * 20 + [0] * 5, bool)
  second = np.array([0] * 8 + [1] * 1 + [1] * 20 + [0] * 5, bool)
  test = scores.mcnemar(first, second)
  assert (test.only_first, test.only_second) == (8, 1)
  assert test.p_value == pytest.approx(2 * (1 + 9) / 2**9)  # none or one of nine, on either side
  assert scores.mcnemar(first, first).p_value == 1


def test_agreement_counts_equal_classes_right_or_wrong() -> None:
  assert scores.agreement(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0])) == 0.5
