"""Sets of tensorflow-datasets, read without TensorFlow.

The prepared sets are real array_record files. These tests write them record by record, with the
metadata that tensorflow-datasets writes, so that reading is tested against the library itself.
Preparing a set needs TensorFlow and a network. It is tested only up to the call of
`download_and_prepare`, with a fake builder.
"""

import io
import json
import os
import pathlib
import subprocess
import sys
import unittest.mock
from typing import Any

import numpy as np
import PIL.EpsImagePlugin
import PIL.Image
import pytest
import tensorflow_datasets
from array_record.python import array_record_module
from tensorflow_datasets.proto import tf_example_generated_pb2

from cifar_jax import data
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import download, tfds
from cifar_jax.data.dataset import Published
from cifar_jax.errors import ShortageError
from cifar_jax.runtime import memory
from tests.support.fake_cifar import draw, message

PROGRAM = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n'


def write_set(
  root: pathlib.Path, sizes: dict[str, list[int]], channels: int = 3, **info: str
) -> None:
  """Writes the prepared set 'tiny' of two classes.

  Args:
    root: the data directory of tensorflow-datasets.
    sizes: for each split the sides of its images, in pixels.
    channels: number of channels of the images.
    **info: further fields of the metadata.
  """
  directory = root / 'tiny' / '1.0.0'
  directory.mkdir(parents=True)
  tensorflow_datasets.features.FeaturesDict(
    {
      'image': tensorflow_datasets.features.Image(shape=(None, None, channels)),
      'label': tensorflow_datasets.features.ClassLabel(names=['cat', 'dog']),
    }
  ).save_config(str(directory))
  splits = []
  for split, split_sizes in sizes.items():
    path = directory / f'tiny-{split}.array_record-00000-of-00001'
    writer = array_record_module.ArrayRecordWriter(str(path), 'group_size:1')
    for i, size in enumerate(split_sizes):
      writer.write(encode_example(image_of(i, size, channels), i % 2))
    writer.close()
    template = '{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}'
    splits.append(
      {'name': split, 'shardLengths': [str(len(split_sizes))], 'filepathTemplate': template}
    )
  meta = {
    'name': 'tiny',
    'version': '1.0.0',
    'fileFormat': 'array_record',
    'splits': splits,
    **info,
  }
  (directory / 'dataset_info.json').write_text(json.dumps(meta))


def image_of(i: int, size: int, channels: int = 3) -> np.ndarray:
  """Image i of a split: random uint8 `[size, size, channels]`."""
  return draw(1, 1, seed=i).images[0, :size, :size, :channels]


def encode_example(image: np.ndarray, label: int) -> bytes:
  """A record as tensorflow-datasets writes it."""
  png = io.BytesIO()
  PIL.Image.fromarray(image.squeeze()).save(png, 'PNG')
  example = tf_example_generated_pb2.Example()
  example.features.feature['image'].bytes_list.value.append(png.getvalue())
  example.features.feature['label'].int64_list.value.append(label)
  return example.SerializeToString()


def load(root: pathlib.Path, image_size: int = 0, name: str = 'tiny') -> Published:
  return tfds.load(DataSettings(name, str(root), image_size=image_size))


def test_a_prepared_set_is_read(tmp_path: pathlib.Path) -> None:
  write_set(tmp_path, {'train': [8] * 5, 'test': [8] * 3})
  dataset = data.load(DataSettings('tiny', data_dir=str(tmp_path), validation_size=0))
  assert dataset.class_names == ('cat', 'dog')
  np.testing.assert_array_equal(dataset.train.images, [image_of(i, 8) for i in range(5)])
  assert dataset.train.labels.tolist() == [0, 1, 0, 1, 0]
  assert len(dataset.test) == 3


def test_splits_may_be_missing_or_named_validation(tmp_path: pathlib.Path) -> None:
  write_set(tmp_path / 'only', {'test': [8, 8]})
  assert load(tmp_path / 'only').train.images.shape == (0, 8, 8, 3)
  write_set(tmp_path / 'validation', {'train': [8] * 2, 'validation': [8] * 3})
  assert len(load(tmp_path / 'validation').test) == 3
  write_set(tmp_path / 'train', {'train': [8] * 2})
  assert "neither a split 'test' nor 'validation'" in message(lambda: load(tmp_path / 'train'))


def test_an_official_validation_split_takes_the_place_of_held_out_images(
  tmp_path: pathlib.Path,
) -> None:
  write_set(tmp_path, {'train': [8] * 5, 'validation': [8] * 2, 'test': [8] * 3})
  for size, expected in ((5000, (5, 2, 3)), (0, (5, 0, 3))):
    dataset = data.load(DataSettings('tiny', data_dir=str(tmp_path), validation_size=size))
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == expected


