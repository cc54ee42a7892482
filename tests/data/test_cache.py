"""The cache of the official files: when it is used, when it is replaced, and what a kill leaves."""

import json
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import unittest.mock
import zlib

import numpy as np
import pytest

from cifar_jax.data import archives, cache
from cifar_jax.data.dataset import Published
from cifar_jax.data.official import OFFICIAL
from tests.support.fake_cifar import assert_equal, draw, encode_binary, write_folder

BINARY = OFFICIAL['cifar10'].forms[0]


def load(directory: pathlib.Path) -> Published:
  return archives.load('cifar10', str(directory))


@pytest.fixture
def cached(tmp_path: pathlib.Path) -> pathlib.Path:
  """A directory with the binary version, loaded once."""
  write_folder(tmp_path, 'cifar10', BINARY)
  load(tmp_path)
  return tmp_path


def loads_from_files(directory: pathlib.Path) -> bool:
  """Loads, checks the images, and returns whether the official files were read."""
  with unittest.mock.patch.object(archives, '_read', wraps=archives._read) as read:
    published = load(directory)
  assert_equal(published.test, draw(6, 10, seed=5))
  assert published.train_sums is not None and published.train_sums.shape == (30, 2, 3)
  return read.called


def test_a_second_load_reads_the_cache_even_if_the_source_is_removed(cached: pathlib.Path) -> None:
  assert not loads_from_files(cached)
  shutil.rmtree(cached / BINARY.folder)
  assert not loads_from_files(cached)


def test_a_changed_source_is_read_again(cached: pathlib.Path) -> None:
  file = cached / BINARY.folder / 'data_batch_1.bin'
  times = file.stat()
  file.write_bytes(encode_binary('cifar10', draw(6, 10, seed=9)))
  os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as `tar` and `rsync --times` do
  assert loads_from_files(cached) and not loads_from_files(cached)


@pytest.mark.parametrize('fault', ['cut', 'flipped', 'missing', 'no json', 'version', 'empty'])
def test_a_faulty_cache_is_replaced(fault: str, cached: pathlib.Path) -> None:
  directory = cached / 'cifar_jax_cache' / 'cifar10'
  labels, record = directory / 'train_labels.npy', directory / 'record.json'
  if fault == 'cut':
    labels.write_bytes(labels.read_bytes()[:-1])
  elif fault == 'flipped':
    labels.write_bytes(labels.read_bytes()[:-4] + b'\x07\x00\x00\x00')
  elif fault == 'missing':
    labels.unlink()
  elif fault == 'no json':
    record.write_text('{')
  elif fault == 'version':
    record.write_text(json.dumps({**json.loads(record.read_text()), 'version': 0}))
  else:
    record.write_text('[]')
  assert loads_from_files(cached) and not loads_from_files(cached)


