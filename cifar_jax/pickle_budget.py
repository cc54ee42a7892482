"""What reading a pickle may cost, in proportion to its size.

A value that is in a small file once can be given to a hundred thousand calls, each of which may
copy it or look through it. So what is given to calls is counted.
"""

from typing import Any

# The budget in bytes: these many times the size of the file, and so many more. Of honest files each
# array is given to two or three calls.
TIMES_SIZE = 4
FREE_BYTES = 1 << 26
# By type. To look at an item takes as long as to copy a few bytes.
_BYTES_PER_ITEM: dict[type, int] = {bytes: 1, str: 1, list: 32, tuple: 32, dict: 32}
# Of an array of NumPy. The product of a million lengths would take hours.
MOST_AXES = 64


class Budget:
  """Bytes that reading a file may still copy or look through."""

  def __init__(self, file_bytes: int) -> None:
    """Makes the budget of a file of `file_bytes` bytes."""
    self._left = TIMES_SIZE * file_bytes + FREE_BYTES

  def charge(self, num_bytes: int) -> None:
    """Takes a cost from the budget; raises ValueError if too little is left."""
    self._left -= num_bytes
    if self._left < 0:
      raise ValueError('values that are used too often')

  def charge_for(self, values: Any) -> None:
    """Takes the cost of values, such as the arguments of a call; raises as `charge`."""
    self.charge(_cost(values))
    if isinstance(values, list | tuple):
      self.charge(sum(map(_cost, values)))


def _cost(value: Any) -> int:
  """The cost of looking through a value, without what is in its items."""
  num_bytes = _BYTES_PER_ITEM.get(type(value), 0)
  return num_bytes * len(value) if num_bytes else 1
