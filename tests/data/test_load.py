"""`data.load`: division, statistics and settings of any data set; imports."""

import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from cifar_jax import data
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import archives, pixels, shapes, tfds
from cifar_jax.data.dataset import (
  Published,
  Split,
  check_same_data,
  fingerprint,
  without_images,
)
from cifar_jax.data.official import OFFICIAL
from cifar_jax.errors import InputError
from tests.support.fake_cifar import draw, message, write_folder


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Published:
  """200 training and 30 test images in place of CIFAR-10."""
  train = draw(200, 10)
  sums = pixels.channel_sums(train.images)
  fake = Published(OFFICIAL['cifar10'].class_names, train, draw(30, 10, seed=1), sums)
  monkeypatch.setattr(archives, 'load', lambda name, data_dir: fake)
  return fake


def positions(split: Split, whole: Split) -> list[int]:
  """The indices of the images of `split` in `whole`. Checks that the labels belong to them."""
  index = {image.tobytes(): i for i, image in enumerate(whole.images)}
  indices = [index[image.tobytes()] for image in split.images]
  np.testing.assert_array_equal(split.labels, whole.labels[indices])
  return indices


def test_splits_are_disjoint_complete_and_in_order(published: Published) -> None:
  dataset = data.load(DataSettings('cifar10', validation_size=50))
  train = positions(dataset.train, published.train)
  validation = positions(dataset.validation, published.train)
  assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (150, 50, 30)
  assert sorted(train + validation) == list(range(200))
  assert train == sorted(train) and validation == sorted(validation)
  assert dataset.test is published.test


def test_the_validation_images_depend_on_the_seed_alone(published: Published) -> None:
  def held_out(seed: int) -> list[int]:
    dataset = data.load(DataSettings('cifar10', validation_size=4, seed=seed))
    return positions(dataset.validation, published.train)

  assert held_out(1) == held_out(1) != held_out(2)
  # From RandomState(0), whose stream NumPy promises never to change. All results depend on it.
  assert held_out(0) == [18, 98, 107, 170]


def test_a_validation_size_below_one_is_a_share(published: Published) -> None:
  dataset = data.load(DataSettings('cifar10', validation_size=0.02))
  assert positions(dataset.validation, published.train) == [18, 98, 107, 170]


def test_without_validation_all_images_are_for_training(published: Published) -> None:
  dataset = data.load(DataSettings('cifar10', validation_size=0))
  np.testing.assert_array_equal(dataset.train.images, published.train.images)
  assert dataset.validation.images.shape == (0, 32, 32, 3)


def test_images_per_class_are_nested_and_balanced(published: Published) -> None:
  chosen = {}
  for number in (3, 7):
    dataset = data.load(DataSettings('cifar10', validation_size=50, images_per_class=number))
    np.testing.assert_array_equal(np.bincount(dataset.train.labels), np.full(10, number))
    chosen[number] = set(positions(dataset.train, published.train))
    assert not chosen[number] & set(positions(dataset.validation, published.train))
  assert chosen[3] < chosen[7]


@pytest.mark.parametrize('image_size', [0, 16, 48])
def test_statistics_are_exact_and_of_train_alone(published: Published, image_size: int) -> None:
  dataset = data.load(
    DataSettings('cifar10', validation_size=50, images_per_class=9, image_size=image_size)
  )
  values = dataset.train.images.astype(np.float64) / 255
  # The tolerance is for NumPy's rounding: it adds fractions, where the code adds integers.
  np.testing.assert_allclose(dataset.mean, values.mean((0, 1, 2)), rtol=1e-12)
  np.testing.assert_allclose(dataset.std, values.std((0, 1, 2)), rtol=1e-12)
  size = image_size or 32
  assert dataset.validation.images.shape == (50, size, size, 3)
  assert dataset.test.images.shape == (30, size, size, 3)


def test_channel_sums_are_exact_where_float32_is_not() -> None:
  images = np.full((2, 300, 300, 3), 255, np.uint8)
  images[0, 0, 0] = 254
  sums = pixels.channel_sums(images)
  assert sums.dtype == np.int64
  assert sums[0].tolist() == [[90_000 * 255 - 1] * 3, [90_000 * 255**2 - 255**2 + 254**2] * 3]
  mean, std = pixels.mean_and_std(sums[1:], 90_000)
  assert mean == (1, 1, 1) and std == (1, 1, 1)  # a deviation of 0 would divide by zero


def test_resize_averages_when_it_shrinks() -> None:
  image = np.zeros((1, 4, 4, 3), np.uint8)
  image[:, ::2, ::2] = 200  # a filter without antialiasing would miss all of these or nothing else
  assert abs(int(pixels.resize(image, 1, 'squeeze')[0, 0, 0, 0]) - 50) <= 30


