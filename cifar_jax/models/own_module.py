"""A user's own module with families of models, and which modules a run may execute.

The key `model.module` of a run's configuration names the module. A run may come from a stranger, so
the name alone is no permission to execute a file: without being asked, only those modules are run
that this user has trained with on this machine before. They are in the list `LIST`, with the
SHA-256 of their files. One that has changed since then is run after a warning, because users change
their nets and evaluate earlier runs. All others have to be given, on the command line or by
importing them first. What a module computes is compared by `own_net.py`.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import logging
import os
import pathlib

from cifar_jax import input_files, own_files, paths
from cifar_jax.config import python_file
from cifar_jax.errors import InputError
from cifar_jax.models import families

logger = logging.getLogger(__name__)

LIST = 'own_modules.txt'  # in `paths.cache_folder()`: in each line a SHA-256 and a module
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
  """Adds a module to the list of those that this user has trained with; '' adds nothing.

  Another process may add one at the same time: a line is only ever appended.
  """
  sha256, entry = digest(module), _entry(module)
  if sha256 is None or entry is None or f'{sha256} {entry}' in _listed():
    return
  # A home that is read-only is no reason to stop; the module will be asked for.
  with contextlib.suppress(OSError, InputError):
    path = paths.make_cache_folder() / LIST
    if not own_files.is_own(path):
      path.unlink(missing_ok=True)  # others could have added their modules
    with own_files.open_own(path) as file:
      os.fchmod(file.fileno(), 0o600)
      file.write(f'{sha256} {entry}\n')


def check_permitted(module: str, model: str, run: pathlib.Path) -> None:
  """Checks that a run may execute the module that it names; executes nothing.

  It logs a warning where the module is not as it was when the user trained with it.

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
  trained = _digests_trained_with(module)
  if not trained:
    raise InputError(
      f'{run} was trained with the model {model!r} of the module {module}, which you have not '
      f'trained with on this machine. Nothing was executed; read it, then {HOW}'
    )
  if digest(module) not in trained:
    logger.warning(
      'the module %s is not as it was when you trained with it on this machine; it is run as it is',
      module,
    )


def is_permitted(module: str) -> bool:
  """Whether the user has trained with a module on this machine."""
  return bool(_digests_trained_with(module))


def _digests_trained_with(module: str) -> list[str]:
  """The digests that a module had when the user trained with it on this machine."""
  entry, lines = _entry(module), (line.partition(' ') for line in _listed())
  return [sha256 for sha256, _, known in lines if known == entry]


def digest(module: str) -> str | None:
  """The SHA-256 of the file of a module, hexadecimal; None if there is none that can be read."""
  file = _file(module)
  return input_files.sha256(file) or None if file else None


def is_of(family: families.Family, module: str) -> bool:
  """Whether a family was registered by a module, as its files are now.

  Also True where the module is not here: a family of the same name then stands for it.
  """
  now = digest(module)
  if now is None:
    return True
  if module.endswith('.py'):
    file = paths.local(module)
    return family.file == file.resolve() and python_file.is_as_it_was_run(file)
  return family.module == module and family.sha256 == now


def _file(module: str) -> pathlib.Path | None:
  """The file of a module; none is executed, nor are the packages that the module is in."""
  if module.endswith('.py'):
    return paths.local(module)
  name, *inner = module.split('.')
  try:
    spec = importlib.util.find_spec(name)
  except (ImportError, ValueError):
    return None
  for part in inner:
    name = f'{name}.{part}'
    folders = spec.submodule_search_locations if spec else None
    spec = importlib.machinery.PathFinder.find_spec(name, folders) if folders else None
  return pathlib.Path(spec.origin) if spec and spec.origin else None


def _entry(module: str) -> str | None:
  """A module in the list: the path of its file, or its name and the path of its outermost package.

  None if there is none, or if its path has a line end, which would begin another line of the list.
  """
  is_file = module.endswith('.py')
  file = _file(module if is_file else module.partition('.')[0])
  if file is None or '\n' in str(file.resolve()):
    return None
  return f'{"" if is_file else f"{module} "}{file.resolve()}'


def _listed() -> list[str]:
  """The lines of the list; none where others could have added some."""
  try:
    path = paths.cache_folder() / LIST
    is_own = own_files.is_own(path) and own_files.is_own(path.parent)
    return input_files.read_text(path).split('\n') if is_own else []
  except (OSError, ValueError, InputError):
    return []
