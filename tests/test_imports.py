"""The levels of the tree: a room imports itself and rooms of lower levels, and nothing else."""

import ast
import functools
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.support.paths import ROOT

# From the ground up. A name is a room (a folder with everything in it) or a single module.
# `__main__` files are doors from outside and exempt.
LEVELS: tuple[tuple[str, ...], ...] = (
  ('cifar_jax.errors', 'cifar_jax.lazy_exports', 'cifar_jax.own_code', 'cifar_jax.pickle_budget'),
  (
    *('cifar_jax.input_files', 'cifar_jax.json_text', 'cifar_jax.own_files'),
    *('cifar_jax.paths', 'cifar_jax.pickle_machine', 'cifar_jax.printable'),
    'cifar_jax.python_errors',
  ),
  ('cifar_jax.output_files',),
  ('cifar_jax.config', 'cifar_jax.models.layers', 'cifar_jax.picture', 'cifar_jax.runtime'),
  ('cifar_jax.cli', 'cifar_jax.augment', 'cifar_jax.data', 'cifar_jax.optim', 'cifar_jax.runs'),
  ('cifar_jax.models', 'cifar_jax.report.figures'),
  ('cifar_jax.convert', 'cifar_jax.models.cost', 'cifar_jax.report'),
  ('cifar_jax.experiment',),
  ('cifar_jax.evaluation',),
  ('cifar_jax.analysis', 'cifar_jax.study', 'cifar_jax.training'),
  (
    *('cifar_jax.compare', 'cifar_jax.evaluate', 'cifar_jax.export', 'cifar_jax.main'),
    *('cifar_jax.predict', 'cifar_jax.range_test', 'cifar_jax.run'),
  ),
  ('cifar_jax.__main__',),
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# Commands, which nothing imports.
DOORS = ('compare', 'evaluate', 'export', 'main', 'predict', 'range_test')
# What a recipe may import; it runs before JAX is imported.
FOR_RECIPES = {'cifar_jax.config', 'cifar_jax.errors'}


@functools.cache
def modules() -> dict[str, pathlib.Path]:
  """The dotted name and the file of each module of the package."""
  files = {}
  for path in (ROOT / 'cifar_jax').rglob('*.py'):
    parts = path.relative_to(ROOT).with_suffix('').parts
    files['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
  return files


def room_of(module: str) -> str | None:
  """The innermost room that a module belongs to; None for the package itself."""
  rooms = [room for room in LEVEL_OF if f'{module}.'.startswith(f'{room}.')]
  return max(rooms, key=len, default=None)


def imported(path: pathlib.Path) -> set[str]:
  """The modules of the package that a file imports, anywhere in it."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      for alias in node.names:
        full = f'{node.module}.{alias.name}'
        found.add(full if full in modules() else node.module)
  return found & set(modules())


def packages(path: pathlib.Path) -> set[str]:
  """The top-level packages that a file imports, anywhere in it."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name.split('.')[0] for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      found.add((node.module or '').split('.')[0])
  return found


def test_every_module_has_a_level() -> None:
  homeless = [module for module in modules() if room_of(module) is None]
  assert homeless == ['cifar_jax']


@pytest.mark.parametrize('module', sorted(set(modules()) - {'cifar_jax'}))
def test_a_module_imports_only_its_own_room_and_lower_levels(module: str) -> None:
  if module.endswith('.__main__'):
    return
  room = room_of(module)
  assert room is not None
  for other in imported(modules()[module]):
    other_room = room_of(other)
    assert other_room is not None, f'{module} imports {other}'
    assert other_room == room or LEVEL_OF[other_room] < LEVEL_OF[room], f'{module} imports {other}'


def test_no_import_goes_round_in_a_circle() -> None:
  graph = {module: imported(path) - {module} for module, path in modules().items()}
  del graph['cifar_jax']
  while graph:
    # A package and the modules in it may import each other's parts: its `__init__` is their door.
    ground = {
      module
      for module, others in graph.items()
      if not {other for other in others & set(graph) if not module.startswith(f'{other}.')}
    }
    assert ground, f'a circle among {sorted(graph)}'
    graph = {module: others for module, others in graph.items() if module not in ground}


def test_nothing_imports_a_command_or_a_door() -> None:
  doors = {f'cifar_jax.{name}' for name in DOORS}
  for module, path in modules().items():
    others = imported(path)
    assert not others & doors, module
    assert not any(other.endswith('.__main__') for other in others), module


@pytest.mark.parametrize('room', ['config', 'report', 'errors', 'output_files', 'paths', 'cli'])
def test_a_room_without_jax_does_not_import_it(room: Any) -> None:
  for module, path in modules().items():
    if f'{module}.'.startswith(f'cifar_jax.{room}.'):
      assert not packages(path) & {'jax', 'flax', 'optax', 'orbax', 'clu'}, module


def test_reading_a_configuration_and_writing_a_report_leave_jax_alone() -> None:
  code = (
    'import sys\n'
    'import cifar_jax.cli, cifar_jax.config, cifar_jax.report.page, cifar_jax.study.definition\n'
    'assert "jax" not in sys.modules, "jax was imported"'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
  'path', sorted((ROOT / 'configs').rglob('*.py')), ids=lambda path: path.stem
)
def test_a_recipe_imports_the_configuration_and_no_more(path: pathlib.Path) -> None:
  names = {
    node.module
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('cifar_jax')
  }
  assert names <= FOR_RECIPES, path.name
  assert not packages(path) & {'jax', 'flax', 'optax'}, path.name


def test_benchmarks_import_no_command_but_the_one_they_measure() -> None:
  doors = {f'cifar_jax.{name}' for name in DOORS} - {'cifar_jax.main'}
  for path in (ROOT / 'benchmarks').rglob('*.py'):
    assert not imported(path) & doors, path.name


def test_no_test_imports_another_test() -> None:
  for path in (ROOT / 'tests').rglob('*.py'):
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.ImportFrom) and node.module:
        names = [f'{node.module}.{alias.name}' for alias in node.names]
        assert not any(re.match(r'tests\..*\btest_', name) for name in names), path.name


def test_no_file_gathers_odds_and_ends() -> None:
  names = {path.stem for path in modules().values()} | {
    path.stem for path in (ROOT / 'tests').rglob('*.py')
  }
  assert not names & {'utils', 'util', 'helpers', 'misc', 'common'}
