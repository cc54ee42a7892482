"""Differences between the entries of a study and one of them, with intervals and a test.

Where two entries have the same seeds, two or more, the errors are paired by seed: Student's paired
t test. Otherwise Welch's test of two samples is used.
"""

from typing import Any

import numpy as np

from cifar_jax.runs.results import mean_and_deviation

Row = dict[str, Any]

KEY = 'against_baseline'
CONFIDENCE = 0.95
_NO_SPREAD = 1e-9  # percent; below this, errors differ by rounding alone and there is no test


def add(table: list[Row], baseline: str) -> list[Row]:
  """Adds the difference to the baseline to each other row that has a result.

  Args:
    table: rows of `study_table.rows`.
    baseline: label of the row that the others are compared with.

  Returns:
    The rows. `against_baseline` has the `baseline`, the `difference` of the mean errors in percent
    (negative where the row is better), its `interval` (95 %), the `p_value` of the hypothesis that
    there is none, and whether the errors were `paired` by seed. Interval and p-value are None where
    there are too few seeds, or seeds without spread. The value is None for the baseline itself and
    where there is no result.
  """
  (reference,) = (row for row in table if row['label'] == baseline)
  return [row | {KEY: None if row is reference else _difference(row, reference)} for row in table]


def _difference(row: Row, reference: Row) -> dict[str, Any] | None:
  (mean, _), (reference_mean, _) = (mean_and_deviation(r['errors']) for r in (row, reference))
  if mean is None or reference_mean is None:
    return None
  paired = len(row['seeds']) > 1 and row['seeds'] == reference['seeds']
  interval, p_value = _test(np.array(row['errors']), np.array(reference['errors']), paired)
  return {
    'baseline': reference['label'],
    'difference': mean - reference_mean,
    'interval': interval,
    'p_value': p_value,
    'paired': paired,
  }


def _test(
  errors: np.ndarray, others: np.ndarray, paired: bool
) -> tuple[list[float] | None, float | None]:
  """Returns the confidence interval of the mean difference, and the p-value."""
  from scipy import stats  # takes a third of a second

  if min(len(errors), len(others)) < 2:
    return None, None
  spreads = [errors - others] if paired else [errors, others]
  if max(map(np.ptp, spreads)) < _NO_SPREAD:
    return None, None
  if paired:
    test = stats.ttest_rel(errors, others)
  else:
    test = stats.ttest_ind(errors, others, equal_var=False)
  low, high = test.confidence_interval(CONFIDENCE)
  return [float(low), float(high)], float(test.pvalue)
