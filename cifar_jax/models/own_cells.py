"""A digest of a net that is defined in a notebook or a script, and so has no module to load again.

It tells whether the net that goes on is the one that was trained. It is of the text of all cells
(or of the script) in which the net is defined: of its class, and of the functions and classes that
the net's code names, such as a block in another cell. The numbers, texts and arrays that this code
names belong to it too.
"""

import hashlib
import inspect
import linecache
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np


def digest(make: Callable[..., Any], model_class: type) -> str:
  """The SHA-256 of all cells and values that define a net, hexadecimal; '' if they are not known.

  Cells that were run again since count as they are now, because the net's code looks up functions
  and classes by name.

  Args:
    make: what makes the net: its class, or a function.
    model_class: class of the net.
  """
  functions = list(_functions(make, model_class))
  files = {function.__code__.co_filename for function in functions}
  texts = sorted(filter(None, (''.join(linecache.getlines(file)) for file in files)))
  if not texts:
    return ''
  values = sorted({
    f'{name}={_constant(value)}' for function in functions for name, value in _named(function)
  })  # fmt: skip
  return hashlib.sha256('\0'.join([*texts, *values]).encode()).hexdigest()


def _functions(*definitions: Callable[..., Any]) -> Iterator[types.FunctionType]:
  """The functions of classes, and those that they name in their module, directly or not."""
  waiting: list[Any] = [*definitions]
  seen: set[int] = set()
  while waiting:
    value = waiting.pop()
    if id(value) in seen or getattr(value, '__module__', None) != definitions[0].__module__:
      continue
    seen.add(id(value))
    if isinstance(value, type):
      waiting += [*value.__bases__, *vars(value).values()]
    elif isinstance(function := inspect.unwrap(value), types.FunctionType):
      yield function
      waiting += [value for _, value in _named(function)]


def _named(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
  """The names that a function looks up in its module, and their values."""
  names = _names(function.__code__) & function.__globals__.keys()
  return ((name, function.__globals__[name]) for name in names)


def _constant(value: Any) -> str:
  """A text that says which number, text, array or collection of them it is; '' for others."""
  if isinstance(value, np.ndarray | jax.Array):
    return f'{value.dtype} {value.shape} {np.asarray(value).tobytes().hex()}'
  if isinstance(value, dict):
    return str([f'{key!r}: {_constant(item)}' for key, item in value.items()])
  if isinstance(value, list | tuple | set | frozenset):
    items = map(_constant, value)
    return str(sorted(items) if isinstance(value, set | frozenset) else list(items))
  is_plain = isinstance(value, bool | int | float | complex | str | bytes | np.generic)
  return repr(value) if is_plain or value is None else ''


def _names(code: types.CodeType) -> set[str]:
  """The names that a function, and the functions inside of it, look up."""
  inner = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
  return set(code.co_names).union(*inner)