@pytest.mark.parametrize('fault', ['no directory', 'disk full'])
def test_loading_continues_if_the_cache_cannot_be_written(
  fault: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  warnings: list[str] = []
  monkeypatch.setattr(cache.logger, 'warning', lambda text, *args: warnings.append(text % args))
  write_folder(tmp_path, 'cifar10', BINARY)
  if fault == 'no directory':
    (tmp_path / 'cifar_jax_cache').touch()
  else:

    def save(path: pathlib.Path, array: np.ndarray) -> None:
      raise OSError(28, 'No space left on device')

    monkeypatch.setattr(cache.np, 'save', save)
  assert loads_from_files(tmp_path)
  cache_warnings = [text for text in warnings if 'cannot be written; continuing without' in text]
  assert cache_warnings == warnings[:1]
  if fault == 'disk full':
    assert os.listdir(tmp_path / 'cifar_jax_cache') == []


KILLED_PROGRAM = """
import os, signal, sys
import numpy as np
from cifar_jax.data import archives, cache
directory, function, calls_left = sys.argv[1], sys.argv[2], int(sys.argv[3])
module = {'save': np, 'rename': os}[function]
original = getattr(module, function)
def count_down(*args):
  global calls_left
  if not calls_left:
    os.kill(os.getpid(), signal.SIGKILL)
  calls_left -= 1
  return original(*args)
setattr(module, function, count_down)
archives.load('cifar10', directory)
"""


@pytest.mark.parametrize(('function', 'calls_left'), [('save', 2), ('rename', 0), ('rename', 1)])
def test_a_kill_leaves_no_cache_or_a_complete_one(
  function: str, calls_left: int, cached: pathlib.Path
) -> None:
  file = cached / BINARY.folder / 'data_batch_1.bin'
  file.write_bytes(encode_binary('cifar10', draw(6, 10, seed=9)))  # the cache is replaced
  command = [sys.executable, '-c', KILLED_PROGRAM, str(cached), function, str(calls_left)]
  assert subprocess.run(command).returncode == -signal.SIGKILL
  assert loads_from_files(cached) and not loads_from_files(cached)


def test_unfinished_caches_of_killed_processes_are_removed(cached: pathlib.Path) -> None:
  folder = cached / 'cifar_jax_cache'
  abandoned, recent = (folder / f'.cifar10-{digit * 32}' for digit in 'ab')
  mine, stale = folder / '.cifar10-of-mine', folder / f'.cifar10-{"c" * 32}-stale'
  for path in (abandoned, recent, mine):
    path.mkdir()
  stale.symlink_to(mine)
  for path in (abandoned, mine, stale):
    os.utime(path, (0, 0), follow_symlinks=False)
  (folder / 'cifar10' / 'record.json').unlink()
  load(cached)
  assert set(folder.iterdir()) == {folder / 'cifar10', recent, mine}


@pytest.mark.parametrize('target', ['elsewhere', 'nowhere'])
def test_a_link_in_the_place_of_a_cache_is_replaced_and_not_followed(
  cached: pathlib.Path, target: str
) -> None:
  (cached / 'elsewhere').mkdir()
  (cached / 'elsewhere' / 'file').touch()
  directory = cached / 'cifar_jax_cache' / 'cifar10'
  shutil.rmtree(directory)
  directory.symlink_to(cached / target)
  load(cached)
  assert not directory.is_symlink() and (cached / 'elsewhere' / 'file').exists()
  assert os.listdir(directory.parent) == ['cifar10']


@pytest.mark.parametrize('target', ['..', 'nowhere'])
def test_a_link_in_the_place_of_the_folder_of_caches_is_not_followed(
  tmp_path: pathlib.Path, target: str, caplog: pytest.LogCaptureFixture
) -> None:
  """Data of a stranger, beside a folder of the user that is called as a cache is."""
  stranger, mine = tmp_path / 'stranger', tmp_path / 'cifar10'
  write_folder(stranger, 'cifar10', BINARY)
  (stranger / 'cifar_jax_cache').symlink_to(target)
  mine.mkdir()
  (mine / 'record.json').write_text('thesis')
  abandoned = tmp_path / f'.cifar10-{"a" * 32}'
  abandoned.mkdir()
  os.utime(abandoned, (0, 0))
  with caplog.at_level(logging.WARNING, cache.logger.name):
    assert loads_from_files(stranger)
  assert [r.name for r in caplog.records].count(cache.logger.name) == 1
  assert 'cifar_jax_cache is a symbolic link, and nothing is written' in caplog.text
  assert set(tmp_path.iterdir()) == {stranger, mine, abandoned}
  assert (mine / 'record.json').read_text() == 'thesis'


@pytest.mark.parametrize('name', ['thesis.txt', 'record.json/thesis.txt', ''])
def test_what_is_no_cache_is_not_replaced(
  cached: pathlib.Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
  directory = cached / 'cifar_jax_cache' / 'cifar10'
  (directory / 'record.json').unlink()
  if not name:
    shutil.rmtree(directory)
  file = directory / name
  file.parent.mkdir(exist_ok=True)
  file.write_text('thesis')
  assert loads_from_files(cached)
  assert 'is no cache or has other files in it: move it away' in caplog.text
  assert file.read_text() == 'thesis' and len(list(directory.parent.iterdir())) == 1


def forge(directory: pathlib.Path, name: str, array: np.ndarray) -> None:
  """Puts another array into a cache, with the size and the checksum that its record should have."""
  path = directory / f'{name}.npy'
  np.save(path, array)
  record = json.loads((directory / 'record.json').read_text())
  record['arrays'][name] = {'bytes': path.stat().st_size, 'crc32': zlib.crc32(array.tobytes())}
  (directory / 'record.json').write_text(json.dumps(record))


@pytest.mark.parametrize('fault', ['no axis', 'floats', 'labels', 'sums', 'names', 'no bytes'])
def test_a_forged_cache_is_replaced(fault: str, cached: pathlib.Path) -> None:
  directory = cached / 'cifar_jax_cache' / 'cifar10'
  if fault == 'no axis':
    forge(directory, 'test_labels', np.array(0, np.int32))
  elif fault == 'floats':
    forge(directory, 'test_images', np.zeros((6, 32, 32, 3)))
  elif fault == 'labels':
    forge(directory, 'test_labels', np.full(6, 10, np.int32))
  elif fault == 'sums':
    forge(directory, 'train_sums', np.zeros((1, 2, 3), np.int64))
  else:
    record = json.loads((directory / 'record.json').read_text())
    if fault == 'names':
      record['class_names'] = list(range(10))
    else:
      (directory / 'test_labels.npy').write_bytes(b'')
      record['arrays']['test_labels']['bytes'] = 0
    (directory / 'record.json').write_text(json.dumps(record))
  assert loads_from_files(cached) and not loads_from_files(cached)


def test_a_cache_larger_than_the_memory_is_replaced_and_not_read(
  cached: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  directory, size = cached / 'cifar_jax_cache' / 'cifar10', 1 << 42
  record = json.loads((directory / 'record.json').read_text())
  record['arrays']['train_images']['bytes'] = size
  (directory / 'record.json').write_text(json.dumps(record))
  os.truncate(directory / 'train_images.npy', size)  # takes no room on the disk
  checksum = unittest.mock.Mock(wraps=zlib.crc32)
  monkeypatch.setattr(cache.zlib, 'crc32', checksum)
  assert loads_from_files(cached)
  assert max(memoryview(call.args[0]).nbytes for call in checksum.mock_calls) < 10**6
  assert not loads_from_files(cached)


def test_a_pipe_in_a_cache_is_not_waited_for(cached: pathlib.Path) -> None:
  directory = cached / 'cifar_jax_cache' / 'cifar10'
  record = json.loads((directory / 'record.json').read_text())
  record['arrays']['train_labels']['bytes'] = 0  # the size of a pipe
  (directory / 'record.json').write_text(json.dumps(record))
  (directory / 'train_labels.npy').unlink()
  os.mkfifo(directory / 'train_labels.npy')
  assert loads_from_files(cached) and not loads_from_files(cached)
