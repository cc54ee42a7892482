"""What NumPy puts into a pickle: names of its functions, dtypes and arrays.

All of it is only recorded while a pickle is read. An array is made at the end: of a plain dtype,
and of exactly the bytes that its shape needs. NumPy itself would also accept a dtype with fields
that the file made up, and then follow addresses which the file chose.
"""

import dataclasses
import enum
import math
import re
from typing import Any

import numpy as np

from cifar_jax.pickle_budget import MOST_AXES
from cifar_jax.printable import is_unicode


class Global(enum.Enum):
  """What arrays and bytes refer to when they are pickled; only a name, which is never called."""

  DTYPE = enum.auto()
  NDARRAY = enum.auto()
  RECONSTRUCT = enum.auto()  # makes an empty array, whose state follows
  FROM_BUFFER = enum.auto()  # makes an array, from protocol 5 on
  SCALAR = enum.auto()  # makes a single number or string of NumPy
  ENCODE = enum.auto()  # makes bytes from text, up to protocol 2


GLOBALS = {
  ('numpy', 'dtype'): Global.DTYPE,
  ('numpy', 'ndarray'): Global.NDARRAY,
  ('numpy.core.multiarray', '_reconstruct'): Global.RECONSTRUCT,
  ('numpy._core.multiarray', '_reconstruct'): Global.RECONSTRUCT,  # of NumPy 2
  ('numpy.core.numeric', '_frombuffer'): Global.FROM_BUFFER,
  ('numpy._core.numeric', '_frombuffer'): Global.FROM_BUFFER,
  ('numpy.core.multiarray', 'scalar'): Global.SCALAR,
  ('numpy._core.multiarray', 'scalar'): Global.SCALAR,
  ('_codecs', 'encode'): Global.ENCODE,
}

# What follows the byte order in the state of a dtype: no subarray, no names, no fields, no size and
# no alignment of its own, no flags. Strings have a size, an alignment and, in Unicode, a flag.
_PLAIN_STATE = (None, None, None, -1, -1, 0)
_CHARACTER_BYTES_AND_FLAGS = {'S': (1, 0), 'U': (4, 8)}
_STRING = r'[SU][1-9]\d{0,3}'


@dataclasses.dataclass
class PickledDtype:
  """What a pickle says of a dtype.

  Attributes:
    kind: its kind and size, such as `u1`, or `S20` for strings.
    order: its byte order, `|`, `<`, `>` or `=`.
  """

  kind: str
  order: str = '|'

  def set_state(self, state: tuple[Any, ...]) -> None:
    """Records the state that follows the dtype; raises ValueError unless it is a plain one."""
    version, order, *rest = state
    expected = _PLAIN_STATE
    if re.fullmatch(_STRING, self.kind):
      unit, flags = _CHARACTER_BYTES_AND_FLAGS[self.kind[0]]
      expected = (None, None, None, unit * int(self.kind[1:]), unit, flags)
    if version != 3 or tuple(rest) != expected:
      raise ValueError('not a plain dtype')
    self.order = text(order)

  def make(self) -> np.dtype:
    """Returns the dtype; raises ValueError unless it is one of numbers or of strings."""
    if not re.fullmatch(rf'[biuf][1248]|{_STRING}', self.kind) or self.order not in (
      '|',
      '<',
      '>',
      '=',
    ):
      raise ValueError('not a plain dtype')
    return np.dtype(self.order + self.kind)


@dataclasses.dataclass
class PickledArray:
  """What a pickle says of an array.

  Attributes:
    content: its bytes.
    dtype: of its elements.
    shape: its lengths.
    is_fortran: whether its first index, not its last, runs fastest through the bytes.
  """

  content: bytes = b''
  dtype: PickledDtype = dataclasses.field(default_factory=lambda: PickledDtype('u1'))
  shape: tuple[int, ...] = (0,)
  is_fortran: bool = False

  def set_state(self, state: tuple[Any, ...]) -> None:
    """Records the state that follows the array."""
    _, self.shape, self.dtype, self.is_fortran, self.content = state

  def make(self) -> np.ndarray:
    """Returns the array, read-only; raises ValueError unless its bytes fit its shape."""
    dtype, size = self.dtype.make(), len(self.content)
    if len(self.shape) > MOST_AXES:
      raise ValueError('too many axes')
    if not all(type(length) is int and 0 <= length <= size for length in self.shape):
      raise ValueError('not the shape of an array')
    if math.prod(self.shape) * dtype.itemsize != size:
      raise ValueError('an array has more or fewer bytes than its shape')
    flat = np.frombuffer(self.content, dtype)
    if dtype.kind == 'U' and not is_unicode(flat):
      raise ValueError('a character that is not one of Unicode')
    return flat.reshape(self.shape, order='F' if self.is_fortran else 'C')


def result(function: Any, arguments: tuple[Any, ...]) -> PickledDtype | PickledArray | bytes:
  """Returns what stands for the result of a call: an array of any shape, a dtype or bytes.

  Nothing of it is checked yet.

  Args:
    function: the member of `Global` that stands for the function.
    arguments: of the call.

  Raises:
    ValueError: no array is pickled with such a call.
  """
  if function is Global.DTYPE:
    return PickledDtype(text(arguments[0]))
  if function is Global.RECONSTRUCT and arguments[0] is Global.NDARRAY:
    return PickledArray()
  if function is Global.FROM_BUFFER and arguments[3] in ('C', 'F'):
    content, dtype, shape, order, *_ = arguments
    return PickledArray(content, dtype, shape, order == 'F')
  if function is Global.SCALAR:
    dtype, content = arguments
    return PickledArray(content, dtype, shape=())
  if function is Global.ENCODE and arguments[1] == 'latin1':
    return arguments[0].encode('latin-1')
  raise ValueError('a call that makes no array')


def text(value: bytes | str) -> str:
  """Returns a string of Python 2 or 3 as text."""
  return value.decode(errors='replace') if isinstance(value, bytes) else value
