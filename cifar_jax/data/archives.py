"""CIFAR-10 and CIFAR-100 from the official files, in whichever of their forms they are at hand.

The first of these that a directory has is read, then cached beside it: the unpacked binary version,
the unpacked Python version, the archive of either; with none of them, the binary archive is
downloaded. Archives are never unpacked: their members are read in memory, by exact name.
"""

import dataclasses
import logging
import os
import pathlib
import tarfile
from collections.abc import Mapping
from typing import Any

import numpy as np

import cifar_jax.data.cache as cache
import cifar_jax.data.download as download
import cifar_jax.data.pixels as pixels
from cifar_jax.data.dataset import Published, Split, check_labels
from cifar_jax.data.official import OFFICIAL, Form, Official
from cifar_jax.errors import InputError

logger = logging.getLogger(__name__)

_DEFAULT_DIR = '~/.cache/cifar_jax'
_LARGEST_BYTES = 1 << 28  # the largest official file has 155,249,918
_CACHE_DIR = 'cifar_jax_cache'


@dataclasses.dataclass(frozen=True)
class _Source:
  """Where the official files were found: `paths` are those of a folder, or one archive."""

  form: Form
  paths: tuple[pathlib.Path, ...]
  is_archive: bool

  def identity(self) -> list[Any]:
    """Names, sizes and modification times: what a cache is compared with. A JSON value."""
    stats = [(path.name, path.stat()) for path in self.paths if path.exists()]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]


def load(name: str, data_dir: str) -> Published:
  """Reads CIFAR-10 or CIFAR-100.

  Args:
    name: 'cifar10', or 'cifar100' with its fine labels.
    data_dir: a directory with the official files, archived or unpacked; or an unpacked folder
      itself; or the path of an archive; '' for ~/.cache/cifar_jax.

  Returns:
    The official splits, images `[n, 32, 32, 3]`, and `train_sums`. Fewer images than the official
    number are accepted, with a warning in the log.

  Raises:
    InputError: files are missing, damaged or not what they should be; or there are none, and they
      cannot be downloaded.
  """
  official = OFFICIAL[name]
  where = pathlib.Path(os.path.expanduser(data_dir or _DEFAULT_DIR))
  directory = where.parent if where.is_file() else where
  cache_directory = directory / _CACHE_DIR / name

  source = _find(where, official)
  published = cache.read(cache_directory, source.identity() if source else None)
  if published is None:
    source = source or _download(name, directory)
    published = _read(source, official)
    cache.write(cache_directory, published, source.identity())
  _warn_of_missing_images(name, published, official)
  return published


def _find(where: pathlib.Path, official: Official) -> _Source | None:
  if where.suffix == '.gz' and not where.exists():
    raise InputError(f'{where} is not there: data_dir must be a directory or an archive')
  if where.is_file():
    for form in official.forms:
      if where.name == form.archive:
        return _Source(form, (where,), is_archive=True)
    expected = ' or '.join(form.archive for form in official.forms)
    raise InputError(f'{where} is neither a directory nor an archive named {expected}')
  for form in official.forms:
    for folder in (where / form.folder, where):
      if any((folder / file).is_file() for file in form.data_files):
        files = (*form.data_files, form.names_file)
        return _Source(form, tuple(folder / file for file in files), is_archive=False)
  for form in official.forms:
    if (where / form.archive).is_file():
      return _Source(form, (where / form.archive,), is_archive=True)
  return None


def _download(name: str, directory: pathlib.Path) -> _Source:
  official = OFFICIAL[name]
  form = official.forms[0]
  if reason := download.unreachable(official.url):
    raise InputError(
      f'{directory} has no {name}, and {official.url} cannot be reached ({reason}): put '
      f'{form.archive} from that address there; or set data_dir to a directory that has it, or '
      f'{official.forms[1].archive}, or either of them unpacked, such as that of torchvision; or '
      f'set source=tfds, if tensorflow-datasets has {name} prepared on this machine; or '
      'name=folder and data_dir, for images of your own; or name=shapes, which needs no files'
    )
  path = directory / form.archive
  download.fetch(official.url, path, official.archive_bytes, form.digest)
  return _Source(form, (path,), is_archive=True)


def _read(source: _Source, official: Official) -> Published:
  form, place = source.form, source.paths[0] if source.is_archive else source.paths[0].parent
  logger.info('Reading %s.', place)
  try:
    contents = _archive_contents(source) if source.is_archive else _folder_contents(source)
  except OSError as error:
    raise InputError(f'{error.filename or place} cannot be read: {error}') from error
  if missing := [file for file in form.data_files if file not in contents]:
    raise InputError(f'{place} lacks {", ".join(missing)}: fetch or unpack {form.archive} again')

  num_classes = len(official.class_names)
  class_names: tuple[str, ...] = ()
  if form.names_file in contents:
    class_names = form.read_names(form.names_file, contents[form.names_file])
  if len(class_names) != num_classes:
    class_names = official.class_names
  train = _split(form, form.train_files, contents, num_classes)
  test = _split(form, form.test_files, contents, num_classes)
  return Published(class_names, train, test, pixels.channel_sums(train.images))


def _folder_contents(source: _Source) -> dict[str, bytes]:
  for path in source.paths:
    if path.exists() and path.stat().st_size > _LARGEST_BYTES:
      raise InputError(f'{path} has {path.stat().st_size:,} bytes, which no CIFAR file has')
  return {path.name: path.read_bytes() for path in source.paths if path.exists()}


def _archive_contents(source: _Source) -> dict[str, bytes]:
  (path,), form = source.paths, source.form
  download.check_digest(path, form.algorithm, form.digest)
  wanted = {*form.data_files, form.names_file}
  contents = {}
  with tarfile.open(path) as archive:
    for member in archive:
      file = pathlib.PurePosixPath(member.name).name
      if file in wanted and (stream := archive.extractfile(member)):
        contents[file] = stream.read()
  return contents


def _split(
  form: Form, files: tuple[str, ...], contents: Mapping[str, bytes], num_classes: int
) -> Split:
  parts = [form.read(file, contents[file]) for file in files]
  for file, part in zip(files, parts, strict=True):
    if not len(part):
      raise InputError(f'{file} has no images: fetch it again')
    check_labels(file, part.labels, num_classes)
  return Split(
    np.concatenate([part.images for part in parts]),
    np.concatenate([part.labels for part in parts]),
  )


def _warn_of_missing_images(name: str, published: Published, official: Official) -> None:
  sizes = (len(published.train), len(published.test))
  if sizes != (official.train_size, official.test_size):
    logger.warning(
      '%s: %d of the official %d training images and %d of %d test images.',
      *(name, sizes[0], official.train_size, sizes[1], official.test_size),
    )
