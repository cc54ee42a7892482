"""The parsed source of a checkout's package, and the references between its definitions.

The files are parsed and not imported, and only the standard library is needed, so that the source
of an older checkout can be read too.
"""

import ast
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

PACKAGE = 'cifar_jax'


class Symbol(NamedTuple):
  """A name in a module; the module itself if the name is empty."""

  module: str
  name: str


class Tree:
  """The parsed package of a checkout.

  Attributes:
    root: folder of the checkout.
    paths: path of each module, by its dotted name.
    modules: syntax tree of each module.
    definitions: statement of each function, class or constant at the top level of a module.
    imports: what the imported names of each module stand for.
    references: the definitions that each definition refers to.
  """

  def __init__(self, root: pathlib.Path) -> None:
    """Parses all files of the package below `root`."""
    self.root = root
    self.paths: dict[str, pathlib.Path] = {}
    self.modules: dict[str, ast.Module] = {}
    self.definitions: dict[Symbol, ast.stmt] = {}
    for path in sorted((root / PACKAGE).rglob('*.py')):
      names = path.relative_to(root).with_suffix('').parts
      module = '.'.join(names[:-1] if names[-1] == '__init__' else names)
      self.paths[module] = path
      self.modules[module] = ast.parse(path.read_text())
      for statement in self.modules[module].body:
        self.definitions |= {Symbol(module, name): statement for name in defined_names(statement)}
    self.imports = {module: self._imports(module) for module in self.modules}
    self.references = {symbol: self._references(symbol) for symbol in self.definitions}

  def file(self, module: str) -> str:
    """Returns the path of a module below the package."""
    return str(self.paths[module].relative_to(self.root / PACKAGE))

  def _imports(self, module: str) -> dict[str, Symbol]:
    """Returns what each name stands for that is imported anywhere in a module."""
    result = {}
    for node in ast.walk(self.modules[module]):
      if isinstance(node, ast.ImportFrom) and node.module in self.modules:
        for alias in node.names:
          full = f'{node.module}.{alias.name}'
          imported = Symbol(full, '') if full in self.modules else Symbol(node.module, alias.name)
          result[alias.asname or alias.name] = imported
      elif isinstance(node, ast.Import):
        for alias in node.names:
          if alias.name in self.modules:
            bound, full = (alias.asname, alias.name) if alias.asname else (PACKAGE, PACKAGE)
            result[bound] = Symbol(full, '')
    return result

  def _resolve(self, symbol: Symbol) -> Symbol | None:
    """Follows imports to the definition of a symbol, or to a module; None for all other names."""
    while symbol.name and symbol not in self.definitions:
      if symbol.name not in self.imports[symbol.module]:
        submodule = f'{symbol.module}.{symbol.name}'
        return Symbol(submodule, '') if submodule in self.modules else None
      symbol = self.imports[symbol.module][symbol.name]
    return symbol

  def _references(self, symbol: Symbol) -> set[Symbol]:
    """Returns the definitions that a definition refers to."""
    result = set()
    for node in ast.walk(self.definitions[symbol]):
      resolved = self._resolve_expression(symbol.module, node)
      if resolved and resolved.name:
        result.add(resolved)
    return result - {symbol}

  def _resolve_expression(self, module: str, node: ast.AST) -> Symbol | None:
    """Resolves `name` or `module.name`; None for all other expressions."""
    if isinstance(node, ast.Name):
      return self._resolve(Symbol(module, node.id))
    if isinstance(node, ast.Attribute):
      value = self._resolve_expression(module, node.value)
      if value and not value.name:
        return self._resolve(Symbol(value.module, node.attr))
    return None

  def find(self, name: str, file: str = '') -> Symbol:
    """Returns the definition of a name, in the file whose path ends with `file`."""
    return next(
      symbol
      for symbol in self.definitions
      if symbol.name == name and self.file(symbol.module).endswith(file)
    )

  def find_reference(self, symbol: Symbol, name: str) -> Symbol:
    """Returns the definition of a name that a definition refers to."""
    return next(target for target in self.references[symbol] if target.name == name)

  def find_caller(self, attribute: str) -> Symbol:
    """Returns the definition whose code has an attribute such as `jax.value_and_grad`."""
    return next(
      symbol
      for symbol, statement in self.definitions.items()
      if any(isinstance(n, ast.Attribute) and n.attr == attribute for n in ast.walk(statement))
    )

  def shortest_chain(self, start: Symbol, end: Symbol) -> list[Symbol]:
    """Returns a shortest chain of references, both ends included."""
    chains = {start: [start]}
    queue = [start]
    for symbol in queue:
      for target in sorted(self.references[symbol]):
        if target not in chains:
          chains[target] = [*chains[symbol], target]
          queue.append(target)
    return chains[end]


def defined_names(statement: ast.stmt) -> Iterator[str]:
  """Yields the names that a statement of a module defines as functions, classes or constants."""
  if isinstance(statement, ast.FunctionDef | ast.ClassDef):
    yield statement.name
  elif isinstance(statement, ast.Assign | ast.AnnAssign):
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    yield from (
      node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)
    )
