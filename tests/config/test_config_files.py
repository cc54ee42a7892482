"""Configuration files as their users write them: neighbours, numbers of numpy, colons in paths."""

import pathlib
import sys

import pytest

from cifar_jax.config import loading
from cifar_jax.config.command_line import override, override_data
from cifar_jax.config.dataset import DataSettings
from cifar_jax.errors import InputError

WITH_NEIGHBOUR = """
from cifar_jax import config
import common

def get_config(text):
  return config.base(common.MODEL)
"""
WITHOUT_ARGUMENTS = """
import numpy as np
from cifar_jax import config

def get_config():
  made = config.base('resnet20')
  made.optimizer.weight_decay = np.float32(0.5)
  made.optimizer.momentum = np.sqrt(0.25)
  made.optimizer.nesterov = np.bool_(False)
  made.train.batch_size = np.int64(64)
  made.schedule.boundaries = np.array([0.25, 0.5])
  made.schedule.learning_rate = 1
  made.model.base_width = np.int32(8)
  return made
"""


def test_a_file_imports_the_neighbour_in_its_own_folder(tmp_path: pathlib.Path) -> None:
  for model in ('resnet20', 'resnet32'):
    folder = tmp_path / model
    folder.mkdir()
    (folder / 'common.py').write_text(f'MODEL = {model!r}')
    (folder / 'config.py').write_text(WITH_NEIGHBOUR)
    before = list(sys.path)
    assert loading.load(str(folder / 'config.py')).model.name == model
    assert sys.path == before and 'common' not in sys.modules


def test_get_config_may_take_no_argument_and_numbers_may_be_of_numpy(
  tmp_path: pathlib.Path,
) -> None:
  file = tmp_path / 'config.py'
  file.write_text(WITHOUT_ARGUMENTS)
  config = loading.load(str(file))
  flat = loading.flatten(config)
  expected = {
    'optimizer.weight_decay': 0.5, 'optimizer.momentum': 0.5, 'optimizer.nesterov': False,
    'train.batch_size': 64, 'schedule.boundaries': (0.25, 0.5), 'schedule.learning_rate': 1.0,
    'model.base_width': 8,
  }  # fmt: skip
  for key, value in expected.items():
    assert flat[key] == value and type(flat[key]) is type(value), key
  assert loading.from_json(loading.to_json(config)) == config
  override(config, ['--config.schedule.learning_rate=0.5'])  # an integer would refuse it
  with pytest.raises(InputError, match='takes no arguments; leave out :depth=3'):
    loading.load(f'{file}:depth=3')


def test_a_colon_in_a_folder_does_not_end_the_path(tmp_path: pathlib.Path) -> None:
  folder = tmp_path / 'a:b'
  folder.mkdir()
  text = 'from cifar_jax import config\ndef get_config(text): return config.base(text)\n'
  (folder / 'config.py').write_text(text)
  assert loading.load(f'{folder}/config.py:resnet20').model.name == 'resnet20'
  with pytest.raises(InputError) as error:
    loading.load(f'{folder}/confg.py:resnet20')
  expected = f'no configuration {folder}/confg.py; give a file, or one of {folder}/config.py'
  assert str(error.value) == expected


def test_a_value_of_another_type_is_still_refused(tmp_path: pathlib.Path) -> None:
  file = tmp_path / 'config.py'
  for value in ("'64'", '64.5', 'True', 'np.float32(64)', '[64]'):
    file.write_text(WITHOUT_ARGUMENTS.replace('np.int64(64)', value))
    with pytest.raises(InputError, match=r'train\.batch_size is .*; it must be int'):
      loading.load(str(file))


def test_keys_of_the_data_are_set_without_a_run() -> None:
  words = ['--config.data.name=folder', '--config.data.image_size=32']
  settings = override_data(DataSettings('cifar10', validation_size=0), words)
  assert settings == DataSettings('folder', validation_size=0, image_size=32)
  for word, complaint in (
    ('--size=3', 'unknown argument --size=3'),
    ('--config.seed=3', 'unknown argument --config.seed=3'),
    ('--config.data.image_siz=3', 'did you mean image_size'),
  ):
    with pytest.raises(InputError, match=complaint):
      override_data(DataSettings('cifar10'), [word])
