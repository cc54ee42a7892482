"""`benchmarks.tree_figures` on this checkout."""

from benchmarks import tree_figures
from benchmarks.source_tree import Symbol, Tree
from cifar_jax import models
from tests.support.paths import ROOT


def test_the_figures_cover_every_module_and_every_model_family() -> None:
  figures = tree_figures.measure(ROOT)
  assert figures['modules'] == len([*(ROOT / 'cifar_jax').rglob('*.py')])
  assert len(figures['families']) == len(models.FAMILIES)
  assert all(0 < row['network'] < row['file'] for row in figures['families'])


def test_the_way_to_the_gradient_begins_at_the_command_and_ends_at_the_residual_sum() -> None:
  way = tree_figures.measure(ROOT)['way_to_gradient']
  assert way['files'][0] == 'main.py' and way['files'][-1].endswith('residual.py')
  assert set(way['chains']['gradient'][0].split(':')) == {'training/loop.py', 'Loop'}


def test_references_follow_imports_aliases_and_re_exports() -> None:
  tree = Tree(ROOT)
  main = Symbol('cifar_jax.main', 'main')
  assert Symbol('cifar_jax.config.loading', 'load') in tree.references[main]  # by config/__init__
  assert Symbol('cifar_jax.training.session', 'run') in tree.references[main]  # module.name
