"""Configurations: closed, typed, complete, and each section exactly one function's arguments."""

import inspect
import json
import pathlib

import jax
import pytest

from cifar_jax import (
  augment,
  checkpoint,
  config,
  data,
  losses,
  models,
  optimizer,
  plan,
  sharding,
)
from cifar_jax.errors import InputError

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted((ROOT / 'configs').glob('*.py'))
READERS = {
  'data': data.load,
  'augment': augment.Settings,
  'loss': losses.make,
  'schedule': optimizer.make_schedule,
  'optimizer': optimizer.make,
  'train': plan.Plan,
  'checkpoint': checkpoint.Policy,
  'sharding': sharding.make_mesh,
}
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


@pytest.mark.parametrize('section', READERS)
def test_a_section_is_the_keyword_arguments_of_one_function(section):
  parameters = inspect.signature(READERS[section]).parameters.values()
  keywords = {
    p.name: p.default
    for p in parameters
    if p.kind == p.KEYWORD_ONLY or inspect.isclass(READERS[section])
  }
  base = config.base('resnet20')[section].to_dict()
  if section == 'data':
    assert base.pop('name') == 'cifar10'
  assert base == keywords


def test_there_is_no_section_that_nothing_reads():
  assert set(config.base('resnet20')) == {*READERS, 'seed', 'model'}


@pytest.mark.parametrize('name', [file.name for file in FILES] + VARIANTS)
def test_every_config_builds_its_model_and_schedule(name):
  made = config.load(str(ROOT / 'configs' / name))
  model = models.create(**made.model)
  assert model.num_classes == 10
  schedule = optimizer.make_schedule(1000, made.train.num_epochs, **made.schedule)
  optimizer.make(schedule, **made.optimizer)
  augment.Settings(**made.augment)
  jax.eval_shape(schedule.learning_rate_fn, jax.ShapeDtypeStruct((), 'int32'))


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_every_file_names_its_paper_its_command_and_its_published_error(file):
  header = file.read_text().split('"""')[1]
  assert 'arXiv' in header and 'error' in header
  assert f'python -m cifar_jax.main --config configs/{file.name}' in header


def test_arguments_are_typed():
  made = config.load(str(ROOT / 'configs/pyramidnet.py:depth=164,alpha=84,dataset=cifar100'))
  assert made.model.name == 'pyramidnet164_a84_bottleneck'
  assert made.data.name == 'cifar100' and made.schedule.learning_rate == 0.5
  assert config.arguments('a=2,b=0.5,c=true,d=x', a=1, b=1.0, c=False, d='') == (
    config.arguments('', a=2, b=0.5, c=True, d='x')
  )


def test_overrides_reach_every_key_with_its_type():
  made = config.load(str(ROOT / 'configs/resnet.py'))
  config.override(
    made,
    [
      '--config.optimizer.weight_decay=5e-4',
      '--config.optimizer.nesterov=false',
      '--config.schedule.boundaries=(0.3, 0.6)',
      '--config.train.batch_size=64',
      '--config.seed=7',
      '--config.data.data_dir=a=b',
    ],
  )
  assert made.optimizer.weight_decay == 5e-4 and made.optimizer.nesterov is False
  assert made.schedule.boundaries == (0.3, 0.6) and made.train.batch_size == 64
  assert made.seed == 7 and made.data.data_dir == 'a=b'
  for key, value in config.flatten(config.base('resnet20')).items():
    config.override(config.base('resnet20'), [f'--config.{key}={value}'])


def test_json_brings_a_config_back():
  made = config.load(str(ROOT / 'configs/wide_resnet.py'))
  assert config.from_json(config.to_json(made)) == made


def test_differences_are_those_that_change_a_result():
  old, new = config.base('resnet20'), config.base('resnet20')
  new.data.data_dir, new.sharding.num_devices, new.checkpoint.keep_last = 'x', 2, 5
  new.train.log_every_steps = 3
  assert config.differences(old, new) == []
  new.optimizer.weight_decay, new.seed = 0.0, 1
  assert config.differences(old, new) == [
    'optimizer.weight_decay was 0.0001 and is now 0.0',
    'seed was 0 and is now 1',
  ]


def test_a_key_of_a_later_version_has_its_default_in_an_older_run():
  older, now = config.base('resnet20').to_dict(), config.base('resnet20')
  del older['train']['seeds']
  older = config.from_json(json.dumps(older))
  assert config.differences(older, now) == []
  now.train.seeds = 2
  assert config.differences(older, now) == ['train.seeds was 1 and is now 2']


def test_a_config_that_does_not_run_is_one_line(tmp_path):
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
      config.load(str(tmp_path / 'broken.py'))
    assert '\n' not in str(error.value)
