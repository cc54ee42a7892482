"""A digest of a net that is defined in a notebook or a script, and so has no module to load again.

It tells whether the net that goes on is the one that was trained. It is of the text of all cells
(or of the script) in which the net is defined: of its class, and of the functions and classes that
the net's code names, such as a block in another cell.
"""

import hashlib
import inspect
import linecache
import types
from collections.abc import Callable, Iterator
from typing import Any


def digest(make: Callable[..., Any], model_class: type) -> str:
  """The SHA-256 of the text of all cells that define a net, hexadecimal; '' if it is not known.

  Cells that were run again since count as they are now, because the net's code looks up functions
  and classes by name.

  Args:
    make: what makes the net: its class, or a function.
    model_class: class of the net.
  """
  files = {code.co_filename for code in _codes(make, model_class)}
  texts = sorted(filter(None, (''.join(linecache.getlines(file)) for file in files)))
  return hashlib.sha256('\0'.join(texts).encode()).hexdigest() if texts else ''


def _codes(*definitions: Callable[..., Any]) -> Iterator[types.CodeType]:
  """The code of functions and classes, and of what they name in their module, directly or not."""
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
      yield function.__code__
      names = _names(function.__code__)
      waiting += [function.__globals__[name] for name in names if name in function.__globals__]


def _names(code: types.CodeType) -> set[str]:
  """The names that a function, and the functions inside of it, look up."""
  inner = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
  return set(code.co_names).union(*inner)
