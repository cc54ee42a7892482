"""A digest of a net that is defined in a notebook or a script, and so has no module to load again.

It tells whether the net that goes on is the one that was trained. It is of the text of all cells
(or of the script) in which the net is defined: of its class, and of the functions and classes that
the net's code names, such as a block in another cell. The values that this code names belong to it
too: numbers, texts, arrays, functions of libraries, and objects that are made of such values.

The digest is the same in each process that runs the same cells. So nothing of a value counts that
is of one process, such as its address; a value of which nothing else is known counts by its type.
"""

import argparse
import collections
import collections.abc
import dataclasses
import decimal
import dis
import enum
import fractions
import functools
import hashlib
import linecache
import pathlib
import re
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np

MAX_DEPTH = 20  # of values in one another; those further inside count by their types
MAX_TEXT = 1_000  # of a value; a longer one stands in others by its SHA-256, or they would explode
_PLAIN: tuple[Any, ...] = (
  *(bool, int, float, complex, str, bytes, bytearray, range, type(None), type(...)),
  *(decimal.Decimal, fractions.Fraction, pathlib.PurePath),
)  # fmt: skip
_BAGS = types.SimpleNamespace, argparse.Namespace  # of any attributes
_LOOKS_UP = {'LOAD_GLOBAL', 'LOAD_NAME', 'LOAD_FROM_DICT_OR_GLOBALS'}


def digest(make: Callable[..., Any], model_class: type) -> str:
  """The SHA-256 of all cells and values that define a net, hexadecimal; '' if they are not known.

  Cells that were run again since count as they are now, because the net's code looks up functions
  and classes by name.

  Args:
    make: what makes the net: its class, or a function.
    model_class: class of the net.
  """
  definition = _Definition(make.__module__)
  definition.follow(make, model_class)
  texts = {''.join(linecache.getlines(file)) for file in definition.files} - {''}
  if not texts:
    return ''
  parts = [*sorted(texts), *sorted(definition.values)]
  return hashlib.sha256(_encoded('\0'.join(parts))).hexdigest()


_COMMON = frozenset(dir(type('_Empty', (nn.Module,), {})))  # what all classes of Flax have


class _Definition:
  """What defines a net.

  Attributes:
    module: the name of the notebook or script as a module.
    files: the cells, or the script, with the net's functions.
    values: a text for each name that the net's code looks up, and for each attribute of its
      classes.
  """

  def __init__(self, module: str):
    self.module = module
    self.files: set[str] = set()
    self.values: set[str] = set()
    self._waiting: list[Any] = []
    self._known: dict[int, tuple[Any, str]] = {}  # by id; with the value, so that no other gets it

  def follow(self, *definitions: Callable[..., Any]) -> None:
    """Adds what functions and classes are, and what they name in their module, directly or not."""
    for definition in definitions:
      self._text(definition)
    seen: dict[int, Any] = {}
    while self._waiting:
      value = self._waiting.pop()
      if id(value) in seen:
        continue
      seen[id(value)] = value
      if isinstance(value, type):
        name, named = value.__qualname__, _attributes(value)
        self.values.add(f'{name} of {self._text(value.__bases__)}')
        self.values |= {f'{name}.{key}={self._text(item)}' for key, item in named}
      else:
        self.files.add(value.__code__.co_filename)
        self.values |= {f'{key}={self._text(item)}' for key, item in _named(value)}

  def _text(self, value: Any, depth: int = 0) -> str:
    """A text that says what a value is. Those of the notebook in it will be followed too."""
    if not depth:  # what is inside of itself has another text after a part of it
      self._known = {}
    if id(value) not in self._known:
      by_type = f'a {_name(type(value))}'
      self._known[id(value)] = value, by_type  # also for where it is inside of itself
      if depth < MAX_DEPTH:
        try:
          text = self._describe(value, lambda item: self._text(item, depth + 1))
        except Exception:  # in a user's own class, or for an array that is no longer there
          text = by_type
        if len(text) > MAX_TEXT:
          text = hashlib.sha256(_encoded(text)).hexdigest()
        self._known[id(value)] = value, text
    return self._known[id(value)][1]

  def _describe(self, value: Any, text: Callable[[Any], str]) -> str:
    """As `_text`; `text` is for the values inside of it."""
    if type(value) in _PLAIN or isinstance(value, np.generic):
      return repr(value)
    if isinstance(value, type):
      if self._is_here(value):
        self._waiting.append(value)
      return _name(value)
    kind = text(type(value))
    if isinstance(value, enum.Enum):
      return f'{kind}.{value.name}={text(value.value)}'
    if isinstance(value, np.ndarray | jax.Array):
      return _text_of_array(value, text)
    if isinstance(value, collections.defaultdict):
      return f'{kind} {text((value.default_factory, dict(value)))}'
    if isinstance(value, collections.abc.Mapping | ml_collections.ConfigDict):
      return f'{kind} {_joined(f"{text(key)}: {text(item)}" for key, item in value.items())}'
    if isinstance(value, set | frozenset):
      return f'{kind} {_joined(sorted(map(text, value)))}'
    if isinstance(value, list | tuple | collections.deque):
      return f'{kind} {_joined(map(text, value))}'
    for base in _PLAIN:
      if isinstance(value, base):
        return f'{kind} {base.__repr__(value)}'
    if isinstance(value, np.dtype):
      return f'{kind} {value}'
    if isinstance(value, slice):
      return f'{kind} {_joined(map(text, (value.start, value.stop, value.step)))}'
    if isinstance(value, functools.partial | functools.partialmethod):
      return f'{kind} {_joined(map(text, (value.func, value.args, value.keywords)))}'
    if dataclasses.is_dataclass(value):
      names = [field.name for field in dataclasses.fields(value)]
      return f'{kind} {_joined(f"{name}={text(getattr(value, name, None))}" for name in names)}'
    if isinstance(value, re.Pattern):
      return f'{kind} {text((value.pattern, value.flags))}'
    if isinstance(value, _BAGS) or self._is_here(type(value)):
      return f'{kind} {text(_state(value))}'
    return self._describe_code(value, text) or f'a {kind}'

  def _describe_code(self, value: Any, text: Callable[[Any], str]) -> str:
    """As `_describe`, of what is called or is a part of it; '' for any other object."""
    inner = [
      getattr(value, key, None) for key in ('__wrapped__', '__func__', 'fget', 'fset', 'func')
    ]
    if not isinstance(owner := getattr(value, '__self__', None), types.ModuleType):
      inner.append(owner)  # of a method
    name = _name(value)
    if isinstance(value, types.FunctionType):
      is_here = value.__globals__.get('__name__') == self.module
      if is_here:
        self._waiting.append(value)
        name += f' of line {value.__code__.co_firstlineno}'  # one `<lambda>` is not another
      if is_here or '<locals>' in value.__qualname__:  # such as an initialiser with its scale
        inner += [value.__defaults__, value.__kwdefaults__]
        inner += [_content(cell) for cell in value.__closure__ or ()]
    elif getattr(value, '__module__', None) == self.module:  # such as the rules of `custom_vjp`
      inner += [item for item in vars(value).values() if isinstance(item, types.FunctionType)]
    texts = [text(item) for item in inner if item is not None]
    return f'{name} {_joined(texts)}' if texts else name

  def _is_here(self, kind: type) -> bool:
    """Whether a class is of the notebook, or is made of one of it, as by `nn.remat`."""
    return any(base.__module__ == self.module for base in kind.__mro__)


