"""Arithmetic of the race in `benchmarks/speed`."""

import statistics

import pytest

from benchmarks.speed import ratios


@pytest.mark.parametrize('stalled', ['ours', 'torch'])
def test_a_round_with_a_stall_is_left_out_for_both_sides(stalled: str) -> None:
  times = {'ours': [1.0, 1.1, 0.9, 1.0, 1.2], 'torch': [2.0, 2.1, 1.9, 2.2, 2.0]}
  times[stalled][3] *= 1.7
  assert ratios.counted_rounds(**times) == [0, 1, 2, 4]
  race = ratios.race(times['ours'], times['torch'], 100)
  assert race['left_out'] == 1
  pairs = [2.0, 2.1 / 1.1, 1.9 / 0.9, 2.0 / 1.2]
  assert race['ratio']['median'] == pytest.approx(statistics.median(pairs))
  assert race['ours']['median'] == pytest.approx(
    statistics.median([100, 100 / 1.1, 100 / 0.9, 100 / 1.2])
  )
  assert len(race['step_seconds']['ours']) == 5  # all rounds are recorded


def test_a_slightly_slower_round_counts_and_at_least_one_round_counts() -> None:
  assert ratios.counted_rounds([1.0, 1.5, 1.0], [1.0, 1.0, 1.0]) == [0, 1, 2]
  assert ratios.counted_rounds([1.0, 9.0], [9.0, 1.0]) == [0, 1]


def test_a_ratio_above_one_means_that_our_side_is_faster() -> None:
  assert ratios.race([1.0] * 3, [2.0] * 3, 10)['ratio'] == {'median': 2.0, 'low': 2.0, 'high': 2.0}


def test_a_drift_of_the_machine_does_not_change_the_ratio() -> None:
  ours = [1.0, 1.1, 1.2, 1.3, 1.4]
  race = ratios.race(ours, [3 * seconds for seconds in ours], 10)
  assert race['ratio']['high'] - race['ratio']['low'] < 1e-9
  assert race['ours']['high'] > 1.1 * race['ours']['low']


def test_spread_is_the_median_with_the_quartiles() -> None:
  assert ratios.spread([5.0, 1.0, 2.0, 4.0, 3.0]) == {'median': 3.0, 'low': 2.0, 'high': 4.0}
  assert ratios.spread([7.0]) == {'median': 7.0, 'low': 7.0, 'high': 7.0}


@pytest.mark.parametrize(
  ('ours', 'torch', 'rounds', 'expected'),
  [
    (0.3, 0.2, 10, (10, 12)),  # 60 s in ten rounds of both sides
    (3.0, 3.0, 9, (9, 1)),
    (6.0, 6.0, 9, (5, 1)),
    (60.0, 60.0, 9, (3, 1)),
    (60.0, 60.0, 2, (2, 1)),
  ],
)
def test_rounds_and_steps_fill_the_seconds_of_a_race(
  ours: float, torch: float, rounds: int, expected: tuple[int, int]
) -> None:
  assert ratios.plan(ours, torch, rounds, 60.0) == expected
