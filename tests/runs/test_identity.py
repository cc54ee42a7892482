"""A checkpoint of another run in a workdir is refused by everything that reads it."""

import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from cifar_jax.config import loading
from cifar_jax.config.base import base
from cifar_jax.data.dataset import digests
from cifar_jax.errors import InputError
from cifar_jax.evaluation.restore import restore_net, restore_run
from cifar_jax.runs import identity
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.legs import RESULT
from cifar_jax.runs.workdir import CHECKPOINTS, CONFIG, claim_workdir
from tests.support import fake_run
from tests.support.checkpoints import ABSTRACT_STATE, make_state, open_checkpoints


def make(run: pathlib.Path, seed: int, step: int) -> pathlib.Path:
  """A run with one checkpoint; returns the directory of its checkpoints."""
  config = base('resnet20')
  config.seed = seed
  with claim_workdir(run, config), open_checkpoints(run / CHECKPOINTS) as checkpoints:
    checkpoints.save(step, make_state(step), run_info=identity.describe(config))
  return run / CHECKPOINTS


READERS: dict[str, Callable[[Checkpoints, int], Any]] = {
  'resume and evaluate': lambda checkpoints, step: checkpoints.restore(step, ABSTRACT_STATE),
  'predict and export': Checkpoints.read_run_info,
  'initial weights': lambda checkpoints, step: checkpoints.read_arrays(step, dict),
}


@pytest.mark.parametrize('reader', READERS)
def test_a_checkpoint_of_another_run_is_refused(tmp_path: pathlib.Path, reader: str) -> None:
  own, other = make(tmp_path / 'own', 0, 10), make(tmp_path / 'other', 7, 20)
  shutil.copytree(other / '20', own / '20')
  with open_checkpoints(own, read_only=True) as checkpoints:
    READERS[reader](checkpoints, 10)
    with pytest.raises(InputError, match=r'20 in .* another run: seed was 7 and is now 0; move'):
      READERS[reader](checkpoints, 20)
  with pytest.raises(InputError, match='is of another run'):
    open_checkpoints(own)
  (own / '20').rename(own / '5')  # an older one, which could be the best
  with pytest.raises(InputError, match='is of another run'):
    open_checkpoints(own)


@pytest.mark.parametrize('reader', ['resume and evaluate', 'predict and export'])
def test_a_checkpoint_is_of_the_step_at_which_it_was_saved(
  tmp_path: pathlib.Path, reader: str
) -> None:
  directory = make(tmp_path / 'run', 0, 10)
  (directory / '10').rename(directory / '999')
  with (
    open_checkpoints(directory, read_only=True) as checkpoints,
    pytest.raises(InputError, match=r'checkpoint 999 in .* was saved as 10: name its folder'),
  ):
    READERS[reader](checkpoints, 999)
  with pytest.raises(InputError, match='was saved as 10'):
    open_checkpoints(directory)


@pytest.mark.parametrize(
  ('key', 'value'),
  [('train.num_epochs', 1.0), ('schedule.learning_rate', 0.9), ('data.data_dir', '/elsewhere')],
)
def test_a_leg_and_what_may_change_are_of_the_same_run(
  tmp_path: pathlib.Path, key: str, value: Any
) -> None:
  directory = make(tmp_path / 'run', 0, 10)
  earlier = (tmp_path / 'run' / CONFIG).read_text()
  config = loading.from_json(earlier).unlock()
  section, name = key.split('.')
  config[section][name] = value
  (tmp_path / 'run' / CONFIG).write_text(loading.to_json(config))
  if key != 'data.data_dir':
    with pytest.raises(InputError, match=f'{key} was'):
      open_checkpoints(directory)
    (tmp_path / 'run' / 'leg1').mkdir()
    (tmp_path / 'run' / 'leg1' / CONFIG).write_text(earlier)
    result = {'num_steps': 10, 'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 2.0}
    (tmp_path / 'run' / 'leg1' / RESULT).write_text(json.dumps(result | {'device': '1 x cpu'}))
  with open_checkpoints(directory) as checkpoints:
    assert checkpoints.latest == 10


def test_a_checkpoint_of_an_earlier_version_is_read(tmp_path: pathlib.Path) -> None:
  directory = make(tmp_path / 'run', 0, 10)
  with open_checkpoints(directory) as checkpoints:
    checkpoints.save(20, make_state(20), run_info={'seconds': 1.0})
  with open_checkpoints(directory) as checkpoints:
    assert checkpoints.restore(20, ABSTRACT_STATE)[1] == {'seconds': 1.0}


@pytest.mark.parametrize('folder', ['', 'leg1'])
def test_a_checkpoint_of_a_run_on_other_data_is_refused(
  folder: str, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = fake_run.make(tmp_path / 'run', tiny_cifar)
  result = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 1.0, 'device': 'cpu', 'seed': 0}
  (run / folder).mkdir(exist_ok=True)
  if folder:
    shutil.copy(run / CONFIG, run / folder)
    result |= {'num_steps': 1}
  path = run / folder / RESULT
  path.write_text(json.dumps(result | digests(restore_run(run, 'last', []).experiment.dataset)))
  restore_net(run, 'last', [])
  path.write_text(json.dumps(result | {'data_sha256': 'other'}))
  with pytest.raises(InputError, match='is of a run on other data than the result in'):
    restore_net(run, 'last', [])
