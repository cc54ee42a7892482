"""SVHN, CIFAR-10.1 and CIFAR-10-C: what is read from their files, and faults of the files."""

import contextlib
import pathlib
import struct
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from cifar_jax import data
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import corrupted, mat_files, tfds
from cifar_jax.data.dataset import Dataset
from cifar_jax.errors import InputError
from tests.support.fake_cifar import assert_equal, draw, message


def load(name: str, directory: pathlib.Path, **fields: Any) -> Dataset:
  return data.load(DataSettings(name, str(directory), **{'validation_size': 0, **fields}))


def write_mat(path: pathlib.Path, images: np.ndarray, labels: Any) -> None:
  """Writes images, uint8 `[n, height, width, 3]`, and labels as SVHN does."""
  scipy.io.savemat(path, {'X': images.transpose(1, 2, 3, 0), 'y': np.array(labels)[:, None]})


def test_svhn_is_read_from_its_mat_files(tmp_path: pathlib.Path) -> None:
  train, test = draw(20, 10), draw(12, 10, seed=1)
  for name, split in (('test', test), ('train', train)):
    labels = np.where(split.labels == 0, 10, split.labels).astype(np.uint8)
    write_mat(tmp_path / f'{name}_32x32.mat', split.images, labels)
    dataset = load('svhn', tmp_path)
    assert_equal(dataset.test, test)
    assert len(dataset.train) == (20 if name == 'train' else 0)
  assert_equal(dataset.train, train)
  assert dataset.class_names == tuple('0123456789')
  assert_equal(load('svhn', tmp_path / 'train_32x32.mat').test, train)


def test_faulty_files_of_svhn_are_refused(tmp_path: pathlib.Path) -> None:
  assert 'needs data.data_dir' in message(lambda: data.load(DataSettings('svhn')))
  assert 'there is no' in message(lambda: load('svhn', tmp_path))
  path, images = tmp_path / 'test_32x32.mat', draw(3, 10).images
  write_mat(path, images, [1, 2, 11])
  assert 'label 11 is outside 1..10' in message(lambda: load('svhn', tmp_path))
  write_mat(path, images, [1, 2])
  assert 'no labels of its 3 images' in message(lambda: load('svhn', tmp_path))
  path.write_bytes(path.read_bytes()[:200])
  assert 'damaged' in message(lambda: load('svhn', tmp_path))
  scipy.io.savemat(path, {'y': [[1]]})
  assert 'no images uint8' in message(lambda: load('svhn', tmp_path))
  nested: Any = 1
  for _ in range(5):
    outer = np.empty((1, 1), object)
    outer[0, 0] = nested
    nested = outer
  for value in (nested, {'a': 1}, np.ones((2, 2)) * 1j, scipy.sparse.eye_array(3).tocsc(), 'text'):
    scipy.io.savemat(path, {'X': images.transpose(1, 2, 3, 0), 'y': value})
    assert 'y is no numeric array' in message(lambda: load('svhn', tmp_path))


def test_svhn_may_be_compressed_and_its_labels_of_any_type(tmp_path: pathlib.Path) -> None:
  split = draw(7, 10)
  labels = np.where(split.labels == 0, 10, split.labels)[:, None]
  for dtype in (np.float64, np.float32, np.uint8, np.int64):
    arrays = {'X': split.images.transpose(1, 2, 3, 0), 'other': ['a'], 'y': labels.astype(dtype)}
    scipy.io.savemat(tmp_path / 'test_32x32.mat', arrays, do_compression=True)
    assert_equal(load('svhn', tmp_path).test, split)


