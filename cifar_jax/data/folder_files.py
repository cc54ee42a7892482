"""The files in a folder of images: which may be images, and what is passed over."""

import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Iterable, Iterator

from cifar_jax.errors import InputError
from cifar_jax.printable import printable

logger = logging.getLogger(__name__)

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
    skip_bad: whether what cannot be read is passed over too; otherwise it is an error.
    companions: files and directories that are known not to be images, and hidden ones.
    others: everything else, which may be missing from the data by mistake.
  """

  skip_bad: bool = False
  companions: list[pathlib.Path] = dataclasses.field(default_factory=list)
  others: list[pathlib.Path] = dataclasses.field(default_factory=list)

  def report(self, root: pathlib.Path) -> None:
    """Logs the number of companions, and the names of the others."""
    if self.companions:
      logger.info(
        '%s: passed over what is no image, %d in all (%s).',
        *(as_text(root), len(self.companions), listed(path.name for path in self.companions)),
      )
    if self.others:
      names = listed(os.path.relpath(path, root) for path in self.others)
      logger.warning('%s: left out %s.', as_text(root), names)


def image_files(directory: pathlib.Path, passed: PassedOver) -> list[pathlib.Path]:
  """Returns all files in a directory and below it that are not companions, sorted.

  Args:
    directory: the directory.
    passed: receives the companions and, if `skip_bad` is set, directories that cannot be read.

  Raises:
    InputError: the directory, or one below it unless `skip_bad` is set, cannot be read.
  """

  def pass_over(error: OSError) -> None:
    if error.filename == str(directory):
      raise InputError(unreadable(error)) from error
    if not passed.skip_bad:
      remedy = '--config.data.skip_bad=true passes over such directories'
      raise InputError(f'{unreadable(error)}; {remedy}') from error
    passed.others.append(pathlib.Path(error.filename))

  found: list[pathlib.Path] = []
  seen = set()  # a link can lead back to a directory above it
  for folder, folders, files in os.walk(directory, onerror=pass_over, followlinks=True):
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
      folders.clear()
      continue
    seen.add((status.st_dev, status.st_ino))
    for name in folders[:]:
      if is_companion(path := pathlib.Path(folder, name)):
        folders.remove(name)
        passed.companions.append(path)
    for name in files:
      path = pathlib.Path(folder, name)
      (passed.companions if is_companion(path) else found).append(path)
  return sorted(found)


@contextlib.contextmanager
def refusing_unreadable() -> Iterator[None]:
  """Within the block, a file or directory that cannot be read is an InputError."""
  try:
    yield
  except OSError as error:
    raise InputError(unreadable(error)) from error


def unreadable(error: OSError) -> str:
  """What cannot be read, and why."""
  return f'{as_text(error.filename)} cannot be read: {error.strerror}'


def as_text(path: str | os.PathLike[str]) -> str:
  """A path that can be printed, drawn and written as UTF-8, whatever bytes it is made of."""
  return printable(os.fsencode(path).decode('utf-8', 'backslashreplace'))


def listed(names: Iterable[str]) -> str:
  """Names for a message: each once, the first few."""
  different = [as_text(name) for name in dict.fromkeys(names)]
  more = len(different) - _MOST_NAMES
  return ', '.join(different[:_MOST_NAMES]) + (f' and {more} more' if more > 0 else '')


def is_companion(path: pathlib.Path) -> bool:
  """Whether a file or directory is hidden, or known not to be an image."""
  name = path.name.lower()
  if name.startswith('.') or name in _COMPANION_DIRECTORIES:
    return True
  is_named = name in _COMPANIONS or path.suffix.lower() in _COMPANION_SUFFIXES
  return is_named and not path.is_dir()  # `license` may be a class
