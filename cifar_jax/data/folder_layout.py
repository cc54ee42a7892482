"""The layout of a folder of images: which directory is which split and class, which file an image.

Three layouts are known, each also one directory deeper than the given one:

  train/CLASS/, test/CLASS/ and, if there is one, validation/CLASS/ (or valid/, val/)
  train/CLASS/ and val/CLASS/ (or validation/, valid/), whose images are then those of the test
  CLASS/, or train/CLASS/ alone, from which the test images are held out

The names of splits may have capitals, and end in `set`, as in `Training_set/`. The images of a
class may be in directories of their own below CLASS/.
"""

import collections
import dataclasses
import logging
import pathlib
import re

from cifar_jax.data.folder_files import (
  PassedOver,
  image_files,
  is_companion,
  listed,
  refusing_unreadable,
)
from cifar_jax.errors import InputError

logger = logging.getLogger(__name__)

_SPLIT_NAMES = {
  **dict.fromkeys(('train', 'training'), 'train'),
  **dict.fromkeys(('validation', 'valid', 'val'), 'validation'),
  **dict.fromkeys(('test', 'testing'), 'test'),
}
_SET = re.compile(r'[ _-]?set$')  # what may follow the name of a split
_ALL = 'all'  # in place of a split: all images, of which no split is known


@dataclasses.dataclass(frozen=True)
class Files:
  """The files of a split.

  Attributes:
    paths: of the images, by class and then by name.
    labels: the index of the class of each.
  """

  paths: list[pathlib.Path]
  labels: list[int]


@refusing_unreadable()
def find(root: pathlib.Path, passed: PassedOver) -> tuple[tuple[str, ...], dict[str, Files]]:
  """Finds the images of a folder.

  Args:
    root: the folder.
    passed: receives what is not an image.

  Returns:
    The names of the directories of the classes, sorted; and the files of each split: `train`, and
    `validation` and `test` where the folder has them.

  Raises:
    InputError: there are no images, or two directories for the same split; or the splits have
      different classes, or a directory cannot be read.
  """
  directories = _split_directories(root, passed)
  if _ALL in directories:
    directories = {'train': directories[_ALL]}
  if 'train' not in directories:
    found = listed(path.name for path in directories.values())
    raise InputError(f'{root} has {found} and no train/')
  if 'test' not in directories and 'validation' in directories:
    directories['test'] = directories.pop('validation')
  names = {
    split: [path.name for path in _class_directories(directory, passed)]
    for split, directory in directories.items()
  }
  for split, found_names in names.items():
    if difference := set(names['train']) ^ set(found_names):
      pair = f'{directories["train"].name}/ and {directories[split].name}/'
      raise InputError(f'{root}: only one of {pair} has {listed(sorted(difference))}')
  return tuple(names['train']), {
    split: _files(directory, names['train'], passed) for split, directory in directories.items()
  }


@refusing_unreadable()
def find_test(root: pathlib.Path, passed: PassedOver) -> tuple[tuple[str, ...], Files]:
  """Finds the test images of a folder, of which no others are needed.

  Args:
    root: a folder with a directory of test images, or else of validation images; or one with the
      directories of classes, all of whose images are test images.
    passed: receives what is not an image.

  Returns:
    The names of the directories of the classes, sorted; and the files.

  Raises:
    InputError: there are no images, or only training images, or a directory cannot be read.
  """
  directories = _split_directories(root, passed)
  directory = next(
    (directories[split] for split in ('test', 'validation', _ALL) if split in directories), None
  )
  if directory is None:
    raise InputError(f'{root} has no test images, only {directories["train"].name}/')
  names = [path.name for path in _class_directories(directory, passed)]
  return tuple(names), _files(directory, names, passed)


@refusing_unreadable()
def check_outside(root: pathlib.Path, workdir: pathlib.Path) -> None:
  """Checks that the pictures of a run will not become images of the folder.

  Args:
    root: the folder, which need not exist.
    workdir: of the run. It may lie beside the directories of the splits.

  Raises:
    InputError: it lies in the directory of a split, or where the classes are.
  """
  root, workdir = root.resolve(), workdir.resolve()
  if not root.is_dir() or not workdir.is_relative_to(root):
    return
  splits = [path for path in root.iterdir() if _split_of(path)]
  if any(map(workdir.is_relative_to, splits or [root])):
    raise InputError(
      f'{workdir} is inside data.data_dir {root}, where its pictures would become images of a '
      'class: give a --workdir elsewhere; a run that is there can be moved'
    )


def _split_directories(root: pathlib.Path, passed: PassedOver) -> dict[str, pathlib.Path]:
  """The directory of each split that there is, or the folder of the classes as `_ALL`."""
  if not root.is_dir():
    raise InputError(f'{root} is no directory: data.data_dir must hold a directory for each class')
  found = collections.defaultdict(list)
  entries = sorted(root.iterdir())
  for path in entries:
    if split := _split_of(path):
      found[split].append(path)
  for paths in found.values():
    if len(paths) > 1:
      raise InputError(f'{root} has {listed(path.name for path in paths)}: keep one of them')
  splits = {split: paths[0] for split, paths in found.items()}
  if splits:
    _pass_over_all_but(list(splits.values()), entries, passed)
    return splits
  # An archive is often unpacked into a directory of its own.
  inner = [path for path in entries if path.is_dir() and not is_companion(path)]
  if len(inner) == 1 and any(path.is_dir() for path in inner[0].iterdir()):
    _pass_over_all_but(inner, entries, passed)
    return _split_directories(inner[0], passed)
  return {_ALL: root}


def _split_of(path: pathlib.Path) -> str:
  """The split that a directory holds by its name, such as `test` for `Test_set`; '' for none."""
  return _SPLIT_NAMES.get(_SET.sub('', path.name.lower()), '') if path.is_dir() else ''


def _warn_of_splits(classes: list[pathlib.Path]) -> None:
  """Logs a warning if the directories of classes look like splits of other names."""
  inner = [{path.name for path in directory.iterdir() if path.is_dir()} for directory in classes]
  if len(classes) > 1 and len(inner[0]) > 1 and all(names == inner[0] for names in inner):
    logger.warning(
      '%s are taken for classes, and each has the directories %s: if they are splits, call them '
      'train and test',
      *(listed(path.name for path in classes), listed(sorted(inner[0]))),
    )


def _class_directories(directory: pathlib.Path, passed: PassedOver) -> list[pathlib.Path]:
  """The directories in one, sorted; its files are passed over."""
  found = []
  for path in sorted(directory.iterdir()):
    if path.is_dir() and not is_companion(path):
      found.append(path)
    else:
      _pass_over(path, passed)
  if not found:
    raise InputError(
      f'{directory} holds no directories: it should hold one for each class, with its images'
    )
  _warn_of_splits(found)
  return found


def _files(directory: pathlib.Path, names: list[str], passed: PassedOver) -> Files:
  """The images of all classes of a split; raises InputError for a class without any."""
  files = Files([], [])
  for label, name in enumerate(names):
    of_class = image_files(directory / name, passed)
    if not of_class:
      raise InputError(f'{directory / name} holds no images')
    files.paths.extend(of_class)
    files.labels.extend([label] * len(of_class))
  return files


def _pass_over_all_but(
  read: list[pathlib.Path], entries: list[pathlib.Path], passed: PassedOver
) -> None:
  for path in entries:
    if path not in read:
      _pass_over(path, passed)


def _pass_over(path: pathlib.Path, passed: PassedOver) -> None:
  (passed.companions if is_companion(path) else passed.others).append(path)
