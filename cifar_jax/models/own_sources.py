"""The digest of a user's own module: of its file, and of the user's files that it imports.

The imports are read in the text of the files. Nothing is executed, because a file may be a
stranger's; so a name that is computed, as for `importlib.import_module`, is not followed.
"""

import ast
import dataclasses
import hashlib
import importlib.machinery
import os
import pathlib
import sys
import warnings
from collections.abc import Iterable, Iterator

from cifar_jax import input_files

# A folder of a stranger may hold any number of files, of any size.
MAX_FILES = 1_000
MAX_BYTES = 16 << 20  # of the imported files together; the file that exceeds it is the last one
MAX_PARSED_BYTES = 1 << 20  # of one file: its syntax tree takes a hundred times its size
_INIT = '__init__.py'
Place = tuple[str, ...]  # the parts of a file's path below the folder of the module


@dataclasses.dataclass(frozen=True)
class _Root:
  """The folder in which the modules of a user are looked for.

  Attributes:
    path: of the folder.
    is_first: whether Python looks there first, as for a file that `config.python_file` runs.
    only: the one package that is the user's; '' if all are. In a folder of installed packages none
      but the module's own is.
  """

  path: pathlib.Path
  is_first: bool
  only: str


def digest(file: pathlib.Path, module: str = '') -> str:
  """The SHA-256 of a module, hexadecimal; '' if its file cannot be read.

  It is that of the file alone where the module imports nothing of the user's. Otherwise the files
  that it imports, directly or not, belong to it, with their places in the folder of the module:
  the one that a file is in, or, of a module in a package, the one that the outermost package is in.
  The standard library, installed packages and `cifar_jax` do not belong to it. Nor does an imported
  file without a statement, as many an `__init__.py` is.

  Args:
    file: the file of the module.
    module: its dotted name, if it is a module in a package; any other text counts as none.
  """
  try:
    content = input_files.read_bytes(file)
  except (OSError, ValueError):
    return ''
  sha256 = hashlib.sha256(content).hexdigest()
  root, place = _locate(file, module)
  imported = _imported(root, place, content)
  if not imported:
    return sha256
  lines = [sha256, *(f'{of_file} {name}' for name, of_file in sorted(imported.items()))]
  return hashlib.sha256('\n'.join(lines).encode(errors='surrogateescape')).hexdigest()


def _imported(root: _Root, place: Place, content: bytes) -> dict[str, str]:
  """The SHA-256 of each file that a module imports, by its path below the folder.

  Args:
    root: where they are looked for.
    place: the file of the module.
    content: of this file.
  """
  # The packages that a module is in are run before it.
  waiting = list(_files(root, [place[:length] for length in range(1, len(place))]))
  waiting += _files(root, _names(_parse(content), place[:-1]))
  digests: dict[str, str] = {}
  seen, num_bytes = {place}, 0
  while waiting and len(seen) <= MAX_FILES and num_bytes <= MAX_BYTES:
    place = waiting.pop(0)
    if place in seen:
      continue
    seen.add(place)
    try:
      content = input_files.read_bytes(root.path.joinpath(*place))
    except (OSError, ValueError):
      content = b''
    num_bytes += len(content)
    tree = _parse(content)
    if tree is None or any(not _is_text(statement) for statement in tree.body):
      digests['/'.join(place)] = hashlib.sha256(content).hexdigest()
    waiting += _files(root, _names(tree, place[:-1]))
  return digests


def _locate(file: pathlib.Path, module: str) -> tuple[_Root, Place]:
  """The folder in which a module finds what it imports, and its own place in there."""
  if '.' in module and not module.endswith('.py'):
    *packages, last = module.split('.')
    place = (*packages, last, _INIT) if file.name == _INIT else (*packages, file.name)
    if file.parts[-len(place) :] == place:  # not so where a package extends its own path
      return _root(file.parents[len(place) - 1], is_first=False, own=place[0]), place
  file = file.resolve()  # as `python_file.run` does
  place = file.parts[-2 if file.name == _INIT else -1 :]  # a package imports by its own name
  return _root(file.parents[len(place) - 1], is_first=True, own=place[0]), place


def _root(path: pathlib.Path, *, is_first: bool, own: str) -> _Root:
  is_of_packages = not {'site-packages', 'dist-packages'}.isdisjoint(path.parts)
  return _Root(path, is_first, own if is_of_packages else '')


def _parse(content: bytes) -> ast.Module | None:
  """The syntax tree of a file; None if it has none, or is too large."""
  if len(content) > MAX_PARSED_BYTES:
    return None
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # Python says it again when the file is run
      return ast.parse(content)
  except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply
    return None


def _is_text(statement: ast.stmt) -> bool:
  """Whether a statement is a docstring, which does nothing."""
  return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _names(tree: ast.Module | None, package: Place) -> Iterator[Place]:
  """The names that a file imports, absolute and in parts, also in its functions.

  The last part of a name may be no module but what `from` takes out of one.

  Args:
    tree: of the file; None has no names.
    package: the package that the file is in, from which relative names count.
  """
  for node in ast.walk(tree) if tree else ():
    if isinstance(node, ast.Import):
      yield from (tuple(alias.name.split('.')) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level <= len(package) + 1:
      base = package[: len(package) + 1 - node.level] if node.level else ()
      base += tuple(node.module.split('.')) if node.module else ()
      yield from ((*base, alias.name) for alias in node.names)


def _files(root: _Root, names: Iterable[Place]) -> Iterator[Place]:
  """The files that Python runs for imported names, those of the packages on the way too."""
  for name in dict.fromkeys(names):
    if name[0] == 'cifar_jax' or root.only not in ('', name[0]):
      continue
    for length in range(1, len(name) + 1):
      folder = name[:length]
      forms = ((*folder, _INIT), (*folder[:-1], f'{folder[-1]}.py'))
      file = next((form for form in forms if os.path.isfile(root.path.joinpath(*form))), None)
      found = root.path.joinpath(*(file or folder))
      if not file and not os.path.isdir(found):
        break
      if length == 1 and _is_elsewhere(root, name[0], found):
        break
      if file:
        yield file
      if file == forms[1]:
        break


def _is_elsewhere(root: _Root, name: str, found: pathlib.Path) -> bool:
  """Whether Python takes a module from another place, though there is one of its name here.

  Args:
    root: the folder that has one of this name.
    name: of a module or a package that is in no other.
    found: its file here, or a folder without `__init__.py`, which comes after all files elsewhere.
  """
  if module := sys.modules.get(name):
    file = getattr(module, '__file__', None)
    places = [file] if file else getattr(module, '__path__', ())
    return not any(_are_same(place, found) for place in places)
  if root.is_first and found.name.endswith('.py'):
    return False
  spec = importlib.machinery.PathFinder.find_spec(name)
  return bool(spec and spec.origin and not _are_same(spec.origin, found))


def _are_same(path: str, other: pathlib.Path) -> bool:
  """Whether two paths are the same, as they are written or where their links lead."""
  return any(form(path) == form(other) for form in (os.path.abspath, os.path.realpath))
