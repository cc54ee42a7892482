"""Making the nets of `tests/models/family_table.py`, and looking through their variables."""

from collections.abc import Iterator
from typing import Any

import jax
import pytest

from tests.support.family_row import Net

STREAMS = ('dropout', 'drop_path', 'shake')


def make(net: Net, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Any:
  """Makes a net with its constants, which hold until the end of the test."""
  for module, constant, value in net.constants:
    monkeypatch.setattr(module, constant, value)
  return net.create(**more)


def streams(key: jax.Array) -> dict[str, jax.Array]:
  """A key for each random stream."""
  return dict(zip(STREAMS, jax.random.split(key, len(STREAMS)), strict=True))


def keys_of(path: tuple[Any, ...]) -> list[str]:
  """The keys of a variable's path."""
  return [key.key for key in path]


def scopes(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
  """The path and the variables of each module that has variables itself."""
  if any(not isinstance(value, dict) for value in tree.values()):
    yield path, tree
  for name, value in tree.items():
    if isinstance(value, dict):
      yield from scopes(value, (*path, name))
