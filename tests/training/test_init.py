"""The section `init`: weights of another run or of a file, a new head, frozen modules."""

import dataclasses
import logging
import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import convert, models
from cifar_jax.config.initialization import InitSettings
from cifar_jax.convert import files, initial_weights
from cifar_jax.data.dataset import fingerprint
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import initial_state
from cifar_jax.optim import optimizer, parameter_groups
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import CHECKPOINTS
from cifar_jax.runtime.console import logger
from tests.support import fake_run, sessions
from tests.support.fake_cifar import message
from tests.support.filled import filled_variables
from tests.support.trainer import Trainer, build_small

RESNET8 = models.create('resnet8')


class TwoParts(nn.Module):
  """A net that compiles at once, of the two parts `stage1` and `head`."""

  num_classes: int = 10

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Maps images `[batch, height, width, channels]` to logits `[batch, 10]`."""
    x = nn.Dense(4, name='stage1_dense')(images.reshape(len(images), -1))
    x = nn.BatchNorm(use_running_average=not train, name='stage1_norm')(x)
    return nn.Dense(self.num_classes, name='head')(x)


@pytest.fixture(scope='module')
def run(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run of a ResNet-8 with a best checkpoint, 3, and a last one, 7, of other weights."""
  folder = tmp_path_factory.mktemp('source') / 'run'
  fake_run.make(folder, tiny_cifar)
  experiment = build_small(tiny_cifar)
  with Checkpoints(folder / CHECKPOINTS, experiment.checkpoint_settings) as checkpoints:
    state = initial_state(experiment)
    info = {'seconds': 0.0, 'commits': [], 'data': fingerprint(experiment.dataset)}
    checkpoints.save(7, dataclasses.replace(state, step=jnp.int32(7)), run_info=info, accuracy=0.1)
  return folder


def begin(data_dir: pathlib.Path, *settings: str) -> dict[str, Any]:
  """The variables that a run of a ResNet-8 with another seed begins with, on the host."""
  words = [f'--config.init.{setting}' for setting in settings]
  state = initial_state(build_small(data_dir, '--config.seed=5', *words))
  return jax.device_get({'params': state.params, 'batch_stats': state.batch_stats})


def assert_equal(found: Any, expected: Any) -> None:
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def write_weights(path: pathlib.Path, variables: Any, model: nn.Module, rules: str = 'own') -> str:
  files.write(path, convert.to_state_dict(variables, model, rules), {})
  return str(path)


