"""data.load: division, statistics and arguments, whatever was read; image folders; start-up."""

import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import PIL.Image
import pytest
from fake_cifar import draw, message, write_folder

from cifar_jax import data, experiment
from cifar_jax.data import pixels
from cifar_jax.data.dataset import Published, Split
from cifar_jax.data.official import OFFICIAL
from cifar_jax.errors import InputError


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Published:
  """200 training and 30 test images that pass for CIFAR-10."""
  train = draw(200, 10)
  sums = pixels.channel_sums(train.images)
  fake = Published(OFFICIAL['cifar10'].class_names, train, draw(30, 10, seed=1), sums)
  monkeypatch.setattr(data.archives, 'load', lambda name, data_dir: fake)
  return fake


def positions(split: Split, whole: Split) -> list[int]:
  """Where the images of `split` are in `whole`; their labels must have come along."""
  index = {image.tobytes(): i for i, image in enumerate(whole.images)}
  found = [index[image.tobytes()] for image in split.images]
  np.testing.assert_array_equal(split.labels, whole.labels[found])
  return found


def test_splits_are_disjoint_complete_and_in_order(published: Published) -> None:
  dataset = data.load('cifar10', validation_size=50)
  train = positions(dataset.train, published.train)
  validation = positions(dataset.validation, published.train)
  assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (150, 50, 30)
  assert sorted(train + validation) == list(range(200))
  assert train == sorted(train) and validation == sorted(validation)
  assert dataset.test is published.test


def test_the_seed_alone_decides_what_is_held_out(published: Published) -> None:
  def held_out(seed: int) -> list[int]:
    dataset = data.load('cifar10', validation_size=4, seed=seed)
    return positions(dataset.validation, published.train)

  assert held_out(1) == held_out(1) != held_out(2)
  # Of RandomState(0), whose stream numpy promises never to change: so are all results ever made.
  assert held_out(0) == [18, 98, 107, 170]


def test_no_validation(published: Published) -> None:
  dataset = data.load('cifar10', validation_size=0)
  np.testing.assert_array_equal(dataset.train.images, published.train.images)
  assert dataset.validation.images.shape == (0, 32, 32, 3)


def test_images_per_class_are_nested_and_balanced(published: Published) -> None:
  kept = {}
  for number in (3, 7):
    dataset = data.load('cifar10', validation_size=50, images_per_class=number)
    np.testing.assert_array_equal(np.bincount(dataset.train.labels), np.full(10, number))
    kept[number] = set(positions(dataset.train, published.train))
    assert not kept[number] & set(positions(dataset.validation, published.train))
  assert kept[3] < kept[7]


@pytest.mark.parametrize('image_size', [0, 16, 48])
def test_statistics_are_exact_and_of_train_alone(published: Published, image_size: int) -> None:
  dataset = data.load('cifar10', validation_size=50, images_per_class=9, image_size=image_size)
  values = dataset.train.images.astype(np.float64) / 255
  # The tolerance is for numpy's rounding: its sums are of fractions, ours of integers.
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
  assert mean == (1, 1, 1) and std == (0, 0, 0)


def test_resize_averages_when_it_shrinks() -> None:
  image = np.zeros((1, 4, 4, 3), np.uint8)
  image[:, ::2, ::2] = 200  # a filter without antialiasing would miss these or take them whole
  assert abs(int(pixels.resize(image, 1)[0, 0, 0, 0]) - 50) <= 30


def test_empty_train_has_neutral_statistics(
  published: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
  only_test = Published(published.class_names, published.test.take(np.arange(0)), published.test)
  monkeypatch.setattr(data.tfds, 'load', lambda name, data_dir, image_size: only_test)
  dataset = data.load('cifar10_1', validation_size=0, image_size=8)
  assert (dataset.mean, dataset.std) == ((0, 0, 0), (1, 1, 1))
  assert dataset.train.images.shape == (0, 8, 8, 3) and dataset.num_classes == 10


@pytest.mark.parametrize(
  ('arguments', 'said'),
  [
    ({'source': 'torch'}, "source='torch' is not one of archive, tfds"),
    ({'name': 'shapes', 'source': 'tfds'}, "leave source='archive'"),
    ({'validation_size': 200}, 'leaves nothing of the 200 training images'),
    ({'validation_size': -1}, 'validation_size=-1 is negative'),
    ({'images_per_class': 21, 'validation_size': 0}, "20 training images of 'airplane'"),
    ({'image_size': -8}, 'image_size=-8 is negative'),
    ({'seed': 2**32}, 'seed=4294967296 is outside 0..4294967295'),
    ({'name': 'folder'}, 'needs data_dir'),
    ({'name': 'folder', 'data_dir': '.'}, 'needs image_size'),
  ],
)
def test_arguments_that_cannot_be_met(
  published: Published, arguments: dict[str, Any], said: str
) -> None:
  assert said in message(lambda: data.load(**{'name': 'cifar10', **arguments}))


@pytest.mark.parametrize(
  ('images', 'labels', 'said'),
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
    (np.zeros((2, 9, 8, 3), np.uint8), np.zeros(2, np.int32), 'set image_size'),
  ],
)
def test_what_a_reader_returns_is_checked(
  images: np.ndarray, labels: np.ndarray, said: str
) -> None:
  test = Split(np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, np.int32))
  assert said in message(lambda: Published(('a', 'b'), Split(images, labels), test).check('fake'))


