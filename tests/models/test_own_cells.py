"""The digest of a net of a notebook: it changes with each cell that defines the net."""

import argparse
import collections
import copy
import dataclasses
import enum
import functools
import linecache
import math
import re
import sys
import types
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from cifar_jax.models import families, own_module
from tests.models.own_code import DEFINED, IMPORTS

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
Pair = collections.namedtuple('Pair', 'first second')


@dataclasses.dataclass
class Settings:
  slope: Any


class Kind(enum.Enum):
  RELU = 1
  TANH = 2


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
    (np.zeros(2), np.ones(2)), (None, 0), (jax.random.key(0), jax.random.key(1)),
    (np.array([1, 'a'], object), np.array([1, 'b'], object)), ([10**5_000], 'of another type'),
    (nn.relu, nn.tanh), (nn.tanh, nn.sigmoid), (jnp.maximum, jnp.minimum), (math.sin, math.cos),
    (nn.LayerNorm, nn.BatchNorm), (nn, jnp), (jax.vmap(jnp.exp), jax.vmap(jnp.exp, in_axes=1)),
    *((functools.partial(nn.BatchNorm, epsilon=1e-5), functools.partial(function, epsilon=epsilon))
      for function, epsilon in ((nn.BatchNorm, 1e-3), (nn.LayerNorm, 1e-5))),
    (functools.partial(nn.relu, 1), functools.partial(nn.relu, 2)),
    (nn.initializers.he_normal(), nn.initializers.xavier_normal()),
    (nn.initializers.constant(1.0), nn.initializers.constant(2.0)),
    (optax.adam(0.1), optax.adam(0.2)),
    (jnp.float32, jnp.bfloat16), (np.dtype('float32'), np.dtype('float16')),
    (types.SimpleNamespace(a=[0.1]), types.SimpleNamespace(a=[0.9])), (Pair(1, 2), Pair(1, 3)),
    (Settings(0.1), Settings(0.9)), (Settings({'a': nn.relu}), Settings({'a': nn.gelu})),
    (Kind.RELU, Kind.TANH), (nn.Dense(3), nn.Dense(4)), (slice(1), slice(2)), (range(1), range(2)),
    (ml_collections.ConfigDict({'a': 1}), ml_collections.ConfigDict({'a': 2})),
    (re.compile('a'), re.compile('b')),
    (argparse.Namespace(scale=1), argparse.Namespace(scale=2)),
    (collections.defaultdict(int), collections.defaultdict(float)), ('a'.upper, 'b'.upper),
  ],
)  # fmt: skip
def test_a_constant_of_another_cell_belongs_to_the_net(
  notebook: tuple[Run, dict[str, Any]], value: Any, other: Any
) -> None:
  _, names = notebook
  names['SHIFT'] = value
  first = said(names)
  if isinstance(value, tuple | dict | set | np.ndarray):  # a copy of a function can be none
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


@pytest.mark.parametrize('text', DEFINED)
def test_a_value_that_a_cell_makes_belongs_to_the_net(
  notebook: tuple[Run, dict[str, Any]], text: str
) -> None:
  run, names = notebook
  run(f'{IMPORTS}A, B = 1, 2\nSLOPE = A')
  text = text.format('SLOPE')
  run(text)  # only the constant changes, never this text
  first = said(names)
  run(text)
  assert said(names) == first
  run('SLOPE = B')
  run(text)
  assert said(names) != first


def test_which_of_two_functions_of_a_cell_it_is_belongs_to_the_net(
  notebook: tuple[Run, dict[str, Any]],
) -> None:
  run, names = notebook
  run('def a(x):\n  return x\ndef b(x):\n  return -x\nc = lambda x: x\nd = lambda x: -x')
  digests = set()
  for name in 'abcd':
    run(f'SHIFT = {name}')
    digests.add(said(names)[own_module.KEY])
  assert len(digests) == 4


def test_an_attribute_with_the_name_of_a_constant_is_another_thing(
  notebook: tuple[Run, dict[str, Any]],
) -> None:
  run, names = notebook
  run('mean = 1')
  first = said(names)
  run('mean = 2')
  assert said(names) == first


def test_values_in_themselves_and_in_many_others_have_an_end(
  notebook: tuple[Run, dict[str, Any]],
) -> None:
  _, names = notebook
  value: list[Any] = [0]
  for _ in range(1_000):
    value = [value] * 10
  value[0].append(value)
  names['SHIFT'] = value
  assert len(said(names)[own_module.KEY]) == 64
