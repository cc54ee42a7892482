"""Reads pickled dictionaries of numbers, strings, lists and NumPy arrays, and nothing else.

A pickle is a program. Python's unpickler runs it, and a list of allowed names does not make that
safe: NumPy trusts what it unpickles, and a hundred bytes can build a tuple that takes years to
hash. So the operations are carried out here, and none of them calls anything.

https://github.com/python/cpython/blob/main/Lib/pickletools.py describes each operation.
"""

import io
import struct
from collections.abc import Callable, Iterable
from typing import Any

from cifar_jax.data.pickled_arrays import (
  GLOBALS,
  Global,
  PickledArray,
  PickledDtype,
  result,
  text,
)
from cifar_jax.errors import InputError

# Some five times those of the largest official file in the wordiest protocol. An operation of one
# byte can make an object of 64, so without a limit a file of 256 MB could take 16 GB.
_MOST_OPERATIONS = 2_000_000


def unpickle(name: str, content: bytes) -> dict[str, Any]:
  """Reads a pickled dictionary, of any protocol, as Python 2 or 3 wrote it.

  Args:
    name: the file's name, for messages.
    content: the file's content.

  Returns:
    The dictionary, with its keys as text. Python 2's strings are bytes. A value that is an array of
    numbers has a plain dtype and is read-only. An array of strings and a tuple are lists, and
    single numbers and strings of NumPy are those of Python.

  Raises:
    InputError: the file is damaged, is no such dictionary, or refers to anything but NumPy arrays.
  """
  try:
    batch = _Machine(name, content).run()
    if not isinstance(batch, dict):
      raise InputError(f'{name} holds a {type(batch).__name__}, not a dictionary; fetch it again')
    made: dict[int, Any] = {}
    return {text(key): _made(value, made) for key, value in batch.items()}
  except InputError:
    raise
  except Exception as error:  # a damaged pickle can raise anything
    raise InputError(f'{name} is damaged ({type(error).__name__}); fetch it again') from error


def _made(value: Any, made: dict[int, Any]) -> Any:
  """Returns a value with the arrays that it is, or has in it, made.

  Args:
    value: a value of the dictionary. What is deeper than in a list stays as it is.
    made: the results by the identity of the value. A file can name one value a million times.
  """
  if id(value) not in made:
    result = value
    if isinstance(value, PickledArray):
      array = value.make()
      is_plain = array.ndim and array.dtype.kind in 'biuf'
      result = array if is_plain else array.tolist()
    elif isinstance(value, list | tuple):
      result = [_made(item, made) if isinstance(item, PickledArray) else item for item in value]
    made[id(value)] = result
  return made[id(value)]


class _Machine:
  """Carries out the operations of a pickle, on a stack of values with marks, and a memo.

  Each takes time in proportion to its bytes. In particular only strings are hashed: the hash of a
  tuple is computed from all that is in it, each time anew, so that a tuple of twice the same tuple,
  forty levels deep, would take 2^40 steps.
  """

  def __init__(self, name: str, content: bytes) -> None:
    self._name, self._stream = name, io.BytesIO(content)
    self._stack: list[Any] = []
    self._below: list[list[Any]] = []  # for each mark, the part of the stack below it
    self._memo: dict[int, Any] = {}

  def run(self) -> Any:
    """Returns the value that the pickle describes."""
    for _ in range(_MOST_OPERATIONS):
      code = self._read(1)
      if code == b'.':
        return self._stack.pop()
      if code in _VALUES:
        value = _VALUES[code](self)  # first, because it may take another part of the stack
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
    dict.update(self._stack[-1], _dictionary(values))

  def look_up(self, module: Any, name: Any) -> Global:
    """Returns what stands for a name in a module; raises InputError for a name of no array."""
    if not (isinstance(module, str) and isinstance(name, str)):
      raise ValueError('a name that is no text')
    if (module, name) not in GLOBALS:
      path = f'{module}.{name}'[:80]
      raise InputError(
        f'{self._name} refers to {path!a}, which no CIFAR file does: it was not loaded'
      )
    return GLOBALS[module, name]

  def set_state(self) -> None:
    """Gives the uppermost value, a state, to the dtype or array below it."""
    (state,) = self.pop(1)
    if not isinstance(self._stack[-1], PickledDtype | PickledArray):
      raise ValueError('a state of something else than an array')
    self._stack[-1].set_state(state)


def _dictionary(values: list[Any]) -> dict[bytes | str, Any]:
  keys = values[::2]
  if not all(isinstance(key, bytes | str) for key in keys):
    raise ValueError('a key that is no string')
  return dict(zip(keys, values[1::2], strict=True))


def _integer(line: bytes) -> int:
  if line in (b'00', b'01'):  # how protocol 0 writes False and True
    return line == b'01'
  return int(line.removesuffix(b'L'))


def _python2_string(line: bytes) -> bytes:
  """Returns the bytes of a literal in quotes."""
  return line[1:-1].decode('unicode_escape').encode('latin-1')


# Operations that put a value on the stack, by their code.
_VALUES: dict[bytes, Callable[[_Machine], Any]] = {
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
  b'd': lambda m: _dictionary(m.pop_mark()),
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
  b'R': lambda m: result(*m.pop(2)),
}
# The remaining operations. Files with a code that is in neither table are refused.
_ACTIONS: dict[bytes, Callable[[_Machine], Any]] = {
  b'\x80': lambda m: m.number('<B'),  # the protocol
  b'\x95': lambda m: m.number('<Q'),  # the size of a frame
  b'(': _Machine.set_mark,
  b'q': lambda m: m.put(m.number('<B')),
  b'r': lambda m: m.put(m.number('<I')),
  b'p': lambda m: m.put(int(m.line())),
  b'\x94': _Machine.put,
  b'a': lambda m: m.extend(m.pop(1)),
  b'e': lambda m: m.extend(m.pop_mark()),
  b's': lambda m: m.update(m.pop(2)),
  b'u': lambda m: m.update(m.pop_mark()),
  b'b': _Machine.set_state,
}
