"""The arithmetic of a race: which rounds count, medians, quartiles, ratios.

A machine stalls now and then, most of all under two runtimes. A round in which either side took
more than `OUTLIER` times its own median is left out for both, so that the rule favours neither;
where that would leave none, all count.
The ratio of a round is PyTorch's time by ours: above 1 ours is faster. What the machine does
slowly, over many rounds, falls on both sides of a round alike and so not on its ratio.
"""

import statistics
from collections.abc import Sequence
from typing import Any

OUTLIER, LEAST_ROUNDS = 1.5, 3


def kept_rounds(ours: Sequence[float], theirs: Sequence[float]) -> list[int]:
  """The indices of the rounds that count.

  Args:
    ours: seconds a step in each round.
    theirs: PyTorch's.
  """
  limits = [OUTLIER * statistics.median(side) for side in (ours, theirs)]
  kept = [
    index
    for index, round_ in enumerate(zip(ours, theirs, strict=True))
    if all(seconds <= limit for seconds, limit in zip(round_, limits, strict=True))
  ]
  return kept or list(range(len(ours)))


def spread(values: Sequence[float]) -> dict[str, float]:
  """Median and quartiles (with interpolation, the ends included)."""
  if len(values) == 1:
    return {'median': values[0], 'low': values[0], 'high': values[0]}
  low, median, high = statistics.quantiles(values, n=4, method='inclusive')
  return {'median': median, 'low': low, 'high': high}


def race(ours: Sequence[float], theirs: Sequence[float], batch: int) -> dict[str, Any]:
  """What is written of a race.

  Args:
    ours: seconds a step in each round.
    theirs: PyTorch's.
    batch: images of a step.

  Returns:
    `ratio`, and `ours` and `torch` in images per second, each with `median`, `low` and `high`; how
    many rounds were `left_out`; and all times.
  """
  kept = kept_rounds(ours, theirs)
  return {
    'ratio': spread([theirs[i] / ours[i] for i in kept]),
    'ours': spread([batch / ours[i] for i in kept]),
    'torch': spread([batch / theirs[i] for i in kept]),
    'left_out': len(ours) - len(kept),
    'step_seconds': {
      'ours': [round(seconds, 6) for seconds in ours],
      'torch': [round(seconds, 6) for seconds in theirs],
    },
  }


def plan(ours: float, theirs: float, rounds: int, seconds: float) -> tuple[int, int]:
  """Rounds, and steps of each side in a round, that take about so many seconds together.

  Where steps are too long for that there are fewer rounds, but `LEAST_ROUNDS` of them.

  Args:
    ours: seconds a step takes.
    theirs: PyTorch's.
    rounds: wanted.
    seconds: for all of them.
  """
  pair = ours + theirs
  steps = max(1, int(seconds / (rounds * pair)))
  return min(rounds, max(LEAST_ROUNDS, int(seconds / (steps * pair)))), steps
