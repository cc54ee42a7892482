"""Runs a user's Python file: a configuration, a study, or a module with models."""

import contextlib
import pathlib
import runpy
import sys
import types
from collections.abc import Iterator
from typing import Any

from cifar_jax import input_files, own_code
from cifar_jax.errors import InputError

# By each file that was run: the SHA-256 of the file and of those beside it that it imported.
_contents: dict[pathlib.Path, dict[pathlib.Path, str]] = {}


@contextlib.contextmanager
def run(path: pathlib.Path) -> Iterator[dict[str, Any]]:
  """Runs a file and yields its global names; functions of the file can be called in the block.

  As with a script, the file can import the modules and packages beside it, as they are now, also by
  a name that a file in another folder has. Of a symbolic link, beside it is the folder of the
  file it leads to: who makes a link to a file that is trusted cannot put modules beside it.

  Raises:
    InputError: the file, or the block, raises an exception; the message begins with the path.
  """
  file_path = path.resolve()
  contents = _contents[file_path] = {file_path: input_files.sha256(file_path)}
  folder, aside = str(file_path.parent), _modules_elsewhere(file_path.parent)
  for name in aside:
    del sys.modules[name]
  known = set(sys.modules)
  sys.path.insert(0, folder)
  try:
    yield runpy.run_path(str(file_path))
  except InputError as error:
    raise InputError(f'{path}: {error}') from error
  except (Exception, SystemExit) as error:  # the file is code, which can raise anything
    message = ' '.join(str(error).split())
    raise InputError(f'{path}: {type(error).__name__}: {message}') from error
  finally:
    sys.path.remove(folder)
    for name in sys.modules.keys() - known:
      file = getattr(sys.modules[name], '__file__', None)
      if file and pathlib.Path(file).is_relative_to(folder) and own_code.is_of_user(file):
        contents[pathlib.Path(file)] = input_files.sha256(file)
        del sys.modules[name]
    sys.modules.update(aside)


def _modules_elsewhere(folder: pathlib.Path) -> dict[str, types.ModuleType]:
  """The user's modules in use whose names files in a folder have too, such as a notebook's own."""
  tops = {name.partition('.')[0] for name in sys.modules} - {'__main__'}
  beside = {top for top in tops if (folder / f'{top}.py').is_file() or (folder / top).is_dir()}

  def is_elsewhere(name: str, file: str) -> bool:
    is_of_a_name_beside = name.partition('.')[0] in beside
    return is_of_a_name_beside and not pathlib.Path(file).is_relative_to(folder)

  files = {name: getattr(module, '__file__', None) for name, module in sys.modules.items()}
  return {
    name: sys.modules[name]
    for name, file in files.items()
    if file and is_elsewhere(name, file) and own_code.is_of_user(file)
  }


def is_as_it_was_run(path: pathlib.Path) -> bool:
  """Whether a file was run in this process, and it and what it imported have not changed since."""
  contents = _contents.get(path.resolve(), {})
  return bool(contents) and all(input_files.sha256(file) == then for file, then in contents.items())
