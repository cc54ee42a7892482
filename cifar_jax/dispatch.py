"""How many steps the host hands to the devices at once: whole groups of them, or single ones.

There are two compiled programs at most, one of a group and one of a single step, which is taken
where something is to be done before a group would be over.
"""

from collections.abc import Iterable

# Ten share what a call costs the host; a signal need not wait long for their end, and a record
# every 50 steps is met by whole groups.
ON_ACCELERATORS = 10


def num_steps(step: int, end: int, group: int, every: Iterable[int], at: Iterable[int]) -> int:
  """How many steps the next dispatch takes: `group`, or 1 where that would go past a stop.

  Args:
    step: steps taken so far.
    end: of the epoch, in steps.
    group: how many at most.
    every: there is a stop after each multiple of these; 0 for none.
    at: there is a stop after so many steps.
  """
  stops = [end, *(step + n - step % n for n in every if n), *(stop for stop in at if stop > step)]
  return group if step + group <= min(stops) else 1
