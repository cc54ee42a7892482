"""The layout of a folder of images: which directory is which split and class, which file an image.

Three layouts are known, each also one directory deeper than the given one:

  train/CLASS/, test/CLASS/ and, if there is one, validation/CLASS/ (or valid/, val/)
  train/CLASS/ and val/CLASS/ (or validation/, valid/), whose images are then those of the test
  CLASS/, or train/CLASS/ alone, from which the test images are held out

The images of a class may be in directories of their own below CLASS/.
"""

import collections
import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterable

from cifar_jax.errors import InputError
from cifar_jax.printable import printable

logger = logging.getLogger(__name__)

_SPLIT_NAMES = {
  **dict.fromkeys(('train', 'training'), 'train'),
  **dict.fromkeys(('validation', 'valid', 'val'), 'validation'),
  **dict.fromkeys(('test', 'testing'), 'test'),
}
_ALL = 'all'  # in place of a split: all images, of which no split is known
# What systems and people leave beside images, in lower case.
_COMPANIONS = (
  *('thumbs.db', 'desktop.ini', 'icon\r', 'readme', 'license', 'licence', 'copying', 'notice'),
  *('checksums', 'md5sums', 'sha256sums'),
)
_COMPANION_SUFFIXES = (
  *('.txt', '.md', '.rst', '.csv', '.tsv', '.json', '.jsonl', '.xml', '.yaml', '.yml', '.html'),
  *('.pdf', '.ini', '.db', '.log', '.url', '.lnk', '.py', '.ipynb', '.npy', '.npz', '.mat', '.pkl'),
)
_COMPANION_DIRECTORIES = ('__macosx', '@eadir', 'lost+found', '$recycle.bin')
_MOST_NAMES = 5  # in a message


@dataclasses.dataclass
class PassedOver:
  """What is in a folder and is not read.

  Attributes:
    companions: files and directories that are known not to be images, and hidden ones.
    others: everything else, which may be missing from the data by mistake.
  """

  companions: list[pathlib.Path] = dataclasses.field(default_factory=list)
  others: list[pathlib.Path] = dataclasses.field(default_factory=list)

  def report(self, root: pathlib.Path) -> None:
    """Logs the number of companions, and the names of the others."""
    if self.companions:
      logger.info(
        '%s: passed over %d files and directories that are no images (%s).',
        *(as_text(root), len(self.companions), _listed(path.name for path in self.companions)),
      )
    if self.others:
      names = _listed(os.path.relpath(path, root) for path in self.others)
      logger.warning('%s: left out %s.', as_text(root), names)


@dataclasses.dataclass(frozen=True)
class Files:
  """The files of a split.

  Attributes:
    paths: of the images, by class and then by name.
    labels: the index of the class of each.
  """

  paths: list[pathlib.Path]
  labels: list[int]


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
      different classes.
  """
  directories = _split_directories(root, passed)
  if _ALL in directories:
    directories = {'train': directories[_ALL]}
  if 'train' not in directories:
    found = _listed(path.name for path in directories.values())
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
      raise InputError(f'{root}: only one of {pair} has {_listed(sorted(difference))}')
  return tuple(names['train']), {
    split: _files(directory, names['train'], passed) for split, directory in directories.items()
  }


def find_test(root: pathlib.Path, passed: PassedOver) -> tuple[tuple[str, ...], Files]:
  """Finds the test images of a folder, of which no others are needed.

  Args:
    root: a folder with a directory of test images, or else of validation images; or one with the
      directories of classes, all of whose images are test images.
    passed: receives what is not an image.

  Returns:
    The names of the directories of the classes, sorted; and the files.

  Raises:
    InputError: there are no images, or only training images.
  """
  directories = _split_directories(root, passed)
  directory = next(
    (directories[split] for split in ('test', 'validation', _ALL) if split in directories), None
  )
  if directory is None:
    raise InputError(f'{root} has no test images, only {directories["train"].name}/')
  names = [path.name for path in _class_directories(directory, passed)]
  return tuple(names), _files(directory, names, passed)


def image_files(directory: pathlib.Path, passed: PassedOver) -> list[pathlib.Path]:
  """Returns all files in a directory and below it that are not companions, sorted.

  Args:
    directory: the directory.
    passed: receives the companions.
  """
  found: list[pathlib.Path] = []
  seen = set()  # a link can lead back to a directory above it
  for folder, folders, files in os.walk(directory, followlinks=True):
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
      folders.clear()
      continue
    seen.add((status.st_dev, status.st_ino))
    for name in folders[:]:
      if _is_companion(path := pathlib.Path(folder, name)):
        folders.remove(name)
        passed.companions.append(path)
    for name in files:
      path = pathlib.Path(folder, name)
      (passed.companions if _is_companion(path) else found).append(path)
  return sorted(found)


def as_text(path: str | os.PathLike[str]) -> str:
  """A path that can be printed, drawn and written as UTF-8, whatever bytes it is made of."""
  return printable(os.fsencode(path).decode('utf-8', 'backslashreplace'))


def _listed(names: Iterable[str]) -> str:
  """Names for a message: each once, the first few."""
  different = [as_text(name) for name in dict.fromkeys(names)]
  more = len(different) - _MOST_NAMES
  return ', '.join(different[:_MOST_NAMES]) + (f' and {more} more' if more > 0 else '')


def _split_directories(root: pathlib.Path, passed: PassedOver) -> dict[str, pathlib.Path]:
  """The directory of each split that there is, or the folder of the classes as `_ALL`."""
  if not root.is_dir():
    raise InputError(f'{root} is no directory: data.data_dir must hold a directory for each class')
  found = collections.defaultdict(list)
  entries = sorted(root.iterdir())
  for path in entries:
    if path.is_dir() and (split := _SPLIT_NAMES.get(path.name.lower())):
      found[split].append(path)
  for paths in found.values():
    if len(paths) > 1:
      raise InputError(f'{root} has {_listed(path.name for path in paths)}: keep one of them')
  splits = {split: paths[0] for split, paths in found.items()}
  if splits:
    _pass_over_all_but(list(splits.values()), entries, passed)
    return splits
  # An archive is often unpacked into a directory of its own.
  inner = [path for path in entries if path.is_dir() and not _is_companion(path)]
  if len(inner) == 1 and any(path.is_dir() for path in inner[0].iterdir()):
    _pass_over_all_but(inner, entries, passed)
    return _split_directories(inner[0], passed)
  return {_ALL: root}


def _class_directories(directory: pathlib.Path, passed: PassedOver) -> list[pathlib.Path]:
  """The directories in one, sorted; its files are passed over."""
  found = []
  for path in sorted(directory.iterdir()):
    if path.is_dir() and not _is_companion(path):
      found.append(path)
    else:
      _pass_over(path, passed)
  if not found:
    raise InputError(
      f'{directory} holds no directories: it should hold one for each class, with its images'
    )
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
  (passed.companions if _is_companion(path) else passed.others).append(path)


def _is_companion(path: pathlib.Path) -> bool:
  """Whether a file or directory is hidden, or known not to be an image."""
  name = path.name.lower()
  if name.startswith('.') or name in (*_COMPANIONS, *_COMPANION_DIRECTORIES):
    return True
  return path.suffix.lower() in _COMPANION_SUFFIXES and not path.is_dir()
