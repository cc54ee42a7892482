"""The arithmetic of a race: the rounds that count, medians, quartiles and ratios.

A machine stalls now and then, most of all under two runtimes. A round in which either side took
more than `OUTLIER` times its median is left out for both, so that the rule favours neither side. If
this would leave out all rounds, all count.

The ratio of a round is PyTorch's time divided by ours: above 1 ours is faster. A slow drift of the
machine over many rounds changes both times of a round alike, and therefore not the ratio.
"""

import statistics
from collections.abc import Sequence
from typing import Any

OUTLIER, LEAST_ROUNDS = 1.5, 3


def counted_rounds(ours: Sequence[float], torch: Sequence[float]) -> list[int]:
  """Returns the indices of the rounds that count.

  Args:
    ours: our seconds per step in each round.
    torch: PyTorch's seconds per step in each round.
  """
  limits = [OUTLIER * statistics.median(side) for side in (ours, torch)]
  indices = [
    index
    for index, times in enumerate(zip(ours, torch, strict=True))
    if all(seconds <= limit for seconds, limit in zip(times, limits, strict=True))
  ]
  return indices or list(range(len(ours)))


def spread(values: Sequence[float]) -> dict[str, float]:
  """Returns median and quartiles (with interpolation, the ends included)."""
  if len(values) == 1:
    return {'median': values[0], 'low': values[0], 'high': values[0]}
  low, median, high = statistics.quantiles(values, n=4, method='inclusive')
  return {'median': median, 'low': low, 'high': high}


def race(ours: Sequence[float], torch: Sequence[float], batch: int) -> dict[str, Any]:
  """Returns the result of a race.

  Args:
    ours: our seconds per step in each round.
    torch: PyTorch's seconds per step in each round.
    batch: number of images of a step.

  Returns:
    `ratio`, and `ours` and `torch` in images per second, each with `median`, `low` and `high`; the
    number of rounds `left_out`; and all times.
  """
  counted = counted_rounds(ours, torch)
  return {
    'ratio': spread([torch[i] / ours[i] for i in counted]),
    'ours': spread([batch / ours[i] for i in counted]),
    'torch': spread([batch / torch[i] for i in counted]),
    'left_out': len(ours) - len(counted),
    'step_seconds': {
      'ours': [round(seconds, 6) for seconds in ours],
      'torch': [round(seconds, 6) for seconds in torch],
    },
  }


def plan(ours: float, torch: float, rounds: int, seconds: float) -> tuple[int, int]:
  """Returns the number of rounds, and of steps of each side in a round, for a given time.

  If steps are too long for that, there are fewer rounds, but at least `LEAST_ROUNDS`.

  Args:
    ours: seconds of one of our steps.
    torch: seconds of one of PyTorch's steps.
    rounds: number of rounds that is wanted.
    seconds: for all rounds of both sides.
  """
  pair = ours + torch
  steps = max(1, int(seconds / (rounds * pair)))
  return min(rounds, max(LEAST_ROUNDS, int(seconds / (steps * pair)))), steps
