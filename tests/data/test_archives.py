"""The official CIFAR files: every form is read, and every fault is refused."""

import dataclasses
import os
import pathlib
import pickle
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from cifar_jax.data import archives, batches, download
from cifar_jax.data.dataset import Published, Split
from cifar_jax.data.official import OFFICIAL, Form
from tests.support.fake_cifar import (
  assert_equal,
  draw,
  encode_pickle,
  encode_python2_pickle,
  expect_archive,
  message,
  pack,
  planes,
  write_folder,
)

BINARY, PYTHON = OFFICIAL['cifar10'].forms
FORMS = [(name, form) for name, official in OFFICIAL.items() for form in official.forms]
FORM_NAMES = [form.folder for _, form in FORMS]


def load(path: pathlib.Path, name: str = 'cifar10') -> Published:
  return archives.load(name, str(path))


@pytest.mark.parametrize(('name', 'form'), FORMS, ids=FORM_NAMES)
def test_every_form_is_read_from_its_folder_and_from_its_archive(
  name: str, form: Form, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  train, test = write_folder(tmp_path, name, form)
  write_folder(tmp_path / 'packed', name, form)
  archive = pack(tmp_path / 'packed', form)
  monkeypatch.setattr(download, 'check_digest', lambda *arguments: None)
  for path in (tmp_path, tmp_path / form.folder, archive.parent, archive):
    published = load(path, name)
    assert_equal(published.train, train)
    assert_equal(published.test, test)
    assert published.class_names == OFFICIAL[name].class_names


def test_pickles_of_python_2_are_read() -> None:
  for name, key in (('cifar10', 'labels'), ('cifar100', 'fine_labels')):
    split = draw(7, 10)
    assert_equal(batches.read_pickle('f', encode_python2_pickle(name, split), key), split)


def test_class_names_are_read_from_the_files(tmp_path: pathlib.Path) -> None:
  names = [f'kind_{i}' for i in range(10)]
  write_folder(tmp_path, 'cifar10', BINARY)
  (tmp_path / BINARY.folder / BINARY.names_file).write_text('\n'.join(names) + '\n\n')
  assert load(tmp_path).class_names == tuple(names)
  write_folder(tmp_path / 'python', 'cifar10', PYTHON)
  meta = pickle.dumps({b'label_names': [name.encode() for name in names]}, protocol=2)
  (tmp_path / 'python' / PYTHON.folder / PYTHON.names_file).write_bytes(meta)
  assert load(tmp_path / 'python').class_names == tuple(names)


def test_the_binary_version_is_preferred(tmp_path: pathlib.Path) -> None:
  train, _ = write_folder(tmp_path, 'cifar10', BINARY)
  write_folder(tmp_path, 'cifar10', PYTHON)
  (tmp_path / PYTHON.folder / 'data_batch_1').write_bytes(b'')
  assert_equal(load(tmp_path).train, train)


def test_fewer_images_are_accepted_with_a_warning(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  warnings: list[str] = []
  monkeypatch.setattr(archives.logger, 'warning', lambda text, *args: warnings.append(text % args))
  write_folder(tmp_path, 'cifar10', BINARY)
  for _ in ('from the files', 'from the cache'):
    load(tmp_path)
  expected = 'cifar10: 30 of the official 50000 training images and 6 of 10000 test images.'
  assert warnings == [expected, expected]


def test_faulty_binary_files_are_refused(tmp_path: pathlib.Path) -> None:
  write_folder(tmp_path, 'cifar10', BINARY)
  file = tmp_path / BINARY.folder / 'data_batch_3.bin'
  whole = file.read_bytes()
  file.write_bytes(whole[:-1])
  assert 'data_batch_3.bin is cut off: 18,437 bytes' in message(lambda: load(tmp_path))
  file.write_bytes(b'\x0a' + whole[1:])
  assert message(lambda: load(tmp_path)) == 'data_batch_3.bin: label 10 is outside 0..9'
  file.unlink()
  assert 'lacks data_batch_3.bin: fetch or unpack cifar-10-binary' in message(
    lambda: load(tmp_path)
  )
  file.mkdir()
  assert 'data_batch_3.bin cannot be read' in message(lambda: load(tmp_path))


@pytest.mark.parametrize(
  ('content', 'expected'),
  [
    (encode_pickle('cifar10', draw(3, 10))[:-900], 'is damaged (EOFError)'),
    (b'', 'is damaged (EOFError)'),
    (pickle.dumps([1, 2], protocol=2), 'holds a list, not a dictionary'),
    (pickle.dumps({'data': [1], 'labels': [1]}), "no uint8 [n, 3072] array under 'data'"),
    (pickle.dumps({'data': planes(draw(3, 10))[:, 1:]}, protocol=2), '3071 bytes per image'),
    (encode_pickle('cifar100', draw(3, 10)), "no list of integers under 'labels'"),
    (pickle.dumps({'data': planes(draw(3, 10)), 'labels': [1]}, protocol=2), '3 images but 1'),
    (
      pickle.dumps({'data': planes(draw(1, 10)), 'labels': [2**70]}, protocol=2),
      'test_batch: label 2147483647 is outside 0..9',
    ),
  ],
)
def test_faulty_pickles_are_refused(content: bytes, expected: str, tmp_path: pathlib.Path) -> None:
  write_folder(tmp_path, 'cifar10', PYTHON)
  (tmp_path / PYTHON.folder / 'test_batch').write_bytes(content)
  text = message(lambda: load(tmp_path))
  assert text.startswith('test_batch') and expected in text


class Hostile:
  """An object whose pickle creates a file when it is loaded."""

  def __init__(self, path: pathlib.Path) -> None:
    self.path = path

  def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
    return os.system, (f'touch {self.path}',)


def test_a_hostile_pickle_is_refused_without_running_its_code(tmp_path: pathlib.Path) -> None:
  write_folder(tmp_path, 'cifar10', PYTHON)
  trap = tmp_path / 'trap'
  content = pickle.dumps({'data': Hostile(trap)}, protocol=2)
  for file in ('data_batch_1', PYTHON.names_file):
    (tmp_path / PYTHON.folder / file).write_bytes(content)
    text = message(lambda: load(tmp_path))
    assert f'{PYTHON.names_file} refers to ' in text or 'data_batch_1 refers to ' in text
    assert f'{os.system.__module__}.system' in text
  assert not trap.exists()
  pickle.loads(content)  # an ordinary unpickler runs the code
  assert trap.exists()


def test_archives_are_checked_and_never_unpacked(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  train, _ = write_folder(tmp_path, 'cifar10', BINARY)
  archive = pack(tmp_path, BINARY)
  text = message(lambda: load(tmp_path))
  assert f'{archive} is damaged or not the official file: its sha256 is' in text
  assert BINARY.digest in text
  expect_archive(monkeypatch, 'cifar10', BINARY, archive.read_bytes())
  assert_equal(load(tmp_path).train, train)
  assert sorted(os.listdir(tmp_path)) == [archive.name, 'cifar_jax_cache']


@pytest.mark.parametrize(
  ('given', 'place'),
  [
    ('.keras', '.keras/datasets/cifar-10-batches-py-target'),
    ('.keras/datasets', '.keras/datasets/cifar-10-batches-py-target'),
    ('tfds', 'tfds/downloads/extracted/TAR_GZ.cs.toronto.edu_kriz_cifar-10-binary'),
    ('mine', 'mine/cifar'),
  ],
)
def test_files_are_found_where_other_libraries_leave_them(
  tmp_path: pathlib.Path, given: str, place: str
) -> None:
  form = BINARY if 'binary' in place else PYTHON
  train, test = write_folder(tmp_path / place, 'cifar10', form)
  (tmp_path / given / 'a').mkdir()
  (tmp_path / given / 'a' / 'data_batch_1').touch()  # a name alone does not make a file of CIFAR
  published = load(tmp_path / given)
  assert_equal(published.train, train)
  assert_equal(published.test, test)


@pytest.mark.parametrize('below', ['', 'downloads'])
def test_an_archive_under_another_name_is_known_by_size_and_checksum(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
  train, _ = write_folder(tmp_path, 'cifar10', BINARY)
  content = pack(tmp_path, BINARY).read_bytes()
  expect_archive(monkeypatch, 'cifar10', BINARY, content)
  directory = tmp_path / 'data' / below
  directory.mkdir(parents=True)
  (directory / 'a.tar.gz').write_bytes(content + b'more')
  archive = directory / 'cifar-10-batches-py-target_archive'
  archive.write_bytes(content)
  assert_equal(load(tmp_path / 'data').train, train)
  assert_equal(load(archive).train, train)
  archive.write_bytes(content[:-1] + b'!')
  assert f'{archive} is damaged or not the official' in message(lambda: load(tmp_path / 'data'))
  archive.write_bytes(b'')
  assert 'nor one of these under another name' in message(lambda: load(archive))


def test_a_path_that_is_neither_a_directory_nor_an_archive_is_refused(
  tmp_path: pathlib.Path,
) -> None:
  other = tmp_path / 'cifar-100-binary.tar.gz'
  assert f'{other} does not exist' in message(lambda: load(other))
  other.touch()
  assert 'nor an archive named cifar-10-binary.tar.gz or' in message(lambda: load(other))


def test_without_files_and_network_the_message_lists_the_alternatives(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(download, 'unreachable', lambda url: 'ConnectionError')
  first, *alternatives = message(lambda: load(tmp_path / 'nothing')).split(' or ')
  assert 'has no cifar10' in first and 'cannot be reached (ConnectionError)' in first
  assert 'put cifar-10-binary.tar.gz' in first
  for word in ('torchvision', 'source=tfds', 'name=folder', 'name=shapes'):
    assert sum(word in alternative for alternative in alternatives) == 1
  assert not (tmp_path / 'nothing').exists()


def test_files_that_end_in_zeros_are_a_warning(
  tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  official = dataclasses.replace(OFFICIAL['cifar10'], train_size=200, test_size=100)
  labels = np.arange(100, dtype=np.int32) % 10
  for is_torn in (False, True):
    torn = np.where(np.arange(100) < 50, labels, 0)
    test = Split(np.zeros((100, 32, 32, 3), np.uint8), torn if is_torn else labels)
    caplog.clear()
    published = Published(official.class_names, draw(150, 10), test)
    archives._warn_of_other_images('cifar10', published, official)
    words = '55 of the test images are of class airplane; the official ones have 10 of each'
    assert (words in caplog.text) == is_torn


def test_a_cache_without_its_files_is_used_with_a_warning(
  tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  write_folder(tmp_path, 'cifar10', BINARY)
  first = load(tmp_path)
  assert 'the images are those of the cache' not in caplog.text
  shutil.rmtree(tmp_path / BINARY.folder)
  assert_equal(load(tmp_path).train, first.train)
  assert 'the images are those of the cache' in caplog.text
