"""Who may import whom: the levels of the design, walked over the source."""

import ast
import pathlib

import pytest

from cifar_jax import models

PACKAGE = pathlib.Path(__file__).parent.parent / 'cifar_jax'
# Modules that import nothing of ours but the errors (and, in `data`, one another).
GROUND = (
  'errors',
  'losses',
  'lookahead',
  'parameter_groups',
  'rates',
  'metrics',
  'sharding',
  'backend',
  'signals',
  'keys',
  'scores',
  'predictions',
)
FAMILIES = [family.__name__.split('.')[-1] for family in models.FAMILIES]


def modules() -> dict[str, pathlib.Path]:
  names = {}
  for path in PACKAGE.rglob('*.py'):
    parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
    names['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
  return names


def imported(module: str) -> set[str]:
  """The modules of ours that a module imports, anywhere in it."""
  known, found = modules(), set()
  for node in ast.walk(ast.parse(known[module].read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module:
      found |= {f'{node.module}.{alias.name}' for alias in node.names} | {node.module}
  return (found & set(known)) - {module, 'cifar_jax'}


@pytest.mark.parametrize('name', GROUND)
def test_ground_modules_import_only_the_errors(name):
  assert imported(f'cifar_jax.{name}') <= {'cifar_jax.errors'}


def test_the_optimizer_imports_only_its_parts_and_the_errors():
  parts = {f'cifar_jax.{name}' for name in ('errors', 'lookahead', 'parameter_groups', 'rates')}
  assert imported('cifar_jax.optimizer') <= parts


def test_augmentation_imports_only_itself_and_the_errors_but_for_its_command():
  for module in modules():
    if module.startswith('cifar_jax.augment') and not module.endswith('__main__'):
      others = {name for name in imported(module) if not name.startswith('cifar_jax.augment')}
      assert others <= {'cifar_jax.errors'}, module
      assert 'cifar_jax.augment.__main__' not in imported(module)


def test_data_imports_only_itself_and_the_errors():
  for module in modules():
    if module.startswith('cifar_jax.data'):
      others = {name for name in imported(module) if not name.startswith('cifar_jax.data')}
      assert others <= {'cifar_jax.errors'}, module


@pytest.mark.parametrize('name', FAMILIES)
def test_a_family_imports_only_families_and_what_they_share(name):
  shared = ('cifar_jax.errors', 'cifar_jax.models')
  assert all(module.startswith(shared) for module in imported(f'cifar_jax.models.{name}'))


def test_evaluation_does_not_import_the_loop_and_nothing_imports_main():
  for name in ('evaluate', 'compare', 'predict', 'ensemble', 'restore', 'verdict'):
    assert 'cifar_jax.train' not in imported(f'cifar_jax.{name}')
  assert not any('cifar_jax.main' in imported(module) for module in modules())


def test_reports_never_import_jax():
  for module, path in modules().items():
    if module.startswith('cifar_jax.report'):
      names = set()
      for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
          names |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
          names.add((node.module or '').split('.')[0])
      assert not names & {'jax', 'flax', 'optax', 'orbax', 'clu'}, module
      # A command treats its user as all do, which takes no JAX either.
      ours = {'cifar_jax.errors'} | ({'cifar_jax.command'} if '__main__' in module else set())
      assert all(name in ours or name.startswith('cifar_jax.report') for name in imported(module))


def test_there_is_no_cycle_and_no_attic():
  graph = {module: imported(module) for module in modules()}
  while graph:
    leaves = {module for module, uses in graph.items() if not uses & set(graph) - {module}}
    assert leaves, f'a cycle among {sorted(graph)}'
    graph = {module: uses for module, uses in graph.items() if module not in leaves}
  assert not {'utils', 'util', 'helpers', 'misc', 'common'} & {
    path.stem for path in modules().values()
  }
