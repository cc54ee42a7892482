"""Where a recipe or a study is: in a file of the user, or among those of the package."""

import pathlib
import re
from collections.abc import Collection

from cifar_jax import paths
from cifar_jax.config.command_line import nearest
from cifar_jax.errors import InputError

_PACKAGE = pathlib.Path(__file__).parents[1]
# An installed package holds the folder (setup.py); in a clone it stands beside the package.
CONFIGS = next(
  (folder for folder in (_PACKAGE / 'configs', _PACKAGE.parent / 'configs') if folder.is_dir()),
  _PACKAGE / 'configs',
)
RECIPES, STUDIES = pathlib.PurePath('configs'), pathlib.PurePath('configs/studies')


def find(path: str, folder: pathlib.PurePath = RECIPES) -> pathlib.Path:
  """Finds a file of Python.

  Args:
    path: of one of the package, by its name alone (`resnet`); or of a file; or of one of the
      package as in a clone (`configs/resnet.py`), if there is no such file.
    folder: the folder of the package, `RECIPES` or `STUDIES`.

  Raises:
    InputError: there is no such file.
  """
  by_name = {known.stem: known for known in available(folder)}
  if path in by_name:  # even if the current folder, which may be a stranger's, has such a file
    return by_name[path]
  file = paths.local(path)
  if file.is_file():
    return file
  if file.parent == pathlib.Path(folder) and file.suffix in ('', '.py') and file.stem in by_name:
    return by_name[file.stem]
  hint = _recipe_of_model(path, by_name) or nearest(file.stem, by_name)
  beside = [str(other) for other in sorted(file.parent.glob('*.py'))]
  kind = 'study' if folder == STUDIES else 'configuration'
  raise InputError(
    f'no {kind} {path}{hint}; give a file, or one of '
    f'{", ".join(beside if len(file.parts) > 1 and beside else by_name)}'
  )


def _recipe_of_model(path: str, recipes: Collection[str]) -> str:
  """A hint for a model's name, such as `resnet20`, in the place of a recipe's; '' for others."""
  match = re.fullmatch(r'(\w*[a-z])_?(\d+)\w*', path)
  if not match or match[1] not in recipes:
    return ''
  return f' (a model? its recipe is {match[1]}, such as {match[1]}:depth={match[2]})'


def available(folder: pathlib.PurePath = RECIPES) -> list[pathlib.Path]:
  """The files of the package's recipes or studies, sorted."""
  return sorted((CONFIGS.parent / folder).glob('*.py'))
