"""Damaged and hostile data: the command prints one line, exits with status 2, and runs nothing."""

import gzip
import io
import os
import pathlib
import pickle
import struct
import tarfile
import zlib
from collections.abc import Callable

import numpy as np
import PIL.Image
import pytest

from cifar_jax.data.official import OFFICIAL
from tests.support.bad_input import RESNET
from tests.support.bad_places import Hostile
from tests.support.commands import run_command, snapshot
from tests.support.fake_cifar import draw, encode_binary, encode_pickle, pack, write_folder

BINARY, PYTHON = OFFICIAL['cifar10'].forms

Damage = Callable[[pathlib.Path], None]  # writes a data set with a fault into a folder


def edit(file: str, change: Callable[[bytes], bytes]) -> Damage:
  """Changes one file of the unpacked binary version."""

  def damage(root: pathlib.Path) -> None:
    write_folder(root, 'cifar10', BINARY)
    path = root / BINARY.folder / file
    path.write_bytes(change(path.read_bytes()))

  return damage


def unpickled(file: str, make: Callable[[pathlib.Path], bytes]) -> Damage:
  """Writes what `make` returns for the folder into one file of the unpacked Python version."""

  def damage(root: pathlib.Path) -> None:
    write_folder(root, 'cifar10', PYTHON)
    (root / PYTHON.folder / file).write_bytes(make(root))

  return damage


def archived(change: Callable[[bytes], bytes]) -> Damage:
  """Changes the archive of the binary version."""

  def damage(root: pathlib.Path) -> None:
    write_folder(root, 'cifar10', BINARY)
    path = pack(root, BINARY)
    path.write_bytes(change(path.read_bytes()))

  return damage


def climbing(_: bytes) -> bytes:
  """An archive whose members have paths outside the folder."""
  stream = io.BytesIO()
  with tarfile.open(fileobj=stream, mode='w:gz') as tar:
    for name in ('../CANARY', '/tmp/CANARY', f'{BINARY.folder}/../../CANARY'):
      tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    link = tarfile.TarInfo('cifar-10-batches-bin/data_batch_1.bin')
    link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
    tar.addfile(link)
  return stream.getvalue()


def image_folder(file: str, content: bytes) -> Damage:
  """Writes a folder of images in classes, one of which has the given content."""

  def damage(root: pathlib.Path) -> None:
    for split in ('train', 'test'):
      for name in ('cat', 'dog'):
        (root / split / name).mkdir(parents=True)
        PIL.Image.new('RGB', (8, 8)).save(root / split / name / 'a.png')
    (root / 'train' / 'dog' / file).write_bytes(content)

  return damage


def png(width: int, height: int, data: bytes = b'') -> bytes:
  """A grey PNG with this size in its header and the given compressed pixels."""

  def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack('>I', zlib.crc32(kind + content))
    return struct.pack('>I', len(content)) + kind + content + checksum

  header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
  ends = chunk(b'IDAT', zlib.compress(data)) + chunk(b'IEND', b'')
  return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + ends


def sparse(root: pathlib.Path) -> None:
  """A file of a terabyte that takes no room."""
  write_folder(root, 'cifar10', BINARY)
  os.truncate(root / BINARY.folder / 'data_batch_2.bin', 1 << 40)


def huge_array(_: pathlib.Path) -> bytes:
  """A pickle of a few bytes whose array takes a petabyte."""
  whole = pickle.dumps({'data': np.empty((1, 2), np.uint8)}, protocol=2)
  return whole.replace(b'K\x01K\x02\x86', b'\x8a\x07' + (1 << 50).to_bytes(7, 'little') + b'\x85')


EPS = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(CANARY) (w) file closefile\n%%EOF\n'
BOMB = gzip.compress(bytes(1 << 24))

