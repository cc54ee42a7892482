"""Carries out the operations of a pickle, and calls nothing that the pickle names.

A pickle is a program. Python's unpickler runs it, and a list of allowed names does not make that
safe: NumPy trusts what it unpickles, and a hundred bytes can build a tuple that takes years to
hash. So the operations are carried out here. What a pickle calls is only recorded, by the
vocabulary of the kind of file.

https://github.com/python/cpython/blob/main/Lib/pickletools.py describes each operation.
"""

import io
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from cifar_jax.pickle_budget import Budget

# Some five times those of the largest official CIFAR file in the wordiest protocol. An operation of
# one byte can make an object of 64, so without a limit a file of 256 MB could take 16 GB.
MOST_OPERATIONS = 2_000_000


class Vocabulary(Protocol):
  """What the names and calls in one kind of file stand for."""

  def look_up(self, module: str, name: str) -> Any:
    """What stands for a name in a module; raises InputError for one that no such file has."""

  def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
    """What stands for the result of a call; raises ValueError for one that no such file has."""

  def set_state(self, value: Any, state: Any) -> None:
    """Records the state of an object; raises ValueError for one that has none."""


class Machine:
  """Carries out the operations of a pickle, on a stack of values with marks, and a memo.

  All together take time and memory in proportion to the bytes of the pickle. In particular no tuple
  is hashed: the hash of a tuple is computed from all that is in it, each time anew, so that a tuple
  of twice the same tuple, forty levels deep, would take 2^40 steps. And what each call may copy or
  look through is charged to one budget.
  """

  def __init__(
    self,
    content: bytes,
    vocabulary: Vocabulary,
    operations: Mapping[bytes, Callable[['Machine'], Any]] | None = None,
    is_key: Callable[[Any], bool] | None = None,
  ) -> None:
    """Prepares to read a pickle.

    Args:
      content: the pickle.
      vocabulary: what its names and calls stand for.
      operations: further operations that put a value on the stack, by their code.
      is_key: whether a value may be the key of a dictionary, which must not take long to hash; by
        default only strings may.
    """
    self._stream = io.BytesIO(content)
    self.budget = Budget(len(content))
    self.vocabulary, self._is_key = vocabulary, is_key or _is_string
    self._values = _VALUES | dict(operations or {})
    self._stack: list[Any] = []
    self._below: list[list[Any]] = []  # for each mark, the part of the stack below it
    self._memo: dict[int, Any] = {}

  def run(self) -> Any:
    """Returns the value that the pickle describes; a damaged one raises any exception."""
    for _ in range(MOST_OPERATIONS):
      code = self._read(1)
      if code == b'.':
        return self._stack.pop()
      if code in self._values:
        value = self._values[code](self)  # first, because it may take another part of the stack
        self._stack.append(value)
      else:
        _ACTIONS[code](self)
    raise ValueError('too many operations')

  def _read(self, size: int) -> bytes:
    data = self._stream.read(size)
    if len(data) != size:
      raise EOFError
    return data

  def number(self, form: str) -> Any:
    """Reads a number in a format of `struct`."""
    return struct.unpack(form, self._read(struct.calcsize(form)))[0]

  def block(self, form: str) -> bytes:
    """Reads a number, and then as many bytes."""
    return self._read(self.number(form))

  def line(self) -> bytes:
    """Reads a line, and returns it without its end."""
    data = self._stream.readline()
    if not data.endswith(b'\n'):
      raise EOFError
    return data[:-1]

  def pop(self, count: int) -> list[Any]:
    """Takes the uppermost values off the stack."""
    start = len(self._stack) - count
    if start < 0:
      raise IndexError('the stack has too few values')
    values = self._stack[start:]
    del self._stack[start:]
    return values

  def set_mark(self) -> None:
    """Begins a new part of the stack."""
    self._below.append(self._stack)
    self._stack = []

  def pop_mark(self) -> list[Any]:
    """Takes the values above the last mark off the stack."""
    values, self._stack = self._stack, self._below.pop()
    return values

  def put(self, index: int | None = None) -> None:
    """Keeps the uppermost value under an index, by default the next one."""
    self._memo[len(self._memo) if index is None else index] = self._stack[-1]

  def get(self, index: int) -> Any:
    """Returns the value that was kept under an index."""
    return self._memo[index]

  def extend(self, values: Iterable[Any]) -> None:
    """Appends values to the uppermost value, a list."""
    list.extend(self._stack[-1], values)

  def update(self, values: list[Any]) -> None:
    """Puts keys and values, in turns, into the uppermost value, a dictionary."""
    dict.update(self._stack[-1], self.dictionary(values))

  def dictionary(self, values: list[Any]) -> dict[Any, Any]:
    """Makes a dictionary of keys and values in turns."""
    keys = values[::2]
    if not all(map(self._is_key, keys)):
      raise ValueError('a key of another type')
    self.budget.charge_for(keys)  # two long keys that are equal are compared
    return dict(zip(keys, values[1::2], strict=True))

  def look_up(self, module: Any, name: Any) -> Any:
    """Returns what stands for a name in a module."""
    if not (isinstance(module, str) and isinstance(name, str)):
      raise ValueError('a name that is no text')
    return self.vocabulary.look_up(module, name)

  def call(self) -> Any:
    """Returns what stands for the result of a call of the uppermost values."""
    function, arguments = self.pop(2)
    self.budget.charge_for(arguments)
    return self.vocabulary.call(function, arguments)

  def set_state(self) -> None:
    """Gives the uppermost value, a state, to the object below it."""
    (state,) = self.pop(1)
    self.budget.charge_for(state)
    self.vocabulary.set_state(self._stack[-1], state)


