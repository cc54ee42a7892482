"""The digest of a net of a notebook: it changes with each cell that defines the net."""

import copy
import linecache
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cifar_jax.models import families, own_module

BLOCK = """
def block(x):
  return x + SHIFT

def unused(x):
  return x
"""
NET = """
import flax.linen as nn
from cifar_jax import models

@models.register('cell_net')
class CellNet(nn.Module):
  num_classes: int = 10

  @nn.compact
  def __call__(self, images, *, train):
    return nn.Dense(self.num_classes)(block(images).mean(axis=(1, 2)))
"""
OTHER = 'def unused(x):\n  return 2 * x\n'
Run = Callable[[str], None]


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> tuple[Run, dict[str, Any]]:
  """A function that runs a cell of a new notebook as IPython does, and the notebook's names."""
  monkeypatch.setattr(families, '_registered', dict(families._registered))
  module = types.ModuleType('notebook')
  monkeypatch.setitem(sys.modules, 'notebook', module)
  names: dict[str, Any] = vars(module)
  cells: list[str] = []

  def run(text: str) -> None:
    file = f'<cell {len(cells)}>'
    cells.append(file)
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, 'exec'), names)

  run('SHIFT = 1')
  run(BLOCK)
  run(NET)
  return run, names


def said(names: dict[str, Any]) -> dict[str, str]:
  return own_module.describe(names['CellNet']())


def test_the_digest_is_of_the_cells_of_the_net_and_of_no_other(
  notebook: tuple[Run, dict[str, Any]],
) -> None:
  run, names = notebook
  first = said(names)
  assert list(first) == [own_module.KEY] and len(first[own_module.KEY]) == 64
  run(OTHER)
  run(NET)
  assert said(names) == first
  run(BLOCK.replace('x + SHIFT', 'x - SHIFT'))
  assert said(names) != first
  run(BLOCK)
  assert said(names) == first
  run('SHIFT = 2')
  assert said(names) != first
  run('SHIFT = 1')
  run('UNUSED = 1')
  assert said(names) == first
  run(NET.replace('mean', 'max'))
  assert said(names) != first


@pytest.mark.parametrize(
  ('value', 'other'),
  [
    (1, 2), ((1, 'a'), (1, 'b')), ({'a': [1.0]}, {'a': [2.0]}), ({1, 2}, {1, 3}),
    (np.zeros(2), np.ones(2)), (None, 0),
  ],
)  # fmt: skip
def test_a_constant_of_another_cell_belongs_to_the_net(
  notebook: tuple[Run, dict[str, Any]], value: Any, other: Any
) -> None:
  _, names = notebook
  names['SHIFT'] = value
  first = said(names)
  names['SHIFT'] = copy.deepcopy(value)
  assert said(names) == first
  names['SHIFT'] = other
  assert said(names) != first


def test_a_net_whose_cell_changed_is_a_warning(
  notebook: tuple[Run, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
  run, names = notebook
  run_info = said(names)
  own_module.warn_if_changed(names['CellNet'](), run_info)
  assert not caplog.text
  run(NET.replace('mean', 'max'))
  own_module.warn_if_changed(names['CellNet'](), run_info)
  assert "the cell or script of 'cell_net' has changed since the run was trained" in caplog.text


def test_a_net_without_a_known_text_has_no_digest(notebook: tuple[Run, dict[str, Any]]) -> None:
  _, names = notebook
  linecache.clearcache()
  assert said(names) == {}
  own_module.warn_if_changed(names['CellNet'](), {})
