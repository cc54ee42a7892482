"""Packages whose names are imported when they are first used, so that `--help` needs no JAX."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(package: str, exports: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
  """Makes the `__getattr__` of a package (PEP 562).

  Args:
    package: the package's `__name__`.
    exports: the names that each module of the package gives it.
  """
  modules = {name: module for module, names in exports.items() for name in names}

  def __getattr__(name: str) -> Any:  # noqa: N807
    if name not in modules:
      raise AttributeError(f'module {package!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{package}.{modules[name]}'), name)

  return __getattr__
