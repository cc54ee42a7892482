"""Packages whose names are imported when they are first used, so that `--help` needs no JAX."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(
  package: str, exports: Mapping[str, tuple[str, ...]], modules: tuple[str, ...] = ()
) -> Callable[[str], Any]:
  """Makes the `__getattr__` of a package (PEP 562).

  Args:
    package: the package's `__name__`.
    exports: the names that each module of the package gives it.
    modules: modules that are names of the package themselves.
  """
  origins = {name: module for module, names in exports.items() for name in names}

  def __getattr__(name: str) -> Any:  # noqa: N807
    if name in modules:
      return importlib.import_module(f'{package}.{name}')
    if name not in origins:
      raise AttributeError(f'module {package!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{package}.{origins[name]}'), name)

  return __getattr__