def test_an_empty_training_split_has_mean_0_and_deviation_1(
  published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
  only_test = Published(published.class_names, published.test.take(np.arange(0)), published.test)
  monkeypatch.setattr(tfds, 'load', lambda settings: only_test)
  dataset = data.load(DataSettings('cifar10_1', validation_size=0, image_size=8))
  assert (dataset.mean, dataset.std) == ((0, 0, 0), (1, 1, 1))
  assert dataset.train.images.shape == (0, 8, 8, 3) and dataset.num_classes == 10


@pytest.mark.parametrize(
  ('fields', 'expected'),
  [
    ({'source': 'torch'}, "data.source is 'torch'; it must be one of archive, tfds"),
    ({'name': 'shapes', 'source': 'tfds'}, "set data.source to 'archive'"),
    ({'validation_size': 200}, 'leaves nothing of the 200 training images'),
    ({'validation_size': -1}, 'data.validation_size is -1; it must be at least 0'),
    ({'images_per_class': 21, 'validation_size': 0}, "20 training images of 'airplane'"),
    ({'image_size': -8}, 'data.image_size is -8; it must be at least 0'),
    ({'seed': 2**32}, 'data.seed is 4294967296; it must be at least 0 and below'),
    ({'validation_size': 2.5}, 'data.validation_size is 2.5; it must be a whole number of images'),
    ({'name': 'folder'}, 'needs data.data_dir'),
    ({'name': 'folder', 'data_dir': '.'}, 'needs data.image_size'),
  ],
)
def test_settings_that_cannot_be_met_are_named(
  published: Published, fields: dict[str, Any], expected: str
) -> None:
  assert expected in message(lambda: data.load(DataSettings(**{'name': 'cifar10', **fields})))


@pytest.mark.parametrize(
  ('images', 'labels', 'expected'),
  [
    (np.zeros((2, 8, 8, 3), np.float32), np.zeros(2, np.int32), 'must be uint8'),
    (
      np.zeros((2, 8, 8, 1), np.uint8),
      np.zeros(2, np.int32),
      'must be uint8 [n, height, width, 3]',
    ),
    (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, np.int64), 'must be int32 [2]'),
    (np.zeros((2, 8, 8, 3), np.uint8), np.zeros(3, np.int32), 'must be int32 [2]'),
    (np.zeros((2, 8, 8, 3), np.uint8), np.array([0, -1], np.int32), 'label -1 is outside 0..1'),
    (np.zeros((2, 9, 8, 3), np.uint8), np.zeros(2, np.int32), 'set data.image_size'),
  ],
)
def test_the_arrays_of_a_reader_are_checked(
  images: np.ndarray, labels: np.ndarray, expected: str
) -> None:
  test = Split(np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, np.int32))
  assert expected in message(
    lambda: Published(('a', 'b'), Split(images, labels), test).check('fake')
  )


def test_shapes_are_divided_like_other_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
  train, test = draw(40, 10), draw(20, 10, seed=1)
  arrays = (train.images, train.labels, test.images, test.labels)
  monkeypatch.setattr(shapes, 'generate', lambda seed: arrays)
  dataset = data.load(DataSettings('shapes', validation_size=10))
  assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (30, 10, 20)
  assert dataset.class_names == tuple(shapes.CLASS_NAMES)


def test_loading_cifar_imports_no_framework(tmp_path: pathlib.Path) -> None:
  write_folder(tmp_path, 'cifar10', OFFICIAL['cifar10'].forms[0])
  script = (
    'import sys; from cifar_jax import data; from cifar_jax.config.dataset import DataSettings; '
    f'data.load(DataSettings("cifar10", data_dir={str(tmp_path)!r}, validation_size=5)); '
    'print({"jax", "tensorflow", "tensorflow_datasets", "requests", "PIL"} & set(sys.modules))'
  )
  result = subprocess.run(
    [sys.executable, '-c', script], capture_output=True, text=True, check=True
  )
  assert result.stdout == 'set()\n'


@pytest.mark.parametrize(
  ('settings', 'shape', 'wrong'),
  [
    (DataSettings('cifar10'), [32, 32, 3], [[2000, 2000, 3], [32, 32, 1], [32, 64, 3]]),
    (DataSettings('svhn'), [32, 32, 3], [[36, 36, 3]]),
    (DataSettings('folder', image_size=64), [64, 64, 3], [[32, 32, 3]]),
    (DataSettings('flowers'), [40, 60, 3], [[40, 4100, 3], [0, 40, 3], [40, 40, 1 << 40]]),
  ],
  ids=['cifar10', 'svhn', 'folder', 'flowers'],
)
def test_the_images_of_a_checkpoint_are_those_of_its_configuration(
  settings: DataSettings, shape: list[int], wrong: list[list[int]]
) -> None:
  described = {'class_names': ['cat'], 'mean': [0.5] * 3, 'std': [0.2] * 3}
  dataset = without_images(settings, {'data': described | {'image_shape': shape}})
  assert dataset and dataset.test.images.shape == (0, *shape)
  for other in wrong:
    changed = {'data': described | {'image_shape': other}}
    with pytest.raises(InputError, match='someone changed the checkpoint'):
      without_images(settings, changed)


def test_a_run_can_be_continued_only_with_the_same_data(
  tiny_cifar: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  dataset, other = (
    data.load(DataSettings('cifar10', data_dir=str(tiny_cifar), validation_size=40, seed=seed))
    for seed in (0, 1)
  )
  run_info = {'data': fingerprint(dataset)}
  check_same_data(dataset, run_info)
  assert 'without checksums' not in caplog.text
  with pytest.raises(InputError, match='other data than'):
    check_same_data(other, run_info)
  del run_info['data']['images_crc32']  # as in a checkpoint of an earlier version
  check_same_data(dataset, run_info)
  assert 'without checksums of the images' in caplog.text
  with pytest.raises(InputError, match='other data than'):
    check_same_data(other, run_info)
  with pytest.raises(InputError, match='an earlier version wrote it'):
    check_same_data(dataset, {})