@pytest.mark.ci
def test_a_run_begins_with_the_best_or_the_last_weights_of_another(
  run: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  filled = jax.device_get(filled_variables(RESNET8))
  assert_equal(begin(tiny_cifar, f'source={run}', 'checkpoint=best'), filled)
  last = begin(tiny_cifar, f'source={run}')
  assert_equal(last['params'], jax.device_get(initial_state(build_small(tiny_cifar)).params))


@pytest.mark.parametrize('rules', ['own', 'akamaster'])
def test_a_run_begins_with_the_weights_of_a_file(
  rules: str, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  filled = jax.device_get(filled_variables(RESNET8))
  source = write_weights(tmp_path / 'weights.safetensors', filled, RESNET8, rules)
  assert_equal(begin(tiny_cifar, f'source={source}', f'rules={rules}'), filled)


def test_with_another_number_of_classes_the_head_is_drawn_anew(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  model = models.create('resnet8', num_classes=7)
  filled = jax.device_get(filled_variables(model))
  source = write_weights(tmp_path / 'weights.safetensors', filled, model)
  text = message(lambda: begin(tiny_cifar, f'source={source}'))
  assert 'head.weight is [7, 64], not [10, 64]' in text and 'init.head=new' in text
  found, random = begin(tiny_cifar, f'source={source}', 'head=new'), begin(tiny_cifar)
  assert_equal(found['params'].pop('head'), random['params']['head'])
  del filled['params']['head']
  assert_equal(found, filled)


@pytest.mark.slow
def test_the_weights_of_several_seeds_and_of_an_average_are_those_that_are_evaluated(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  keys = ('train.seeds=2', 'optimizer.ema_decay=0.9')
  run = fake_run.make(tmp_path / 'run', tiny_cifar, *keys, steps=())
  averaged = ('--config.train.seeds=2', '--config.optimizer.ema_decay=0.9')
  experiment = build_small(tiny_cifar, *averaged)
  state: Any = initial_state(experiment)
  average = jax.tree.map(lambda leaf: leaf + 1, state.average_params)
  with Checkpoints(run / CHECKPOINTS, experiment.checkpoint_settings) as checkpoints:
    checkpoints.save(3, state.replace(average_params=average), run_info={})
  first = jax.tree.map(lambda leaf: np.asarray(leaf[0]), average)
  assert_equal(begin(tiny_cifar, f'source={run}')['params'], first)


def with_parts(data_dir: pathlib.Path, source: pathlib.Path, *overrides: str) -> Experiment:
  """An experiment of `TwoParts` that begins with the weights of a file, `stage1` frozen."""
  experiment = build_small(data_dir, '--config.train.num_epochs=2', *overrides)
  settings = InitSettings(source=str(source), frozen='stage1')
  tx = optimizer.make(experiment.schedule, experiment.optimizer_settings, settings.frozen_names)
  return dataclasses.replace(experiment, model=TwoParts(), init_settings=settings, tx=tx)


@pytest.fixture
def parts(tmp_path: pathlib.Path) -> pathlib.Path:
  """A file with weights of `TwoParts`."""
  shapes = models.abstract_variables(TwoParts())
  random = np.random.RandomState(0)
  variables = jax.tree.map(lambda x: random.uniform(0.1, 1, x.shape).astype(np.float32), shapes)
  return pathlib.Path(write_weights(tmp_path / 'parts.safetensors', variables, TwoParts()))


@pytest.mark.parametrize(
  'options',
  [
    ('name=sgd', 'weight_decay=0.1', 'lookahead_steps=2'),
    pytest.param(
      ('name=adamw', 'weight_decay=0.1', 'sam_radius=0.1', 'clip_norm=1'), marks=pytest.mark.slow
    ),
    pytest.param(('name=muon', 'weight_decay=0.1', 'ema_decay=0.5'), marks=pytest.mark.slow),
  ],
)
def test_frozen_parameters_never_change_and_their_statistics_follow_the_images(
  options: tuple[str, ...], tiny_cifar: pathlib.Path, parts: pathlib.Path
) -> None:
  words = [f'--config.optimizer.{option}' for option in options]
  trainer = Trainer(with_parts(tiny_cifar, parts, *words))
  before = jax.device_get(trainer.state)
  trainer.run(3)
  after = jax.device_get(trainer.state)
  for name, is_frozen in (('stage1_dense', True), ('stage1_norm', True), ('head', False)):
    for leaf, array in before.params[name].items():
      assert np.array_equal(after.params[name][leaf], array) == is_frozen, (name, leaf)
  assert not np.array_equal(
    after.batch_stats['stage1_norm']['mean'], before.batch_stats['stage1_norm']['mean']
  )


def test_the_name_of_a_part_is_not_the_beginning_of_a_longer_number() -> None:
  for module, name, expected in (
    ('stage1_block1', 'stage1', True),
    ('stage10_block1', 'stage1', False),
    ('stem_conv', 'stem', True),
    ('conv1', 'conv', True),
    ('stage1_block1', 'block1', False),
  ):
    assert parameter_groups.is_part(module, name) == expected


@pytest.mark.ci
def test_a_run_resumes_only_with_the_weights_that_it_began_with(
  tiny_cifar: pathlib.Path, parts: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  experiment, content = with_parts(tiny_cifar, parts), parts.read_bytes()
  sessions.stop_session(experiment, tmp_path / 'run', 3)
  parts.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
  text = message(lambda: sessions.stop_session(experiment, tmp_path / 'run', 3))
  assert str(parts) in text and 'other weights' in text
  parts.write_bytes(content)
  result = sessions.run_session(experiment, tmp_path / 'run')
  sha256 = initial_weights.digest(experiment.init_settings, experiment.model, 32)
  assert result['init'] == {'source': str(parts), 'sha256': sha256}


def test_a_resumed_run_does_not_need_the_weights_any_more(
  tiny_cifar: pathlib.Path,
  parts: pathlib.Path,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
) -> None:
  experiment = with_parts(tiny_cifar, parts)
  sessions.stop_session(experiment, tmp_path / 'run', 3)
  parts.unlink()
  with caplog.at_level(logging.WARNING, logger.name):
    sessions.stop_session(experiment, tmp_path / 'run', 3)
  assert 'is gone' in caplog.text


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    (['source=nowhere.safetensors'], ['no file', 'nowhere.safetensors']),
    (['source=EMPTY'], ['EMPTY', 'config.json']),
    (['source=RUN', 'frozen=stage9'], ["'stage9'", 'stage1_block1', 'head']),
    (['source=PARTS'], ['PARTS', 'missing', 'unknown']),
    (['frozen=stem'], ['init.frozen', 'init.source is empty']),
  ],
)
def test_weights_that_cannot_be_used_are_one_line(
  settings: list[str],
  words: list[str],
  run: pathlib.Path,
  parts: pathlib.Path,
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
) -> None:
  (tmp_path / 'empty').mkdir()
  places = {'RUN': str(run), 'PARTS': str(parts), 'EMPTY': str(tmp_path / 'empty')}
  for name, place in places.items():
    settings = [setting.replace(name, place) for setting in settings]
    words = [word.replace(name, place) for word in words]
  text = message(lambda: begin(tiny_cifar, *settings))
  assert all(word in text for word in words), text


def test_a_run_without_the_wanted_checkpoint_or_of_another_model_is_one_line(
  run: pathlib.Path, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  copied = fake_run.make(tmp_path / 'run', tiny_cifar, steps=())
  assert 'no checkpoint' in message(lambda: begin(tiny_cifar, f'source={copied}'))
  settings = InitSettings(source=str(run))
  deeper = models.create('resnet14')
  text = message(lambda: initial_weights.read(settings, deeper, 32))
  assert 'missing' in text and 'stage1_block2' in text