# For each fault of the data: how to make it, and words that the message must hold.
DAMAGES = {
  'a byte lost': (edit('data_batch_3.bin', lambda b: b[:-1]), ['data_batch_3.bin is cut off']),
  'half lost': (edit('test_batch.bin', lambda b: b[: len(b) // 2 + 1]), ['test_batch.bin']),
  'a byte gained': (edit('test_batch.bin', lambda b: b + b'\0'), ['test_batch.bin']),
  'shifted by a byte': (edit('data_batch_1.bin', lambda b: b'\xff' + b[:-1]), ['label 255']),
  'an eleventh class': (edit('data_batch_5.bin', lambda b: b'\x0a' + b[1:]), ['label 10']),
  'a file of CIFAR-100': (
    edit('data_batch_1.bin', lambda _: encode_binary('cifar100', draw(6, 10))), ['data_batch'],
  ),
  'emptied': (edit('data_batch_1.bin', lambda _: b''), ['data_batch_1.bin has no images']),
  'a terabyte': (sparse, ['data_batch_2.bin', '1,099,511,627,776 bytes']),
  'a hostile pickle': (
    unpickled('data_batch_1', lambda root: pickle.dumps({'data': Hostile(root / 'CANARY')})),
    ['data_batch_1 refers to', 'not loaded'],
  ),
  'a hostile pickle of names': (
    unpickled('batches.meta', lambda root: pickle.dumps(Hostile(root / 'CANARY'))),
    ['batches.meta refers to'],
  ),
  'a pickle of eval': (
    unpickled('data_batch_1', lambda _: b'cbuiltins\neval\n(S"open(\'CANARY\',\'w\')"\ntR.'),
    ['builtins.eval'],
  ),
  'class names that are a number': (
    unpickled('batches.meta', lambda _: pickle.dumps({'label_names': 5})), ['batches.meta'],
  ),
  'a cut pickle': (
    unpickled('test_batch', lambda _: encode_pickle('cifar10', draw(6, 10))[:-99]), ['damaged'],
  ),
  'no pickle': (unpickled('test_batch', lambda _: b'hello'), ['test_batch is damaged']),
  'a pickle without an array': (
    unpickled('test_batch', lambda _: pickle.dumps({'data': [1]})), ['uint8 [n, 3072]'],
  ),
  'a pickle of sixty classes': (
    unpickled('test_batch', lambda _: encode_pickle('cifar10', draw(60, 60))), ['label 10'],
  ),
  'a pickle of a petabyte': (unpickled('test_batch', huge_array), ['test_batch']),
  'a pickle of marks': (unpickled('test_batch', lambda _: b'(' * 99), ['test_batch is damaged']),
  'an unofficial archive': (archived(lambda b: b), ['damaged or not the official file', 'sha256']),
  'a cut archive': (archived(lambda b: b[:-50]), ['damaged or not the official']),
  'an archive with paths outside': (archived(climbing), ['damaged or not the official']),
  'a decompression bomb': (archived(lambda _: BOMB), ['damaged or not the official']),
  'an empty archive': (archived(lambda _: b''), ['damaged or not the official']),
  'a text as an image': (image_folder('b.png', b'hello'), ['b.png', 'not an image']),
  'an empty image': (image_folder('b.png', b''), ['b.png', 'not an image']),
  'a cut image': (image_folder('b.png', png(8, 8)[:-30]), ['b.png', 'not an image']),
  'an image without its pixels': (image_folder('b.png', png(8, 8)), ['b.png', 'not an image']),
  'an enormous image': (image_folder('b.png', png(10000, 10000)), ['million pixels', 'smaller']),
  'an image of a terapixel': (image_folder('b.png', png(10**6, 10**6)), ['b.png']),
  'a PostScript program as an image': (image_folder('b.eps', EPS), ['b.eps', 'not an image']),
}  # fmt: skip


@pytest.mark.parametrize('damage', DAMAGES)
def test_damaged_data_are_refused_in_one_line_and_nothing_changes(
  damage: str,
  place: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  make, words = DAMAGES[damage]
  make(tmp_path)
  is_folder = (tmp_path / 'train').exists()
  dataset = 'folder' if is_folder else 'cifar10'
  arguments = ['--config', f'{RESNET}:dataset={dataset}', f'--config.data.data_dir={tmp_path}']
  arguments += ['--config.data.validation_size=2', '--config.train.batch_size=2']
  arguments += ['--config.data.image_size=8', '--config.sharding.num_devices=1']
  before = snapshot(place)
  files = sorted(tmp_path.rglob('*'))
  status, lines = run_command('main', arguments, monkeypatch, capsys)
  assert status == 2 and len(lines) == 1 and 'Traceback' not in lines[0], lines
  assert all(word in lines[0] for word in words), lines
  assert sorted(tmp_path.rglob('*')) == files and snapshot(place) == before
  assert not pathlib.Path('/tmp/CANARY').exists() and not (place / 'CANARY').exists()
