"""Configurations as files: arguments, overrides, JSON, differences, and all files of `configs/`."""

import json
import pathlib

import jax
import pytest

from cifar_jax import models
from cifar_jax.config import help_text, loading
from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.config.base import base
from cifar_jax.config.command_line import arguments, override
from cifar_jax.config.optimization import OptimizerSettings, ScheduleSettings
from cifar_jax.errors import InputError
from cifar_jax.optim import optimizer
from cifar_jax.optim.schedules import make_schedule
from tests.support.paths import ROOT

FILES = sorted((ROOT / 'configs').glob('*.py'))
VARIANTS = [
  'resnet.py:depth=1202',
  'resnet.py:depth=110,dataset=cifar100',
  'preact_resnet.py:depth=1001',
  'stochastic_depth.py:survival=0.8',
  'wide_resnet.py:depth=16,widen_factor=4,dropout=0.3',
  'pyramidnet.py:depth=110,alpha=84,dataset=cifar100',
  'pyramidnet.py:depth=272,alpha=200',
  'speedrun.py:widths=128_384_384,epochs=15,rate=10,dtype=bfloat16',
  'shake_shake.py:base_width=96,forward=even,backward=shake,level=batch',
]


@pytest.mark.parametrize('name', [file.name for file in FILES] + VARIANTS)
def test_every_config_makes_its_model_schedule_and_optimizer(name: str) -> None:
  config = loading.load(str(ROOT / 'configs' / name))
  model = models.create(**config.model)
  assert model.num_classes == 10
  schedule = make_schedule(1000, config.train.num_epochs, ScheduleSettings(**config.schedule))
  optimizer.make(schedule, OptimizerSettings(**config.optimizer))
  AugmentSettings(**config.augment)
  jax.eval_shape(schedule.learning_rate_fn, jax.ShapeDtypeStruct((), 'int32'))


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_every_file_names_its_paper_its_command_and_its_published_error(file: pathlib.Path) -> None:
  header = file.read_text().split('"""')[1]
  assert 'arXiv' in header and 'error' in header
  assert f'python -m cifar_jax.main --config configs/{file.name}' in header


def test_arguments_have_the_types_of_their_defaults() -> None:
  config = loading.load(str(ROOT / 'configs/pyramidnet.py:depth=164,alpha=84,dataset=cifar100'))
  assert config.model.name == 'pyramidnet164_a84_bottleneck'
  assert config.data.name == 'cifar100' and config.schedule.learning_rate == 0.5
  assert arguments('a=2,b=0.5,c=true,d=x', a=1, b=1.0, c=False, d='') == (
    arguments('', a=2, b=0.5, c=True, d='x')
  )


def test_overrides_reach_every_key_with_its_type() -> None:
  config = loading.load(str(ROOT / 'configs/resnet.py'))
  override(
    config,
    [
      '--config.optimizer.weight_decay=5e-4',
      '--config.optimizer.nesterov=false',
      '--config.schedule.boundaries=(0.3, 0.6)',
      '--config.train.batch_size=64',
      '--config.seed=7',
      '--config.data.data_dir=a=b',
    ],
  )
  assert config.optimizer.weight_decay == 5e-4 and config.optimizer.nesterov is False
  assert config.schedule.boundaries == (0.3, 0.6) and config.train.batch_size == 64
  assert config.seed == 7 and config.data.data_dir == 'a=b'
  for key, value in loading.flatten(base('resnet20')).items():
    override(base('resnet20'), [f'--config.{key}={value}'])


def test_a_config_written_as_json_is_read_back_unchanged() -> None:
  config = loading.load(str(ROOT / 'configs/wide_resnet.py'))
  assert loading.from_json(loading.to_json(config)) == config


def test_numbers_of_images_are_stored_and_shown_as_whole_numbers() -> None:
  config = base('resnet20')
  override(config, ['--config.data.validation_size=100'])
  stored = json.loads(loading.to_json(config))['data']
  assert repr(stored['validation_size']) == '100' and stored['test_size'] == 0.2
  assert loading.differences(base('resnet20'), config) == [
    'data.validation_size was 5000 and is now 100'
  ]
  read = loading.from_json(loading.to_json(config))
  override(read, ['--config.data.validation_size=0.25'])  # a share may follow a number
  assert read.data.validation_size == 0.25
  assert 'data.validation_size=5000  ' in help_text.of_keys('data.')


def test_integers_beyond_all_floats_are_refused_by_their_limits() -> None:
  stored = base('resnet20').to_dict()
  stored['optimizer']['weight_decay'] = 10**400
  config = loading.from_json(json.dumps(stored))
  with pytest.raises(InputError, match=r'optimizer\.weight_decay is 1000.* at most'):
    OptimizerSettings(**config.optimizer)


def test_differences_are_the_keys_that_change_results() -> None:
  old, new = base('resnet20'), base('resnet20')
  new.data.data_dir, new.sharding.num_devices, new.checkpoint.keep_last = 'x', 2, 5
  new.train.log_every_steps = 3
  assert loading.differences(old, new) == []
  new.optimizer.weight_decay, new.seed = 0.0, 1
  assert loading.differences(old, new) == [
    'optimizer.weight_decay was 0.0001 and is now 0.0',
    'seed was 0 and is now 1',
  ]


def test_a_key_that_an_older_config_lacks_counts_with_its_default() -> None:
  older, now = base('resnet20').to_dict(), base('resnet20')
  del older['train']['seeds']
  older = loading.from_json(json.dumps(older))
  assert loading.differences(older, now) == []
  now.train.seeds = 2
  assert loading.differences(older, now) == ['train.seeds was 1 and is now 2']


def test_a_config_that_does_not_run_is_refused_in_one_line(tmp_path: pathlib.Path) -> None:
  misspelt = (
    'from cifar_jax import config\n'
    'def get_config(text):\n'
    '  made = config.base("resnet20")\n'
    '  made.KEY = 3\n'
    '  return made\n'
  )
  for text in (
    'x = 1',
    'def get_config(text): return 1 / 0',
    'def get_config(text): return None',
    'def get_config(text): return {}[3]',
    'def get_config(',
    misspelt.replace('KEY', 'sede'),
    misspelt.replace('KEY', 'train.num_epoch'),
  ):
    (tmp_path / 'broken.py').write_text(text)
    with pytest.raises(InputError, match=r'broken\.py') as error:
      loading.load(str(tmp_path / 'broken.py'))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('key', 'is_allowed'),
  [
    ('data.data_dir', True), ('data.data_dirs', False), ('model.module', True),
    ('model.module_scale', False), ('sharding.num_devices', True), ('shardings', False),
    ('train.profile', True), ('train.profiles', False), ('train.num_epochs', False),
  ],
)  # fmt: skip
def test_only_whole_keys_and_sections_may_change(key: str, is_allowed: bool) -> None:
  assert loading.may_change(key) == is_allowed


def test_a_field_whose_name_begins_like_one_that_may_change_is_a_difference() -> None:
  old, new = base('resnet20'), base('resnet20')
  for config, scale in ((old, 1.0), (new, 0.5)):
    with config.unlocked():
      config.model.update(module='net.py' if scale == 1.0 else 'moved.py', module_scale=scale)
  assert loading.changed_keys(old, new) == ['model.module_scale']