def test_grey_images_become_rgb_and_unequal_sizes_need_image_size(tmp_path: pathlib.Path) -> None:
  write_set(tmp_path / 'grey', {'test': [8, 8]}, channels=1)
  grey = load(tmp_path / 'grey').test.images
  np.testing.assert_array_equal(grey[1], np.repeat(image_of(1, 8, 1), 3, axis=-1))
  write_set(tmp_path / 'sizes', {'test': [8, 12]})
  assert 'set data.image_size' in message(lambda: load(tmp_path / 'sizes'))
  assert load(tmp_path / 'sizes', image_size=6).test.images.shape == (2, 6, 6, 3)


def test_images_that_do_not_fit_in_memory_are_refused_after_the_first(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  write_set(tmp_path, {'test': [8] * 5})
  monkeypatch.setattr(memory, 'host_bytes', lambda: 5 * 8 * 8 * 3 - 1)
  read = unittest.mock.Mock(wraps=tfds._as_rgb)
  monkeypatch.setattr(tfds, '_as_rgb', read)
  with pytest.raises(ShortageError, match='5 images of 8 x 8 pixels'):
    load(tmp_path)
  assert read.call_count == 1


def test_images_of_four_channels_are_refused() -> None:
  expected = 'set: images are uint8 (8, 8, 4), not uint8 of 1 or 3 channels'
  assert expected == message(lambda: tfds._as_rgb('set', np.zeros((8, 8, 4), np.uint8)))


def test_images_of_a_set_are_opened_in_plain_formats_only(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  opened: list[object] = []
  monkeypatch.setattr(PIL.EpsImagePlugin, 'Ghostscript', lambda *given: opened.append(given))
  before = PIL.Image.ID.copy()
  monkeypatch.setattr(PIL.Image.Image, 'save', lambda image, file, kind: file.write(PROGRAM))
  write_set(tmp_path, {'test': [8]})
  assert 'tiny: image 0 of test cannot be read' in message(lambda: load(tmp_path))
  assert not opened and before == PIL.Image.ID


@pytest.mark.parametrize('key', ['pythonClassName', 'python_class_name', 'type'])
def test_a_set_cannot_name_code_of_its_own(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
  write_set(tmp_path, {'test': [8]})
  path = tmp_path / 'tiny' / '1.0.0' / 'features.json'
  for name in (f'hostile_{key}.Feature', 'os.path', 'tensorflow_datasetsx.Feature'):
    path.write_text(json.dumps({key: name} | ({'content': {}} if key == 'type' else {})))
    (tmp_path / f'hostile_{key}.py').write_text(f'open({str(tmp_path / "CANARY")!r}, "w")')
    monkeypatch.syspath_prepend(tmp_path)  # where `python -m` has the current directory
    assert f'names {str(name)!a}, which is not part of' in message(lambda: load(tmp_path))
    assert not (tmp_path / 'CANARY').exists()
  write_set(tmp_path / 'again', {'test': [8]})  # in the same process
  assert len(load(tmp_path / 'again').test) == 1


@pytest.mark.parametrize('name', ['huggingface:someone/set', 'kubric:movi_a', 'x:y:1.0.0'])
def test_a_set_of_someone_elses_code_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
  monkeypatch.setattr(tensorflow_datasets, 'builder', lambda *_, **__: pytest.fail('was built'))
  text = message(lambda: data.load(DataSettings(name=name)))
  assert f'{name} names a set outside tensorflow-datasets' in text


@pytest.mark.parametrize('text', ['', '{', '[' * 100_000, '{"pythonClassName": 5}', '{"type": 5}'])
@pytest.mark.parametrize('name', ['features.json', 'dataset_info.json'])
def test_a_damaged_set_is_one_line(tmp_path: pathlib.Path, name: str, text: str) -> None:
  write_set(tmp_path, {'test': [8]})
  (tmp_path / 'tiny' / '1.0.0' / name).write_text(text)
  assert 'tiny' in message(lambda: load(tmp_path))


@pytest.mark.parametrize('name', ['features.json', 'dataset_info.json', 'label.labels.txt'])
def test_a_set_with_a_pipe_is_refused(tmp_path: pathlib.Path, name: str) -> None:
  write_set(tmp_path, {'test': [8]})
  path = tmp_path / 'tiny' / '1.0.0' / name
  path.unlink(missing_ok=True)
  os.mkfifo(path)
  assert 'a pipe or a device' in message(lambda: load(tmp_path))


def test_a_set_prepared_as_tfrecord_is_refused(tmp_path: pathlib.Path) -> None:
  write_set(tmp_path, {'test': [8]}, fileFormat='tfrecord')
  text = message(lambda: load(tmp_path))
  assert 'is prepared as tfrecord' in text and 'install the package tensorflow' in text


def test_without_tensorflow_datasets_a_set_is_refused_and_the_packages_named(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)  # importing it fails
  text = message(lambda: data.load(DataSettings('cifar11')))
  assert (
    'cifar11 is none of cifar10, cifar100, shapes, folder, svhn (did you mean cifar10?)' in text
  )
  assert 'install the packages tensorflow-datasets and importlib_resources' in text


def test_a_url_whose_package_is_missing_is_refused_in_one_line() -> None:
  if tfds.importlib.util.find_spec('s3fs'):
    pytest.skip('s3fs is installed')
  settings = DataSettings('svhn_cropped', data_dir='s3://bucket')
  text = message(lambda: data.load(settings))
  assert 'Install s3fs' in text and '\n' not in text


def test_a_name_is_suggested_once(tmp_path: pathlib.Path) -> None:
  text = message(lambda: load(tmp_path, name='cifar11'))  # ours and theirs have a cifar10
  names = text.partition('did you mean ')[2].rstrip('?').split(', ')
  assert 'cifar10' in names and len(names) == len(set(names)) > 1


def test_an_unprepared_set_is_refused_without_tensorflow(tmp_path: pathlib.Path) -> None:
  if tfds.importlib.util.find_spec('tensorflow'):
    pytest.skip('TensorFlow is installed')
  text = message(lambda: data.load(DataSettings('cifar10', source='tfds', data_dir=str(tmp_path))))
  assert 'cifar10 is not prepared' in text and 'install the package tensorflow' in text


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('cifar11', "unknown data set 'cifar11': did you mean cifar10"),
    ('shape', 'did you mean shapes'),
    ('cifar10_corrupted/brightnes_1', 'did you mean cifar10_corrupted/brightness_1'),
    ('qqqqqqqq', 'choose one of cifar10, cifar100, shapes, folder, svhn or of https://'),
    ('ag_news_subset', 'is not a set of labelled images'),
    ('', "unknown data set ''"),
  ],
)
def test_unknown_and_unsuitable_sets_are_refused(
  name: str, expected: str, tmp_path: pathlib.Path
) -> None:
  assert expected in message(lambda: load(tmp_path, name=name))


class FakeBuilder:
  """The builder of 'tiny', which counts as unprepared until `download_and_prepare` is called.

  Attributes:
    calls: the options of each call of `download_and_prepare`.
  """

  def __init__(self, root: pathlib.Path, fault: Exception | None = None) -> None:
    """Writes the set into `root`; a `fault` is raised by `download_and_prepare`."""
    write_set(root, {'test': [8, 8]})
    self._builder = tensorflow_datasets.builder('tiny', data_dir=str(root))
    self._fault = fault
    self.calls: list[dict[str, str]] = []

  def __getattr__(self, name: str) -> Any:
    return getattr(self._builder, name)

  def is_prepared(self) -> bool:
    return bool(self.calls)

  def download_and_prepare(self, **options: str) -> None:
    if self._fault:
      raise self._fault
    self.calls.append(options)


@pytest.fixture
def with_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(tfds.importlib.util, 'find_spec', lambda name: object())
  monkeypatch.setattr(download, 'unreachable', lambda url: '')


def use(monkeypatch: pytest.MonkeyPatch, builder: FakeBuilder) -> None:
  """Makes tensorflow-datasets return a fake builder."""
  monkeypatch.setattr(tensorflow_datasets, 'builder', lambda name, data_dir: builder)


@pytest.mark.usefixtures('with_tensorflow')
def test_an_unprepared_set_is_prepared_as_array_record(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  builder = FakeBuilder(tmp_path)
  use(monkeypatch, builder)
  assert len(load(tmp_path).test) == 2
  assert builder.calls == [{'file_format': 'array_record'}]


@pytest.mark.usefixtures('with_tensorflow')
def test_a_failed_preparation_is_one_line(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  use(monkeypatch, FakeBuilder(tmp_path, AssertionError('Fetch it by hand.\nIn many lines.')))
  assert 'cannot be prepared: AssertionError: Fetch it by hand.' in message(lambda: load(tmp_path))
  monkeypatch.setattr(download, 'unreachable', lambda url: 'no answer')
  text = message(lambda: load(tmp_path))
  assert 'https://storage.googleapis.com cannot be reached (no answer)' in text


def test_reading_imports_no_tensorflow(tmp_path: pathlib.Path) -> None:
  write_set(tmp_path / 'sets', {'train': [8] * 3, 'test': [8]})
  (tmp_path / 'tensorflow').mkdir()
  (tmp_path / 'tensorflow' / '__init__.py').write_text('raise SystemExit("tensorflow imported")')
  script = (
    'from cifar_jax import data; from cifar_jax.config.dataset import DataSettings; '
    f'data.load(DataSettings("tiny", data_dir={str(tmp_path / "sets")!r}, validation_size=1))'
  )
  subprocess.run(
    [sys.executable, '-c', script],
    check=True,
    env={'PYTHONPATH': str(tmp_path), 'HOME': str(tmp_path)},
  )
