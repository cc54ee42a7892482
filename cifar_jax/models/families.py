"""Families of models, the package's and a user's own, registered under the form of their names.

Importing a module registers its families. Those of the package are the modules `FAMILY_NAMES`; any
other module is a user's own, and a run records it (`own_module.py`).
"""

import dataclasses
import inspect
import pathlib
import re
import sys
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from cifar_jax import input_files
from cifar_jax.errors import InputError
from cifar_jax.models.published_errors import Published

T = TypeVar('T', bound=Callable[..., Any])

_PACKAGE = 'cifar_jax.models.'
_registered: dict[str, 'Family'] = {}  # by pattern


@dataclasses.dataclass(frozen=True)
class Family:
  """A family of models.

  Attributes:
    pattern: regular expression of a whole name; its groups are arguments of `make`.
    grammar: form of the names, for a message.
    names: the registered names, which commands list.
    published: published errors by name.
    make: maps the groups of a matched name, and fields, to a model of `model_class`.
    model_class: class of the models.
    module: where a later process finds a user's own family: the dotted name of a module in a
      package, or the absolute path of a file; '' for one of a notebook or a script, and for the
      families of this package.
    file: the module's file; None without a module.
    sha256: of that file when it was run, hexadecimal; '' without a module.
  """

  pattern: str
  grammar: str
  names: tuple[str, ...]
  published: Mapping[str, Published]
  make: Callable[..., Any]
  model_class: type
  module: str
  file: pathlib.Path | None = None
  sha256: str = ''


def register(
  pattern: str,
  *,
  grammar: str = '',
  names: Collection[str] = (),
  published: Mapping[str, Published] | None = None,
) -> Callable[[T], T]:
  """Registers a family of models: a decorator of a class, or of a function that makes models.

  The class is a Linen module with the field `num_classes` whose `__call__(images, *, train)`
  satisfies `classifier.Classifier`. A field `dtype` gets the dtype of the activations; without it
  the models compute in float32. Of two own families with a name in common, the later one has it.

  Args:
    pattern: a plain name, such as `tiny_net`, or a regular expression of all names of the family.
      A function gets its named groups as texts, or None for one that is not there.
    grammar: form of the names, for messages; by default the pattern.
    names: examples, which a message can suggest; by default the pattern, if it is a plain name.
    published: published errors by name.

  Raises:
    InputError: the class is no such module, or the function does not say which class it returns.
  """

  def add(target: T) -> T:
    is_plain = re.fullmatch(r'\w+', pattern) is not None
    module, file = _module_of(target), _file_of(target)
    _registered.pop(pattern, None)  # a dictionary would keep its place
    _registered[pattern] = Family(
      pattern=pattern,
      grammar=grammar or pattern,
      names=tuple(names) or (pattern,) * is_plain,
      published=published or {},
      make=target,
      model_class=_check(pattern, target),
      module=module,
      file=file if module else None,
      sha256=input_files.sha256(file) if module and file else '',
    )
    return target

  return add


def of_module(name: str) -> Family:
  """The family of a module of the package, which has been imported."""
  make = sys.modules[f'{_PACKAGE}{name}'].from_name
  return next(family for family in _registered.values() if family.make is make)


def own() -> list[Family]:
  """The families that are not of the package, the latest first: an edited cell replaces another."""
  families = reversed(_registered.values())
  return [family for family in families if not family.make.__module__.startswith(_PACKAGE)]


def _check(pattern: str, target: Callable[..., Any]) -> type:
  """Returns the class of a family's models; raises InputError for one that is no classifier."""
  subject = f'the family {pattern!r}'
  model_class = target if isinstance(target, type) else typing.get_type_hints(target).get('return')
  if not isinstance(model_class, type):
    raise InputError(
      f'{subject}: {target.__name__} must say which class it returns: def {target.__name__}(...) '
      '-> MyNet'
    )
  if 'num_classes' not in inspect.signature(model_class).parameters:
    raise InputError(f'{subject}: {model_class.__name__} needs the field num_classes: int = 10')
  call = inspect.signature(model_class.__call__).parameters
  if 'train' not in call:
    raise InputError(
      f'{subject}: {model_class.__name__} must define __call__(self, images, *, train)'
    )
  return model_class


def _module_of(target: Callable[..., Any]) -> str:
  if target.__module__.startswith(_PACKAGE):
    return ''
  file = _file_of(target)
  if file is None or target.__module__ == '__main__':  # a script would run again if it were loaded
    return ''
  is_member = '.' in target.__module__ and not target.__module__.startswith('<')
  return target.__module__ if is_member else str(file)


def _file_of(target: Callable[..., Any]) -> pathlib.Path | None:
  file = getattr(sys.modules.get(target.__module__), '__file__', None)
  return None if file is None else pathlib.Path(file).absolute()
