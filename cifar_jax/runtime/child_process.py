"""Processes of Python that this one starts, and where they look for modules."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def same_modules() -> Iterator[None]:
  """Within the block a new process of Python looks for modules where this one does.

  By itself it would look in the current folder first, which may be a stranger's, or hold another
  version of this package.
  """
  places = os.pathsep.join(map(os.path.abspath, sys.path))
  changes = {'PYTHONSAFEPATH': '1', 'PYTHONPATH': places}
  before = {name: os.environ.get(name) for name in changes}
  os.environ.update(changes)
  try:
    yield
  finally:
    for name, value in before.items():
      if value is None:
        del os.environ[name]
      else:
        os.environ[name] = value