def test_shapes() -> None:
  shapes = pytest.importorskip('cifar_jax.data.shapes')
  fake = draw(40, 10), draw(20, 10, seed=1)
  with pytest.MonkeyPatch.context() as patch:
    arrays = (fake[0].images, fake[0].labels, fake[1].images, fake[1].labels)
    patch.setattr(shapes, 'generate', lambda seed: arrays)
    dataset = data.load('shapes', validation_size=10)
  assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (30, 10, 20)
  assert dataset.class_names == tuple(shapes.CLASS_NAMES)


@pytest.fixture
def image_folder(tmp_path: pathlib.Path) -> pathlib.Path:
  """Two classes; three images each for training (of unequal size and kind), one for testing."""
  for split, files in (('train', ('a.png', 'b.jpg', 'c.gif')), ('test', ('a.png',))):
    for shade, class_name in ((200, 'white'), (10, 'black')):
      directory = tmp_path / split / class_name
      directory.mkdir(parents=True)
      for i, file in enumerate(files):
        PIL.Image.new('L', (10 + i, 7), shade).save(directory / file)
  (tmp_path / 'train' / '.DS_Store').touch()
  (tmp_path / 'train' / 'white' / '.DS_Store').touch()
  return tmp_path


def load_folder(directory: pathlib.Path) -> data.Dataset:
  return data.load('folder', data_dir=str(directory), image_size=6, validation_size=0)


def test_folder(image_folder: pathlib.Path) -> None:
  dataset = load_folder(image_folder)
  assert dataset.class_names == ('black', 'white')
  assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
  assert dataset.test.labels.tolist() == [0, 1]
  assert dataset.train.images.shape == (6, 6, 6, 3)
  np.testing.assert_allclose(dataset.train.images[:3], 10, atol=2)
  np.testing.assert_array_equal(dataset.test.images[1], 200)


def test_folder_errors(image_folder: pathlib.Path) -> None:
  broken = image_folder / 'test' / 'white' / 'broken.png'
  broken.write_bytes((image_folder / 'test' / 'white' / 'a.png').read_bytes()[:40])
  assert 'broken.png is not an image' in message(lambda: load_folder(image_folder))
  broken.write_text('not an image')
  assert 'broken.png is not an image' in message(lambda: load_folder(image_folder))
  broken.unlink()
  (image_folder / 'test' / 'grey').mkdir()
  assert 'only one of train/ and test/ has grey' in message(lambda: load_folder(image_folder))
  (image_folder / 'train' / 'grey').mkdir()
  assert 'grey holds no images' in message(lambda: load_folder(image_folder))
  (image_folder / 'empty' / 'train').mkdir(parents=True)
  assert 'train is empty' in message(lambda: load_folder(image_folder / 'empty'))
  assert 'train is not there' in message(lambda: load_folder(image_folder / 'test'))


def test_loading_cifar_imports_no_framework(tmp_path: pathlib.Path) -> None:
  write_folder(tmp_path, 'cifar10', OFFICIAL['cifar10'].forms[0])
  script = (
    'import sys; from cifar_jax import data; '
    f'data.load("cifar10", data_dir={str(tmp_path)!r}, validation_size=5); '
    'print({"jax", "tensorflow", "tensorflow_datasets", "requests", "PIL"} & set(sys.modules))'
  )
  result = subprocess.run(
    [sys.executable, '-c', script], capture_output=True, text=True, check=True
  )
  assert result.stdout == 'set()\n'


def test_a_checkpoint_goes_on_with_its_own_data_alone(tiny_cifar):
  dataset, other = (
    data.load('cifar10', data_dir=str(tiny_cifar), validation_size=40, seed=seed) for seed in (0, 1)
  )
  told = {'data': experiment.fingerprint(dataset)}
  experiment.check_same_data(dataset, told)
  with pytest.raises(InputError, match='other data than'):
    experiment.check_same_data(other, told)
  with pytest.raises(InputError, match='an earlier version wrote it'):
    experiment.check_same_data(dataset, {})
