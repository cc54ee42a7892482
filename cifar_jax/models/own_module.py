"""A user's own module with families of models, and which modules a run may execute.

The key `model.module` of a run's configuration names the module. A run may come from a stranger, so
the name alone is no permission to execute a file: without being asked, only those files are run
that this user has trained with on this machine before. They are in the list `LIST`. All others have
to be given, on the command line or by importing them first.
"""

import contextlib
import hashlib
import importlib
import importlib.util
import logging
import pathlib
from typing import Any

from cifar_jax import input_files, output_files, paths
from cifar_jax.config import python_file
from cifar_jax.errors import InputError
from cifar_jax.models import families

logger = logging.getLogger(__name__)

LIST = 'own_modules.txt'  # in `paths.cache_folder()`: one module in each line
_SHA256 = 'own_module_sha256'  # key of the `run_info` in a checkpoint
HOW = (
  'give it by --config.model.module=FILE.py (or =PACKAGE.MODULE), or from Python import it first'
)


def load(module: str) -> None:
  """Runs a module, which registers its families.

  Args:
    module: the path of a file that ends in `.py`, or the dotted name of a module.

  Raises:
    InputError: there is no such module, or it raises an exception.
  """
  if module.endswith('.py'):
    path = paths.local(module)
    if not path.is_file():
      raise InputError(f'there is no module {module}: {HOW}')
    with python_file.run(path):
      return
  try:
    importlib.import_module(module)
  except InputError as error:
    raise InputError(f'{module}: {error}') from error
  except Exception as error:  # the module is code, which can raise anything
    message = ' '.join(str(error).split())
    raise InputError(f'{module}: {type(error).__name__}: {message}') from error


def note(module: str) -> None:
  """Adds a module to the list of those that this user has trained with; '' adds nothing."""
  entry = _entry(module) if module else None
  if entry is None or entry in _listed():
    return
  with contextlib.suppress(OSError):  # a home that is read-only; the module will be asked for
    paths.cache_folder().mkdir(parents=True, exist_ok=True)
    text = ''.join(f'{known}\n' for known in [*_listed(), entry])
    output_files.write_text(paths.cache_folder() / LIST, text)


def check_permitted(module: str, model: str, run: pathlib.Path) -> None:
  """Checks that a run may execute the module that it names; executes nothing.

  Args:
    module: the key `model.module` of the run; '' where the module is not known.
    model: the name of the run's model, which no registered family has.
    run: the workdir, for the message.

  Raises:
    InputError: the user has not trained with the module on this machine, or it is not known.
  """
  if not module:
    raise InputError(
      f'{run} was trained with the model {model!r}, which no family here has; if it is of a '
      f'notebook or a script, put it into a module: {HOW}'
    )
  if _entry(module) not in _listed():
    raise InputError(
      f'{run} was trained with the model {model!r} of the module {module}, which you have not '
      f'trained with on this machine. Nothing was executed; read it, then {HOW}'
    )


def digest(module: str) -> str | None:
  """The SHA-256 of the file of a module, hexadecimal; None without a module or its file."""
  if not module:
    return None
  file: Any = module
  if not module.endswith('.py'):
    spec = importlib.util.find_spec(module)
    file = spec and spec.origin
  try:
    return hashlib.sha256(input_files.read_bytes(file)).hexdigest()
  except (OSError, TypeError, ValueError):
    return None


def describe(model: Any) -> dict[str, str]:
  """What a checkpoint says of the module of a model's family; `{}` for one of the package."""
  found = digest(families.module_of_model(model))
  return {_SHA256: found} if found else {}


def warn_if_changed(model: Any, run_info: dict[str, Any]) -> None:
  """Logs a warning if the file of a model's family has changed since a checkpoint was written."""
  earlier = run_info.get(_SHA256)
  if earlier and earlier != describe(model).get(_SHA256):
    logger.warning(
      'the module %s has changed since the run was trained with it',
      families.module_of_model(model),
    )


def _entry(module: str) -> str | None:
  """A module in the list: its path, or its name and the path of its package; None if there is none.

  The path is that of the outermost package, because to look further would execute the package.
  """
  if module.endswith('.py'):
    return str(paths.local(module).resolve())
  try:
    spec = importlib.util.find_spec(module.partition('.')[0])
  except (ImportError, ValueError):
    return None
  return f'{module} {pathlib.Path(spec.origin).resolve()}' if spec and spec.origin else None


def _listed() -> list[str]:
  try:
    return input_files.read_text(paths.cache_folder() / LIST).splitlines()
  except (OSError, ValueError):
    return []
