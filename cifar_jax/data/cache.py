"""The cache of a decoded data set, which opens in milliseconds. Losing it costs only time.

A cache is a directory that appears by one rename. A process that is killed at any moment therefore
leaves either no cache or a complete one. The folder of caches may come from a stranger, with the
data: a link in its place is not followed, and nothing is replaced or removed that is no cache.
"""

import json
import logging
import os
import pathlib
import re
import time
import uuid
import zlib
from typing import Any

import numpy as np

from cifar_jax import input_files, json_text, own_files
from cifar_jax.data.dataset import Published, Split
from cifar_jax.errors import InputError
from cifar_jax.runtime import memory

logger = logging.getLogger(__name__)

_VERSION = 1
_RECORD = 'record.json'
_ARRAYS = ('train_images', 'train_labels', 'train_sums', 'test_images', 'test_labels')
_FILES = {_RECORD, *(f'{name}.npy' for name in _ARRAYS)}
_ABANDONED_SECONDS = 3600.0


def read(directory: pathlib.Path, source: list[Any] | None) -> Published | None:
  """Opens a cache; its arrays are mapped from the files, read-only.

  Args:
    directory: the cache's directory, which need not exist. If the folder that it is in is a link,
      there is no cache.
    source: the value that was passed to `write`. A cache with another one is out of date. None
      accepts any, for when the source no longer exists.

  Returns:
    The data set with `train_sums`; None if there is no such cache, or if it is damaged.
  """
  if directory.parent.is_symlink() or not directory.exists():
    return None
  try:
    return _read(directory, source)
  except Exception as error:  # a damaged cache, or a forged one, can raise anything
    logger.info('The cache %s is not used: %s.', directory, error)
    return None


def write(directory: pathlib.Path, published: Published, source: list[Any]) -> None:
  """Writes a cache, in place of an older one. If that fails, logs a warning.

  It fails where the folder of caches is a link, and where something else is in the cache's place.

  Args:
    directory: the cache's directory.
    published: the data set, with `train_sums`.
    source: a JSON value that identifies the files from which the data set was read.
  """
  temporary = directory.with_name(f'.{directory.name}-{uuid.uuid4().hex}')
  try:
    if directory.parent.is_symlink():
      raise own_files.link_error(directory.parent)
    directory.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(directory)
    temporary.mkdir()
    _write(temporary, published, source)
    _put_in_place(temporary, directory)
  except (InputError, OSError) as error:
    logger.warning('The cache %s cannot be written; continuing without it: %s', directory, error)
  finally:
    own_files.remove(temporary)


def _read(directory: pathlib.Path, source: list[Any] | None) -> Published:
  """Opens a cache; raises ValueError if it is out of date, and more kinds if it is damaged."""
  record = json_text.parse(input_files.read_text(directory / _RECORD))
  if record['version'] != _VERSION:
    raise ValueError(f'its format is version {record["version"]}, not {_VERSION}')
  if source is not None and record['source'] != source:
    raise ValueError('its source files have changed')
  arrays = {}
  paths = {name: directory / f'{name}.npy' for name in record['arrays']}
  for path in paths.values():
    input_files.refuse_pipe(path)
  # Otherwise the checksums of a forged file, which need not take its size on the disk, take hours.
  if sum(path.stat().st_size for path in paths.values()) > memory.host_bytes():
    raise ValueError('its arrays are larger than the memory of this machine')
  for name, expected in record['arrays'].items():
    path = paths[name]
    if path.stat().st_size != expected['bytes']:
      raise ValueError(f'the size of {path.name} has changed')
    arrays[name] = np.load(path, mmap_mode='r')
    if zlib.crc32(arrays[name]) != expected['crc32']:  # 0.1 s for the whole of CIFAR-10
      raise ValueError(f'the content of {path.name} has changed')
  published = Published(
    class_names=tuple(record['class_names']),
    train=Split(arrays['train_images'], arrays['train_labels']),
    test=Split(arrays['test_images'], arrays['test_labels']),
    train_sums=(sums := arrays['train_sums']),
  )
  published.check(str(directory))
  if sums.dtype != np.int64 or sums.shape != (len(published.train), 2, 3):
    raise ValueError('its sums are not those of its images')
  return published


def _write(directory: pathlib.Path, published: Published, source: list[Any]) -> None:
  train, test = published.train, published.test
  arrays: list[Any] = [train.images, train.labels, published.train_sums, test.images, test.labels]
  record: dict[str, Any] = {
    'version': _VERSION,
    'source': source,
    'class_names': published.class_names,
    'arrays': {},
  }
  for name, array in zip(_ARRAYS, arrays, strict=True):
    path = directory / f'{name}.npy'
    np.save(path, array)
    record['arrays'][name] = {'bytes': path.stat().st_size, 'crc32': zlib.crc32(array)}
  (directory / _RECORD).write_text(json.dumps(record, indent=2))


def _put_in_place(temporary: pathlib.Path, directory: pathlib.Path) -> None:
  """Renames a directory; a cache or a link that is in its place is removed first."""
  if os.path.lexists(directory):  # the system does not rename onto a directory that has files
    if not _is_cache(directory):
      raise InputError(f'{directory} is no cache or has other files in it: move it away')
    stale = temporary.with_name(f'{temporary.name}-stale')
    os.rename(directory, stale)
    own_files.remove(stale)
  os.rename(temporary, directory)


def _remove_abandoned(directory: pathlib.Path) -> None:
  """Removes unfinished caches of killed processes; recent ones may still be being written."""
  unfinished = re.compile(rf'\.{re.escape(directory.name)}-[0-9a-f]{{32}}(-stale)?')
  for path in directory.parent.iterdir():
    is_old = time.time() - path.lstat().st_mtime > _ABANDONED_SECONDS
    if is_old and unfinished.fullmatch(path.name) and _is_cache(path):
      own_files.remove(path)


def _is_cache(path: pathlib.Path) -> bool:
  """Whether a path may be replaced: a link, or a folder that has nothing but files of a cache."""
  if not _is_folder(path):
    return path.is_symlink()
  return all(file.name in _FILES and not _is_folder(file) for file in path.iterdir())


def _is_folder(path: pathlib.Path) -> bool:
  return path.is_dir() and not path.is_symlink()