def test_a_file_of_svhn_is_looked_at_before_it_is_unpacked(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = tmp_path / 'test_32x32.mat'
  monkeypatch.setattr(mat_files, '_FREE_BYTES', 0)
  scipy.io.savemat(path, {'X': np.zeros((32, 32, 3, 60), np.uint8)}, do_compression=True)
  assert 'more than photographs do' in message(lambda: load('svhn', tmp_path))
  scipy.io.savemat(path, {'X': np.zeros((32, 32, 3, 2), np.uint8), 'y': [[1], [2]]})
  plain = path.read_bytes()
  count = plain.index(struct.pack('<4i', 32, 32, 3, 2)) + 12
  for images, expected in ((600_000, 'more than the 531,131'), (3, 'not those of its head')):
    path.write_bytes(plain[:count] + struct.pack('<i', images) + plain[count + 4 :])
    assert expected in message(lambda: load('svhn', tmp_path))


@pytest.mark.parametrize('compressed', [False, True])
def test_a_file_of_svhn_with_any_byte_changed_is_read_or_refused(
  tmp_path: pathlib.Path, compressed: bool
) -> None:
  path, random = tmp_path / 'test_32x32.mat', np.random.RandomState(0)
  write = {'X': draw(1, 10).images.transpose(1, 2, 3, 0), 'y': [[1]]}
  scipy.io.savemat(path, write, do_compression=compressed)
  content = path.read_bytes()
  places = [*range(124, 260), *range(len(content) - 80, len(content))]
  for place in places:
    changed = bytearray(content)
    changed[place] = random.randint(256)
    path.write_bytes(changed)
    with contextlib.suppress(InputError):
      load('svhn', tmp_path)
    path.write_bytes(content[:place])
    assert str(path) in message(lambda: load('svhn', tmp_path))


def test_cifar_10_1_is_read_from_its_npy_files_or_else_by_tensorflow_datasets(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  splits = {'v4': draw(20, 10), 'v6': draw(14, 10, seed=1)}
  for version, directory in (('v4', tmp_path), ('v6', tmp_path / 'datasets')):
    directory.mkdir(exist_ok=True)
    np.save(directory / f'cifar10.1_{version}_data.npy', splits[version].images)
    labels = splits[version].labels.astype(np.int64)
    np.save(directory / f'cifar10.1_{version}_labels.npy', labels)
  dataset = load('cifar10_1', tmp_path)
  assert_equal(dataset.test, splits['v6'])
  assert len(dataset.train) == 0 and dataset.class_names[3] == 'cat'
  assert_equal(load('cifar10_1', tmp_path / 'cifar10.1_v4_data.npy').test, splits['v4'])
  called: list[DataSettings] = []
  monkeypatch.setattr(tfds, 'load', called.append)
  for directory, source in ((tmp_path, 'tfds'), (tmp_path / 'nothing', 'archive')):
    with pytest.raises(AttributeError):  # the stub returns nothing
      load('cifar10_1', directory, source=source)
  assert len(called) == 2


def test_faulty_npy_files_are_refused(tmp_path: pathlib.Path) -> None:
  split = draw(6, 10)
  images, labels = (tmp_path / f'cifar10.1_v6_{name}.npy' for name in ('data', 'labels'))
  np.save(images, split.images)
  assert 'there is no' in message(lambda: load('cifar10_1', tmp_path))
  np.save(labels, split.labels[:5])
  assert 'not 6 integers' in message(lambda: load('cifar10_1', tmp_path))
  np.save(labels, split.labels + 7)
  assert 'label 10 is outside' in message(lambda: load('cifar10_1', tmp_path))
  np.save(
    labels, np.array([print] * 6, object), allow_pickle=True
  )  # a pickle, which could run code
  assert 'not an array of numpy.save' in message(lambda: load('cifar10_1', tmp_path))
  np.save(images, split.images.astype(np.float32))
  assert 'not images uint8' in message(lambda: load('cifar10_1', tmp_path))


def write_corruption(directory: pathlib.Path, name: str, *, per_severity: int = 4) -> np.ndarray:
  """Writes a corruption whose images tell their severity, and the labels; returns the images."""
  directory.mkdir(exist_ok=True)
  images = np.repeat(np.arange(5, dtype=np.uint8), per_severity)[:, None, None, None]
  images = np.broadcast_to(images, (len(images), 32, 32, 3))
  np.save(directory / f'{name}.npy', images)
  np.save(directory / 'labels.npy', np.tile(np.arange(per_severity, dtype=np.uint8), 5))
  return images


def test_a_corruption_is_read_by_severity(tmp_path: pathlib.Path) -> None:
  for directory in (tmp_path / 'CIFAR-10-C', tmp_path):
    write_corruption(directory, 'fog')
    write_corruption(directory, 'spatter')
    files = corrupted.find(DataSettings('cifar10_c', str(tmp_path)))
    assert list(files) == ['fog', 'spatter']
    splits = corrupted.read(files['fog'], 10)
    assert [split.images[0, 0, 0, 0] for split in splits] == [0, 1, 2, 3, 4]
    assert all(split.labels.tolist() == [0, 1, 2, 3] for split in splits)


def test_corrupted_images_that_are_missing_or_incomplete_are_refused(
  tmp_path: pathlib.Path,
) -> None:
  settings = DataSettings('cifar100_c', str(tmp_path))
  assert 'such as gaussian_noise.npy' in message(lambda: corrupted.find(settings))
  assert 'needs data.data_dir' in message(lambda: corrupted.find(DataSettings('cifar10_c')))
  assert 'has test images alone' in message(lambda: load('cifar10_c', tmp_path))
  images = write_corruption(tmp_path, 'fog')
  np.save(tmp_path / 'fog.npy', images[:-1])
  np.save(tmp_path / 'labels.npy', np.zeros(19, np.uint8))
  assert 'five severities' in message(lambda: corrupted.read(tmp_path / 'fog.npy', 10))
  np.save(tmp_path / 'fog.npy', np.zeros((10, 32, 32, 3), np.uint8))  # of one severity
  np.save(tmp_path / 'labels.npy', np.arange(10))
  assert 'no severities' in message(lambda: corrupted.read(tmp_path / 'fog.npy', 10))
