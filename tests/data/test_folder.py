"""`data.name=folder`: the layouts in which image folders are found, and what is passed over."""

import errno
import logging
import os
import pathlib
from typing import Any

import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure

from cifar_jax import data, output_files
from cifar_jax.config import base
from cifar_jax.config.command_line import override
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import folder_layout
from cifar_jax.data.dataset import Dataset
from tests.support.fake_cifar import message

SHADES = {'black': 10, 'white': 200}


def write(directory: pathlib.Path, *shades: int) -> None:
  """Writes one grey image of each shade into a directory."""
  directory.mkdir(parents=True, exist_ok=True)
  for i, shade in enumerate(shades):
    PIL.Image.new('L', (10 + i, 7), shade).save(directory / f'{i}.{("png", "gif")[i % 2]}')


def write_classes(root: pathlib.Path, *steps: int, below: str = '') -> None:
  """Writes the classes `black` and `white`, each with an image of its shade plus each step."""
  for name, shade in SHADES.items():
    write(root / name / below, *(shade + step for step in steps))


def load(directory: pathlib.Path, **fields: Any) -> Dataset:
  settings = {'image_size': 6, 'validation_size': 0, **fields}
  return data.load(DataSettings('folder', data_dir=str(directory), **settings))


def shades(images: np.ndarray) -> list[int]:
  """The shade of each image of one colour, sorted."""
  assert (images == images[:, :1, :1, :1]).all()
  return sorted(images[:, 0, 0, 0].tolist())


def test_train_and_test_are_read_with_the_classes_sorted(tmp_path: pathlib.Path) -> None:
  write_classes(tmp_path / 'train', 0, 1, 2)
  write_classes(tmp_path / 'test', 3)
  dataset = load(tmp_path)
  assert dataset.class_names == ('black', 'white')
  assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
  assert dataset.test.labels.tolist() == [0, 1]
  assert dataset.train.images.shape == (6, 6, 6, 3)
  assert dataset.train.images[:, 0, 0, 0].tolist() == [10, 11, 12, 200, 201, 202]
  assert shades(dataset.test.images) == [13, 203]


@pytest.mark.parametrize(
  ('classes', 'workdir', 'becomes_data'),
  [
    ('data', 'data/run', True),
    ('data', 'data/black/run', True),
    ('data/archive', 'data/runs/1', True),  # the layout is another one once it exists
    ('data/train', 'data/train/run', True),
    ('data/train', 'data/runs/1', False),
    ('data', 'runs/1', False),
    ('data', 'data_runs/1', False),
  ],
)
def test_a_workdir_is_not_among_the_images(
  classes: str, workdir: str, becomes_data: bool, tmp_path: pathlib.Path
) -> None:
  write_classes(tmp_path / classes, 0, 1)
  check = lambda: folder_layout.check_outside(tmp_path / 'data', tmp_path / workdir)  # noqa: E731
  if becomes_data:
    assert 'give a --workdir elsewhere' in message(check)
  else:
    check()


