"""A decoded data set on disk, which opens in milliseconds. Losing it costs time and nothing else.

A cache is a directory that appears by one rename, so that a process killed at any moment leaves
either no cache or a whole one.
"""

import json
import logging
import os
import pathlib
import shutil
import time
import uuid
import zlib
from typing import Any

import numpy as np

from cifar_jax.data.dataset import Published, Split

logger = logging.getLogger(__name__)

_VERSION = 1
_RECORD = 'record.json'
_ABANDONED_SECONDS = 3600.0


def read(directory: pathlib.Path, source: list[Any] | None) -> Published | None:
  """Opens a cache; its arrays are mapped from the files, read-only.

  Args:
    directory: where the cache is, if there is one.
    source: what the cache must have been made from, as it was given to `write`; None, when the
      source is gone, for any.

  Returns:
    The data set with `train_sums`, or None if there is no such cache, or if it is damaged.
  """
  if not directory.exists():
    return None
  try:
    return _read(directory, source)
  except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
    logger.info('The cache %s is not used: %s.', directory, error)
    return None


def write(directory: pathlib.Path, published: Published, source: list[Any]) -> None:
  """Puts a cache in place of what is there, or logs a warning if that cannot be done.

  Args:
    directory: where to put the cache.
    published: the data set, with `train_sums`.
    source: JSON value that identifies what the data set was read from.
  """
  temporary = directory.with_name(f'.{directory.name}-{uuid.uuid4().hex}')
  try:
    directory.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(directory)
    temporary.mkdir()
    _write(temporary, published, source)
    _put_in_place(temporary, directory)
  except OSError as error:
    logger.warning('Going on without the cache %s, which cannot be written: %s', directory, error)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def _read(directory: pathlib.Path, source: list[Any] | None) -> Published:
  record = json.loads((directory / _RECORD).read_text())
  if record['version'] != _VERSION:
    raise ValueError(f'its format is version {record["version"]}, not {_VERSION}')
  if source is not None and record['source'] != source:
    raise ValueError('the files it was made from have changed')
  arrays = {}
  for name, expected in record['arrays'].items():
    path = directory / f'{name}.npy'
    if path.stat().st_size != expected['bytes']:
      raise ValueError(f'{path.name} has another size than when it was written')
    arrays[name] = np.load(path, mmap_mode='r')
    if zlib.crc32(arrays[name]) != expected['crc32']:  # 0.1 s for the whole of CIFAR-10
      raise ValueError(f'{path.name} is not what was written')
  return Published(
    class_names=tuple(record['class_names']),
    train=Split(arrays['train_images'], arrays['train_labels']),
    test=Split(arrays['test_images'], arrays['test_labels']),
    train_sums=arrays['train_sums'],
  )


def _write(directory: pathlib.Path, published: Published, source: list[Any]) -> None:
  arrays: dict[str, Any] = {
    'train_images': published.train.images,
    'train_labels': published.train.labels,
    'train_sums': published.train_sums,
    'test_images': published.test.images,
    'test_labels': published.test.labels,
  }
  record: dict[str, Any] = {
    'version': _VERSION,
    'source': source,
    'class_names': published.class_names,
    'arrays': {},
  }
  for name, array in arrays.items():
    path = directory / f'{name}.npy'
    np.save(path, array)
    record['arrays'][name] = {'bytes': path.stat().st_size, 'crc32': zlib.crc32(array)}
  (directory / _RECORD).write_text(json.dumps(record, indent=2))


def _put_in_place(temporary: pathlib.Path, directory: pathlib.Path) -> None:
  if directory.exists():  # a directory is renamed only onto nothing
    stale = temporary.with_name(f'{temporary.name}-stale')
    os.rename(directory, stale)
    shutil.rmtree(stale, ignore_errors=True)
  os.rename(temporary, directory)


def _remove_abandoned(directory: pathlib.Path) -> None:
  """Removes what killed processes left half written, but not what others are writing just now."""
  for path in directory.parent.glob(f'.{directory.name}-*'):
    if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
      shutil.rmtree(path, ignore_errors=True)
