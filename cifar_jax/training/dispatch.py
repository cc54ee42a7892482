"""The number of steps that the host hands to the devices at once: a whole group, or one step.

So there are at most two compiled programs, one for a group and one for a single step. Single steps
are taken where the host has something to do before a group would be over.
"""

from collections.abc import Iterable


def next_num_steps(step: int, end: int, group: int, every: Iterable[int], at: Iterable[int]) -> int:
  """The number of steps of the next dispatch: `group`, or 1 if a group would go past a stop.

  Args:
    step: number of steps taken so far.
    end: the step at which the epoch ends.
    group: number of steps in a group.
    every: there is a stop at each multiple of each of these numbers; 0 for none.
    at: there is a stop at each of these steps.
  """
  stops = [end, *(step + n - step % n for n in every if n), *(stop for stop in at if stop > step)]
  return group if step + group <= min(stops) else 1