def _encoded(text: str) -> bytes:
  return text.encode(errors='surrogatepass')  # such as a file name that is no UTF-8


def _name(value: Any) -> str:
  """The full name of a class or a function; '' for other objects."""
  name = getattr(value, '__qualname__', None) or getattr(value, '__name__', None)
  return f'{getattr(value, "__module__", None)}.{name}' if isinstance(name, str) else ''


def _joined(texts: Iterable[str]) -> str:
  return f'[{", ".join(texts)}]'


def _attributes(kind: type) -> Iterator[tuple[str, Any]]:
  """The attributes of a class, without those that Python and Flax make for every such class."""
  common = _COMMON if issubclass(kind, nn.Module) else ()
  is_enum = issubclass(kind, enum.Enum)
  for name, value in vars(kind).items():
    function = getattr(value, '__wrapped__', value)
    if isinstance(function, types.FunctionType):
      if function.__code__.co_filename != '<string>':  # of a dataclass, which makes its methods
        yield name, value
    elif not (name in common or name.startswith('_' if is_enum else '__')):
      yield name, value
  for field in vars(kind).get('__dataclass_fields__', {}).values():
    if field.name not in common:
      yield f'{field.name}()', (field.default, field.default_factory)


def _named(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
  """The names that a function looks up in its module, and their values."""
  names = _names(function.__code__) & function.__globals__.keys()
  return ((name, function.__globals__[name]) for name in names)


def _names(code: types.CodeType) -> set[str]:
  """The names that a function, and the functions inside of it, look up; not those of attributes."""
  inner = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
  instructions = dis.get_instructions(code)
  return {item.argval for item in instructions if item.opname in _LOOKS_UP}.union(*inner)


def _content(cell: types.CellType) -> Any:
  """The value of a variable that a function takes from the one around it; None if it has none."""
  try:
    return cell.cell_contents
  except ValueError:
    return None


def _state(value: Any) -> dict[str, Any]:
  """The attributes of an object, those in slots too."""
  slots = [vars(base).get('__slots__', ()) for base in type(value).__mro__]
  names = [name for of in slots for name in ([of] if isinstance(of, str) else of)]
  in_slots = {name: getattr(value, name) for name in names if hasattr(value, name)}
  return in_slots | getattr(value, '__dict__', {})


def _text_of_array(value: np.ndarray | jax.Array, text: Callable[[Any], str]) -> str:
  if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
    return f'{value.dtype} {text(jax.random.key_data(value))}'
  array = np.asarray(value)
  if array.dtype.hasobject:  # its bytes are addresses
    return text(array.tolist())
  return f'{array.dtype} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}'