def test_a_picture_of_this_program_is_no_image_of_a_class(
  tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  write_classes(tmp_path, 0, 1, 2)
  figure = Figure(figsize=(1, 1))
  output_files.save_figure(figure, tmp_path / 'black' / 'plots.png')
  assert 'plots.png was drawn by this program' in message(lambda: load(tmp_path, test_size=1))
  with caplog.at_level(logging.WARNING, 'cifar_jax'):
    dataset = load(tmp_path, test_size=1, skip_bad=True)
  assert len(dataset.train) + len(dataset.test) == 6 and 'left out black/plots.png' in caplog.text


@pytest.mark.parametrize(
  ('train', 'test'), [('training_set', 'test_set'), ('TrainSet', 'TestSet'), ('train-set', 'test')]
)
def test_splits_may_be_called_sets(train: str, test: str, tmp_path: pathlib.Path) -> None:
  write_classes(tmp_path / train, 0, 1)
  write_classes(tmp_path / test, 3)
  dataset = load(tmp_path)
  assert dataset.class_names == ('black', 'white') and len(dataset.test) == 2


def test_classes_that_look_like_splits_are_a_warning(
  tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  write_classes(tmp_path / 'old', 0, 1)
  write_classes(tmp_path / 'new', 0, 1)
  with caplog.at_level(logging.INFO, 'cifar_jax'):
    assert load(tmp_path, test_size=2).class_names == ('new', 'old')
  assert 'new, old are taken for classes, and each has the directories black, white' in caplog.text
  assert f'{tmp_path}: 2 classes: new, old' in caplog.text
  caplog.clear()
  write(tmp_path / 'new' / 'grey', 9)
  load(tmp_path, test_size=2)
  assert 'taken for classes' not in caplog.text


@pytest.mark.parametrize('name', ['validation', 'valid', 'Val'])
def test_validation_images_of_the_folder_are_used(tmp_path: pathlib.Path, name: str) -> None:
  for split, step in (('train', 0), ('test', 1), (name, 2)):
    write_classes(tmp_path / split, step)
  dataset = load(tmp_path, validation_size=0.5)
  assert shades(dataset.train.images) == [10, 200]
  assert shades(dataset.validation.images) == [12, 202]
  assert shades(dataset.test.images) == [11, 201]
  assert len(load(tmp_path, validation_size=0).validation) == 0


def test_without_test_the_validation_images_are_those_of_the_test(tmp_path: pathlib.Path) -> None:
  write_classes(tmp_path / 'train', 0, 1)
  write_classes(tmp_path / 'val', 2)
  dataset = load(tmp_path, validation_size=0.25)
  assert shades(dataset.test.images) == [12, 202]
  assert len(dataset.validation) == 1
  both = np.concatenate([dataset.train.images, dataset.validation.images])
  assert shades(both) == [10, 11, 200, 201]


@pytest.mark.parametrize('above', ['', 'train', 'archive', 'archive/train'])
def test_classes_alone_are_divided_by_the_seed(tmp_path: pathlib.Path, above: str) -> None:
  write_classes(tmp_path / above, *range(10))
  dataset = load(tmp_path, validation_size=0.25)
  assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (12, 4, 4)
  splits = (dataset.train, dataset.validation, dataset.test)
  everything = np.concatenate([split.images for split in splits])
  assert shades(everything) == [*range(10, 20), *range(200, 210)]
  for split in splits:
    assert ((split.images[:, 0, 0, 0] > 100) == split.labels).all()
  np.testing.assert_array_equal(dataset.test.images, load(tmp_path).test.images)
  assert shades(load(tmp_path, seed=1).test.images) != shades(dataset.test.images)
  assert len(load(tmp_path, test_size=7).test) == 7
  assert 'data.test_size is 20, which leaves nothing of the 20 images' in message(
    lambda: load(tmp_path, test_size=20)
  )


def test_images_below_the_directory_of_a_class_are_its_images(tmp_path: pathlib.Path) -> None:
  write_classes(tmp_path / 'train', 0, below='images')
  write_classes(tmp_path / 'train', 1, below='more/images')
  (tmp_path / 'train' / 'black' / 'again').symlink_to(tmp_path / 'train' / 'black')
  write_classes(tmp_path / 'test', 2)
  dataset = load(tmp_path)
  assert shades(dataset.train.images) == [10, 11, 200, 201]
  assert dataset.train.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize('name', ['license', 'README', 'checksums'])
def test_a_class_may_have_the_name_of_a_file_that_is_passed_over(
  name: str, tmp_path: pathlib.Path
) -> None:
  for split in ('train', 'test'):
    write_classes(tmp_path / split, 0)
    (tmp_path / split / 'black').rename(tmp_path / split / name)
  assert name in load(tmp_path).class_names


def test_files_that_are_no_images_are_counted_and_others_that_are_left_out_are_named(
  tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  for split in ('train', 'test'):
    write_classes(tmp_path / split, 0)
  for name in (
    'README',
    'labels.csv',
    'train/.DS_Store',
    'train/Thumbs.db',
    'test/white/notes.txt',
  ):
    (tmp_path / name).touch()
  (tmp_path / '__MACOSX' / 'train').mkdir(parents=True)
  with caplog.at_level(logging.INFO):
    load(tmp_path)
  classes, text = caplog.messages
  assert classes.endswith('2 classes: black, white')
  assert 'passed over what is no image, 6 in all (README, ' in text
  caplog.clear()
  write(tmp_path / 'extra', 5)
  (tmp_path / 'train' / 'cat.jpg').touch()
  load(tmp_path)
  (text,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
  assert text.endswith('left out extra, train/cat.jpg.')


def test_directories_that_cannot_be_read_are_an_error_or_passed_over_and_named(
  tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
  write_classes(tmp_path / 'train', 0)
  write_classes(tmp_path / 'train', 1, below='more')
  write_classes(tmp_path / 'test', 2)
  locked = tmp_path / 'train' / 'white' / 'more'

  def lock(name: str) -> None:  # as the rights of a directory do, unless its reader is root
    original: Any = getattr(os, name)

    def guarded(path: Any = '.') -> Any:
      if pathlib.Path(path) == locked:
        raise PermissionError(errno.EACCES, 'Permission denied', path)
      return original(path)

    monkeypatch.setattr(os, name, guarded)

  lock('scandir')
  lock('listdir')
  expected = f'{locked} cannot be read: Permission denied'
  assert message(lambda: load(tmp_path)) == (
    f'{expected}; --config.data.skip_bad=true passes over such directories'
  )
  dataset = load(tmp_path, skip_bad=True)
  assert dataset.train.images[:, 0, 0, 0].tolist() == [10, 11, 200]
  assert caplog.messages[-1].endswith('left out train/white/more.')
  for locked in (tmp_path / 'train' / 'white', tmp_path / 'train', tmp_path):
    for skip_bad in (False, True):
      text = message(lambda: load(tmp_path, skip_bad=skip_bad))  # noqa: B023
      assert text == f'{locked} cannot be read: Permission denied'


def test_bad_images_are_an_error_or_passed_over_and_named(
  tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  write_classes(tmp_path / 'train', 0, 1)
  write_classes(tmp_path / 'test', 2)
  broken = tmp_path / 'train' / 'black' / 'broken.png'
  broken.write_bytes((tmp_path / 'train' / 'black' / '0.png').read_bytes()[:40])
  (tmp_path / 'train' / 'white' / '0.png').write_text('no image')
  text = message(lambda: load(tmp_path))
  assert 'broken.png is not an image' in text and 'skip_bad=true passes over' in text
  dataset = load(tmp_path, skip_bad=True)
  assert dataset.train.images[:, 0, 0, 0].tolist() == [10, 11, 201]
  assert dataset.train.labels.tolist() == [0, 0, 1]
  assert 'left out train/black/broken.png, train/white/0.png.' in caplog.text
  (tmp_path / 'test' / 'white' / '0.png').write_text('no image')
  assert 'test/white holds no image that can be read' in message(
    lambda: load(tmp_path, skip_bad=True)
  )


def test_the_resizing_of_a_folder_is_a_setting(tmp_path: pathlib.Path) -> None:
  for name in ('a', 'b'):
    (tmp_path / name).mkdir()
    for i in range(2):
      image = PIL.Image.new('RGB', (12, 4), 'red')
      image.paste('blue', (4, 0, 8, 4))
      image.save(tmp_path / name / f'{i}.png')
  cropped = load(tmp_path, image_size=4, resize='crop').test.images
  assert (cropped == [0, 0, 255]).all()
  padded = load(tmp_path, image_size=12, resize='pad').test.images
  assert (padded[:, :4] == 0).all() and (padded[:, 4:8].max(axis=-1) == 255).all()
  squeezed = load(tmp_path, image_size=4, resize='squeeze').test.images
  assert (squeezed[0, 0, :, 2] > 0).sum() < 4 and (squeezed.sum(axis=-1) > 0).all()


def test_everything_that_a_folder_needs_is_asked_for_at_once(tmp_path: pathlib.Path) -> None:
  text = message(lambda: data.load(DataSettings('folder')))
  assert 'needs data.data_dir' in text and 'and data.image_size' in text
  assert 'data.data_dir,' not in message(lambda: load(tmp_path, image_size=0))


def test_a_folder_holds_out_a_share_by_default_however_it_is_chosen() -> None:
  assert base('resnet20', 'folder').data.validation_size == 0.1
  config = base('resnet20')
  override(config, ['--config.data.name=folder'])
  assert config.data.validation_size == 0.1
  override(config, ['--config.data.name=shapes', '--config.data.validation_size=7'])
  assert config.data.validation_size == 7
  override(config, ['--config.data.name=cifar10'])
  assert config.data.validation_size == 7


def test_faults_of_a_folder_are_named(tmp_path: pathlib.Path) -> None:
  for split in ('train', 'test'):
    write_classes(tmp_path / split, 0)
  (tmp_path / 'test' / 'grey').mkdir()
  assert 'only one of train/ and test/ has grey' in message(lambda: load(tmp_path))
  (tmp_path / 'train' / 'grey').mkdir()
  assert 'grey holds no images' in message(lambda: load(tmp_path))
  (tmp_path / 'Training').mkdir()
  assert 'has Training, train: keep one' in message(lambda: load(tmp_path))
  (tmp_path / 'empty' / 'train').mkdir(parents=True)
  assert 'train holds no directories' in message(lambda: load(tmp_path / 'empty'))
  (tmp_path / 'other' / 'test').mkdir(parents=True)
  assert 'other has test and no train/' in message(lambda: load(tmp_path / 'other'))
  assert 'nothing is no directory' in message(lambda: load(tmp_path / 'nothing'))