def _is_string(key: Any) -> bool:
  return isinstance(key, bytes | str)


def _integer(line: bytes) -> int:
  if line in (b'00', b'01'):  # how protocol 0 writes False and True
    return line == b'01'
  return int(line.removesuffix(b'L'))


def _python2_string(line: bytes) -> bytes:
  """Returns the bytes of a literal in quotes."""
  return line[1:-1].decode('unicode_escape').encode('latin-1')


# Operations that put a value on the stack, by their code.
_VALUES: dict[bytes, Callable[[Machine], Any]] = {
  b'N': lambda m: None,
  b'\x88': lambda m: True,
  b'\x89': lambda m: False,
  b'K': lambda m: m.number('<B'),
  b'M': lambda m: m.number('<H'),
  b'J': lambda m: m.number('<i'),
  b'G': lambda m: m.number('>d'),
  b'I': lambda m: _integer(m.line()),
  b'L': lambda m: _integer(m.line()),
  b'F': lambda m: float(m.line()),
  b'\x8a': lambda m: int.from_bytes(m.block('<B'), 'little', signed=True),
  b'U': lambda m: m.block('<B'),
  b'T': lambda m: m.block('<I'),
  b'C': lambda m: m.block('<B'),
  b'B': lambda m: m.block('<I'),
  b'\x8e': lambda m: m.block('<Q'),
  b'\x96': lambda m: m.block('<Q'),
  b'S': lambda m: _python2_string(m.line()),
  b'\x8c': lambda m: m.block('<B').decode(),
  b'X': lambda m: m.block('<I').decode(),
  b'\x8d': lambda m: m.block('<Q').decode(),
  b'V': lambda m: m.line().decode('raw_unicode_escape'),
  b']': lambda m: [],
  b'}': lambda m: {},
  b'l': lambda m: m.pop_mark(),
  b'd': lambda m: m.dictionary(m.pop_mark()),
  b't': lambda m: tuple(m.pop_mark()),
  b')': lambda m: (),
  b'\x85': lambda m: tuple(m.pop(1)),
  b'\x86': lambda m: tuple(m.pop(2)),
  b'\x87': lambda m: tuple(m.pop(3)),
  b'h': lambda m: m.get(m.number('<B')),
  b'j': lambda m: m.get(m.number('<I')),
  b'g': lambda m: m.get(int(m.line())),
  b'c': lambda m: m.look_up(m.line().decode(), m.line().decode()),
  b'\x93': lambda m: m.look_up(*m.pop(2)),
  b'R': Machine.call,
}
# The remaining operations. Files with a code that is in neither table are refused.
_ACTIONS: dict[bytes, Callable[[Machine], Any]] = {
  b'\x80': lambda m: m.number('<B'),  # the protocol
  b'\x95': lambda m: m.number('<Q'),  # the size of a frame
  b'(': Machine.set_mark,
  b'q': lambda m: m.put(m.number('<B')),
  b'r': lambda m: m.put(m.number('<I')),
  b'p': lambda m: m.put(int(m.line())),
  b'\x94': Machine.put,
  b'a': lambda m: m.extend(m.pop(1)),
  b'e': lambda m: m.extend(m.pop_mark()),
  b's': lambda m: m.update(m.pop(2)),
  b'u': lambda m: m.update(m.pop_mark()),
  b'b': Machine.set_state,
}
