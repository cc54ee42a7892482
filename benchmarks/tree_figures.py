"""Prints figures of a checkout's tree: rooms, the way to the gradient, long functions and files.

  python -m benchmarks.tree_figures [ROOT] [--json]

ROOT is a checkout of this repository, by default the one of this file; an older one works too. The
files are parsed and not imported, and only the standard library is needed.

One rule finds the files to open from the command to the gradient, in every tree. A definition (a
function, class or constant of a module) refers to another one if its code has a name that the
module's definitions or imports resolve to it. A shortest chain of references leads from

  `main` of `main.py` to `load`, which reads the configuration,
  `main` to `run`, the whole run,
  `run` to `build`, which makes the experiment,
  `run` to `Loop`, the training loop,
  `Loop` to the function that calls `value_and_grad`, and
  the class `ResNet` to `residual_sum`, which adds branches to their shortcut.

The files that hold a definition on one of these chains are counted, each once. The ends are fixed,
as the shortest chain from `main` to the gradient may pass by the training loop.
"""

import argparse
import ast
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from benchmarks.source_tree import PACKAGE, Symbol, Tree

NUM_LONGEST = 5


def way_to_gradient(tree: Tree) -> dict[str, Any]:
  """Returns the files to open from the command to the gradient, and the chains that lead there."""
  main = tree.find('main', 'main.py')
  run, loop = tree.find_reference(main, 'run'), tree.find('Loop')
  chains = {
    'configuration': tree.shortest_chain(main, tree.find_reference(main, 'load')),
    'session': tree.shortest_chain(main, run),
    'experiment': tree.shortest_chain(run, tree.find('build')),
    'loop': tree.shortest_chain(run, loop),
    'gradient': tree.shortest_chain(loop, tree.find_caller('value_and_grad')),
    'network': tree.shortest_chain(tree.find('ResNet'), tree.find('residual_sum')),
  }
  modules = dict.fromkeys(symbol.module for chain in chains.values() for symbol in chain)
  return {
    'files': [tree.file(module) for module in modules],
    'lines': sum(count_lines(tree.paths[module]) for module in modules),
    'chains': {
      name: [f'{tree.file(symbol.module)}:{symbol.name}' for symbol in chain]
      for name, chain in chains.items()
    },
  }


def num_lines(node: ast.stmt) -> int:
  """Returns the number of lines of a function or class, decorators included."""
  return (node.end_lineno or node.lineno) - first_line(node) + 1


def first_line(node: ast.stmt) -> int:
  """Returns the line of a function or class at which its first decorator begins."""
  decorators = getattr(node, 'decorator_list', [])
  return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def functions(node: ast.AST, prefix: str = '') -> Iterator[tuple[str, ast.stmt]]:
  """Yields the functions and methods below a node; a function counts those inside it as lines."""
  for child in ast.iter_child_nodes(node):
    if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
      yield prefix + child.name, child
    elif isinstance(child, ast.ClassDef):
      yield from functions(child, f'{prefix}{child.name}.')
    else:
      yield from functions(child, prefix)


def longest_functions(tree: Tree) -> list[dict[str, Any]]:
  """Returns the longest functions and methods."""
  rows: list[dict[str, Any]] = [
    {'lines': num_lines(function), 'file': tree.file(module), 'function': name}
    for module, syntax in tree.modules.items()
    for name, function in functions(syntax)
  ]
  return sorted(rows, key=lambda row: -row['lines'])[:NUM_LONGEST]


def longest_files(tree: Tree) -> list[dict[str, Any]]:
  """Returns the longest files."""
  rows: list[dict[str, Any]] = [
    {'lines': count_lines(path), 'file': tree.file(module)} for module, path in tree.paths.items()
  ]
  return sorted(rows, key=lambda row: -row['lines'])[:NUM_LONGEST]


def count_lines(path: pathlib.Path) -> int:
  """Returns the number of lines of a file."""
  return len(path.read_text().splitlines())


def families(tree: Tree) -> list[dict[str, Any]]:
  """Returns the lines of each model family's file, and those of its network.

  A file of `models/` is a family's if it defines `PATTERN`, the pattern of its names. The network
  is everything from the first class to the end of the last one.
  """
  rows = []
  for module, path in tree.paths.items():
    classes = [node for node in tree.modules[module].body if isinstance(node, ast.ClassDef)]
    if path.parent.name == 'models' and Symbol(module, 'PATTERN') in tree.definitions and classes:
      last_line = max(node.end_lineno or 0 for node in classes)
      network = last_line - min(map(first_line, classes)) + 1
      lines = count_lines(path)
      share = round(network / lines, 3)
      rows.append({'family': path.stem, 'network': network, 'file': lines, 'share': share})
  return rows


def measure(root: pathlib.Path) -> dict[str, Any]:
  """Returns all figures of a checkout, ready for JSON."""
  tree = Tree(root)
  package = root / PACKAGE
  return {
    'modules': len(tree.modules),
    'top_level_modules': len([*package.glob('*.py')]),
    'rooms': len({path.parent for path in tree.paths.values()} - {package}),
    'way_to_gradient': way_to_gradient(tree),
    'longest_functions': longest_functions(tree),
    'longest_files': longest_files(tree),
    'families': families(tree),
  }


def print_table(figures: dict[str, Any]) -> None:
  """Prints the figures as text."""
  print(f'{figures["modules"]:5}  modules (files of the package)')
  print(f'{figures["top_level_modules"]:5}  modules at the top level, __init__.py included')
  print(f'{figures["rooms"]:5}  rooms (folders with modules below the package)')
  way = figures['way_to_gradient']
  print(f'{len(way["files"]):5}  files to open from the command to the gradient')
  print(f'{way["lines"]:5}  lines of these files')
  print(f'         {", ".join(way["files"])}')
  for name, chain in way['chains'].items():
    print(f'         {name}: {" -> ".join(chain)}')
  print('\nLongest functions, in lines')
  for row in figures['longest_functions']:
    print(f'{row["lines"]:5}  {row["file"]}: {row["function"]}')
  print('\nLongest files, in lines')
  for row in figures['longest_files']:
    print(f'{row["lines"]:5}  {row["file"]}')
  print('\nNetwork, file (lines) and share of each model family')
  for row in figures['families']:
    print(f'{row["network"]:5} {row["file"]:5} {row["share"]:6.0%}  {row["family"]}')


def main() -> None:
  """Reads the command line, and prints the figures of a checkout."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    'root', type=pathlib.Path, nargs='?', default=pathlib.Path(__file__).parents[1], metavar='ROOT'
  )
  parser.add_argument('--json', action='store_true', help='print JSON')
  arguments = parser.parse_args()
  if not (arguments.root / PACKAGE / 'main.py').is_file():
    parser.error(f'{arguments.root} is not a checkout: it has no {PACKAGE}/main.py')
  figures = measure(arguments.root)
  if arguments.json:
    print(json.dumps(figures, indent=2))
  else:
    print_table(figures)


if __name__ == '__main__':
  main()
