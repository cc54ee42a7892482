"""CIFAR-10 and CIFAR-100 from the official files, in any form in which they are published.

The files that `official_search.py` finds are read, and cached in the directory that was named. If
there are none, the binary archive is downloaded. Archives are never unpacked: their members are
read into memory, by exact name.
"""

import logging
import pathlib
import tarfile
from collections.abc import Mapping

import numpy as np

from cifar_jax import paths
from cifar_jax.data import cache, download, official_search, pixels
from cifar_jax.data.dataset import Published, Split, check_labels
from cifar_jax.data.official import OFFICIAL, Form, Official
from cifar_jax.data.official_search import Source
from cifar_jax.errors import InputError
from cifar_jax.input_files import refuse_pipe

logger = logging.getLogger(__name__)

_DEFAULT_DIR = '~/.cache/cifar_jax'
_LARGEST_BYTES = 1 << 28  # the largest official file has 155,249,918
_CACHE_DIR = 'cifar_jax_cache'


def load(name: str, data_dir: str) -> Published:
  """Reads CIFAR-10 or CIFAR-100.

  Args:
    name: 'cifar10', or 'cifar100' with its fine labels.
    data_dir: a directory with the official files, archived or unpacked, in it or up to three levels
      below; or the unpacked folder itself; or the path of an archive; '' for ~/.cache/cifar_jax.

  Returns:
    The official splits, with images uint8 `[n, 32, 32, 3]` and `train_sums`. Fewer images than the
    official number are accepted, with a warning in the log.

  Raises:
    InputError: files are missing, damaged or not the official ones; or there are none, and they
      cannot be downloaded.
  """
  official = OFFICIAL[name]
  path = paths.local(data_dir or _DEFAULT_DIR)
  directory = path.parent if path.is_file() else path
  cache_directory = directory / _CACHE_DIR / name

  source = official_search.find(path, official)
  identity = source.identity() if source else None
  published = cache.read(cache_directory, identity)
  if published is not None and source is None:
    logger.warning(
      '%s has no files of %s any more: the images are those of the cache %s, made of files that '
      'were there before. To download them, remove the cache.',
      *(path, name, cache_directory),
    )
  if published is None:
    source = source or _download(name, directory)
    identity = identity or source.identity()  # before the files are read, which others may replace
    published = _read(source, official)
    cache.write(cache_directory, published, identity)
  _warn_of_other_images(name, published, official)
  return published


def _download(name: str, directory: pathlib.Path) -> Source:
  """Downloads the archive of the first form into a directory."""
  official = OFFICIAL[name]
  form = official.forms[0]
  if reason := download.unreachable(official.url):
    raise InputError(
      f'{directory} has no {name}, and {official.url} cannot be reached ({reason}): put '
      f'{form.archive} from that address there; or set data.data_dir to a directory that has it, '
      f'or {official.forms[1].archive}, or either of them unpacked, such as that of torchvision or '
      f'Keras; or set data.source=tfds, if tensorflow-datasets has {name} prepared on this '
      'machine; or data.name=folder and data.data_dir, for a folder of images; or '
      'data.name=shapes, which needs no files'
    )
  path = directory / form.archive
  download.fetch(official.url, path, form.archive_bytes, form.digest)
  return Source(form, (path,), is_archive=True)


def _read(source: Source, official: Official) -> Published:
  """Reads the official files. If they have no class names, those of `official` are used."""
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
  train = _decode(form, form.train_files, contents, num_classes)
  test = _decode(form, form.test_files, contents, num_classes)
  return Published(class_names, train, test, pixels.channel_sums(train.images))


def _folder_contents(source: Source) -> dict[str, bytes]:
  """Reads the files of an unpacked folder, by file name."""
  for path in source.paths:
    refuse_pipe(path)
    if path.exists() and path.stat().st_size > _LARGEST_BYTES:
      raise InputError(f'{path} has {path.stat().st_size:,} bytes, which no CIFAR file has')
  return {path.name: path.read_bytes() for path in source.paths if path.exists()}


def _archive_contents(source: Source) -> dict[str, bytes]:
  """Reads the wanted members of an archive, by file name, after checking its checksum."""
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


def _decode(
  form: Form, files: tuple[str, ...], contents: Mapping[str, bytes], num_classes: int
) -> Split:
  """Decodes the files of a split and joins them in their order."""
  parts = [form.read(file, contents[file]) for file in files]
  for file, part in zip(files, parts, strict=True):
    if not len(part):
      raise InputError(f'{file} has no images: fetch it again')
    check_labels(file, part.labels, num_classes)
  return Split(
    np.concatenate([part.images for part in parts]),
    np.concatenate([part.labels for part in parts]),
  )


def _warn_of_other_images(name: str, published: Published, official: Official) -> None:
  """Logs warnings if there are fewer images than in the official files, or others.

  Files that were cut off, as by a power failure, can end in zeros: black images of the first class.
  """
  sizes = (len(published.train), len(published.test))
  if sizes != (official.train_size, official.test_size):
    logger.warning(
      '%s: %d of the official %d training images and %d of %d test images.',
      *(name, sizes[0], official.train_size, sizes[1], official.test_size),
    )
  of_official = (
    ('training', published.train, official.train_size),
    ('test', published.test, official.test_size),
  )
  for split, images, size in of_official:
    each, counts = size // len(published.class_names), np.bincount(images.labels)
    if len(images) == size and counts.max() > each:
      logger.warning(
        '%s: %d of the %s images are of class %s; the official ones have %d of each class. A file '
        'may be damaged.',
        *(name, counts.max(), split, published.class_names[counts.argmax()], each),
      )
