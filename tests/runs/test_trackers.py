"""Weights & Biases and MLflow get each record once, and a run does not depend on them."""

import importlib.util
import json
import pathlib
import shutil
import sys

import pytest
from ml_collections import ConfigDict

from cifar_jax.config import load
from cifar_jax.config.command_line import override
from cifar_jax.config.training import TrainSettings
from cifar_jax.errors import InputError
from cifar_jax.runs.metric_log import MetricLog
from cifar_jax.runs.trackers import copies
from cifar_jax.training import session
from tests.support import fake_trackers
from tests.support.fake_cifar import message

CLOSED = {'wandb': (1, 0), 'mlflow': ('KILLED', 'FINISHED')}  # of a run that goes on, and finished


def config_with(trackers: str) -> ConfigDict:
  config = load('resnet:depth=8')
  override(config, [f'--config.train.trackers={trackers}'])
  return config


def log(workdir: pathlib.Path, config: ConfigDict, after_step: int, *steps: int) -> None:
  """A session that records training and validation at some steps, and is then killed or ends."""
  with (
    copies.opened(workdir, config) as run_copies,
    MetricLog(workdir, after_step, copies=run_copies) as metric_log,
  ):
    for step in steps:
      metric_log.write(
        step, step / 10, 'train', {'accuracy': 0.5, 'loss': 1.0, 'each': {'accuracy': [0.5]}}
      )
      metric_log.write(step, step / 10, 'validation', {'accuracy': 0.5, 'loss': 2.0})


@pytest.mark.parametrize('name', fake_trackers.NAMES)
def test_a_resumed_run_sends_each_record_once(
  name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service, config = fake_trackers.install(monkeypatch, name), config_with(name)
  log(tmp_path, config, 0, 10, 20)
  log(tmp_path, config, 10, 15, 20, 30)  # other steps, as after a change of log_every_steps
  sent = [(step, values[-1]) for step, values in service.scalars]
  assert sent == [(step, f'{split}/loss') for step in (10, 20, 30) for split in SPLITS]
  assert service.opened == ['run1', 'run1'] and service.closed == [CLOSED[name][0]] * 2
  flat = service.config.get('train.batch_size', service.config.get('train', {}))
  assert flat in ('128', config.train.to_dict())


SPLITS = ('train', 'validation')


@pytest.mark.parametrize('name', fake_trackers.NAMES)
def test_what_a_service_lacks_is_sent_in_the_next_session(
  name: str,
  monkeypatch: pytest.MonkeyPatch,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
) -> None:
  service, config = fake_trackers.install(monkeypatch, name), config_with(name)
  log(tmp_path, config_with(''), 0, 10)  # before the service was chosen
  with (
    copies.opened(tmp_path, config) as run_copies,
    MetricLog(tmp_path, 10, copies=run_copies) as metric_log,
  ):
    service.is_down = True
    for step in (20, 30):
      metric_log.write(step, step / 10, 'train', {'accuracy': 0.5, 'loss': 1.0})
    run_copies.send_end(30, {})
    service.is_down = False
  assert caplog.text.count('has failed') == 1 and 'no route to host' in caplog.text
  log(tmp_path, config, 30, 40)
  steps = [step for step, _ in service.scalars]
  assert steps == [10, 10, 20, 30, 40, 40]
  finish(tmp_path, 40)
  assert copies.lack_the_end(tmp_path, TrainSettings(**config.train))


def finish_leg(workdir: pathlib.Path, num_steps: int) -> None:
  """Leaves what makes the next session one of a second leg."""
  (workdir / 'leg1').mkdir()
  finish(workdir / 'leg1', num_steps)


def finish(workdir: pathlib.Path, num_steps: int) -> None:
  result = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 2.0, 'device': '1 x cpu'}
  (workdir / 'result.json').write_text(json.dumps(result | {'num_steps': num_steps}))


@pytest.mark.parametrize('name', fake_trackers.NAMES)
def test_each_leg_of_a_run_sends_its_pictures_once(
  name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service, config = fake_trackers.install(monkeypatch, name), config_with(name)
  settings = TrainSettings(**config.train)
  for num_steps in (10, 20):
    finish(tmp_path, num_steps)
    assert copies.lack_the_end(tmp_path, settings)
    for _ in range(2):  # the command that reports a finished run again
      with copies.opened(tmp_path, config) as run_copies:
        run_copies.send_end(num_steps, {'mistakes': tmp_path / 'mistakes.png'})
    assert not copies.lack_the_end(tmp_path, settings)
  assert len(service.pictures) == 2


@pytest.mark.parametrize('sent', [3, None, {'id': 'a', 'step': 1}, {'step': 1, 'splits': []}])
def test_a_state_file_of_another_form_is_one_line(sent: object, tmp_path: pathlib.Path) -> None:
  finish(tmp_path, 10)
  (tmp_path / copies.FILE).write_text(json.dumps({'wandb': sent}))
  settings = TrainSettings(trackers='wandb')
  refusal = message(lambda: copies.lack_the_end(tmp_path, settings))
  assert 'trackers.json' in refusal and 'of wandb is missing or wrong' in refusal


def test_a_service_that_cannot_be_opened_is_refused_in_one_line(
  monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service = fake_trackers.install(monkeypatch, 'wandb')
  service.is_down = True
  with pytest.raises(InputError, match=r'wandb cannot be used \(no route to host\)'):
    log(tmp_path, config_with('wandb'), 0)
  (tmp_path / copies.FILE).write_text('{"wandb"')
  with pytest.raises(InputError, match='is not JSON'):
    log(tmp_path, config_with('wandb'), 0)


def test_a_library_that_is_not_installed_is_refused_before_anything_is_written(
  monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(InputError, match=r"mlflow, which is not installed: pip install 'cifar_jax"):
    session.run(config_with('mlflow,wandb'), tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('text', ['tensorboard', 'wandb,', ',', 'wandb mlflow'])
def test_an_unknown_tracker_is_refused(text: str) -> None:
  with pytest.raises(InputError, match=r'train\.trackers has .*mlflow or wandb'):
    TrainSettings(trackers=text)
  assert TrainSettings(trackers='wandb,mlflow,wandb').tracker_names == ('wandb', 'mlflow')


def test_the_copies_of_a_run_without_trackers_leave_no_file(tmp_path: pathlib.Path) -> None:
  log(tmp_path, config_with(''), 0, 10)
  assert not (tmp_path / copies.FILE).exists()
  assert not copies.lack_the_end(tmp_path, TrainSettings())


def test_a_tracker_state_file_says_what_was_sent(
  monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  fake_trackers.install(monkeypatch, 'wandb')
  log(tmp_path, config_with('wandb'), 0, 10)
  assert json.loads((tmp_path / copies.FILE).read_text()) == {
    'wandb': {
      **{'step': 10, 'splits': ['train', 'validation'], 'end': None, 'id': 'run1'},
      'of': copies._describe(tmp_path, config_with('wandb')),
    }
  }


@pytest.mark.parametrize('name', fake_trackers.NAMES)
def test_a_copied_workdir_has_a_run_of_its_own_and_a_renamed_one_keeps_its_run(
  name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service, config = fake_trackers.install(monkeypatch, name), config_with(name)
  (tmp_path / 'run').mkdir()
  log(tmp_path / 'run', config, 0, 10)
  shutil.copytree(tmp_path / 'run', tmp_path / 'copy')
  log(tmp_path / 'copy', config, 10, 20)
  log(tmp_path / 'run', config, 10, 30)
  assert service.opened == ['run1', 'run2', 'run1']
  assert [step for step, _ in service.scalars] == [10, 10, 10, 10, 20, 20, 30, 30]
  (tmp_path / 'run').rename(tmp_path / 'renamed')
  log(tmp_path / 'renamed', config, 30, 40)
  # MLflow's files are in the workdir, under an absolute path.
  assert service.opened[3:] == ['run3' if name == 'mlflow' else 'run1']


@pytest.mark.parametrize('name', fake_trackers.NAMES)
def test_a_copy_of_a_renamed_workdir_has_a_run_of_its_own(
  name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service, config = fake_trackers.install(monkeypatch, name), config_with(name)
  (tmp_path / 'base').mkdir()
  log(tmp_path / 'base', config, 0, 10)
  (tmp_path / 'base').rename(tmp_path / 'low')
  shutil.copytree(tmp_path / 'low', tmp_path / 'high')
  log(tmp_path / 'high', config, 10, 20)
  log(tmp_path / 'low', config, 10, 20)
  # MLflow's files are in the workdir, under an absolute path.
  assert service.opened == ['run1', 'run2', 'run3' if name == 'mlflow' else 'run1']


@pytest.mark.parametrize('name', fake_trackers.NAMES)
def test_a_leg_that_replaces_one_that_was_given_up_has_a_run_of_its_own(
  name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service, config = fake_trackers.install(monkeypatch, name), config_with(name)
  log(tmp_path, config, 0, 10)
  finish_leg(tmp_path, 10)
  override(config, ['--config.train.num_epochs=300', '--config.schedule.learning_rate=3'])
  log(tmp_path, config, 10, 20, 30)
  assert service.opened == ['run1', 'run1']
  override(config, ['--config.schedule.learning_rate=0.3'])
  log(tmp_path, config, 10, 20)
  assert service.opened[2:] == ['run2']
  assert [step for step, _ in service.scalars[-4:]] == [10, 10, 20, 20]


def log_two_legs(workdir: pathlib.Path, config: ConfigDict) -> None:
  """A run that has finished, and that is trained longer in two sessions."""
  log(workdir, config, 0, 10)
  finish_leg(workdir, 10)
  constant = ['--config.schedule.name=constant', '--config.schedule.learning_rate=0.001']
  override(config, ['--config.train.num_epochs=300', *constant])
  for step in (20, 30):
    log(workdir, config, step - 10, step)


def test_wandb_has_the_configuration_of_the_newest_leg(
  monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service, config = fake_trackers.install(monkeypatch, 'wandb'), config_with('wandb')
  log_two_legs(tmp_path, config)
  assert service.opened == ['run1'] * 3
  assert service.config == config.to_dict()
  assert service.config['schedule']['name'] == 'constant'


def test_mlflow_has_what_a_later_leg_changed_under_the_name_of_the_leg(
  monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service, config = fake_trackers.install(monkeypatch, 'mlflow'), config_with('mlflow')
  files: dict[str, str] = {}
  monkeypatch.setattr(
    *(sys.modules['mlflow'].MlflowClient, 'log_text'),
    lambda _, __, text, file: files.update({file: text}),
  )
  log_two_legs(tmp_path, config)
  assert service.opened == ['run1'] * 3
  assert service.config['schedule.name'] == 'piecewise'
  assert {key: value for key, value in service.config.items() if key.startswith('leg')} == {
    'leg2.train.num_epochs': '300.0',
    'leg2.schedule.name': 'constant',
    'leg2.schedule.learning_rate': '0.001',
    'leg2.schedule.warmup_epochs': '0.0',
    'leg2.schedule.warmup_learning_rate': '0.01',
  }
  names = {file: json.loads(text)['schedule']['name'] for file, text in files.items()}
  assert names == {'config.json': 'piecewise', 'leg2/config.json': 'constant'}


@pytest.mark.parametrize('name', fake_trackers.NAMES)
def test_a_backup_that_was_restored_has_a_run_of_its_own(
  name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service, config = fake_trackers.install(monkeypatch, name), config_with(name)
  run, backup = tmp_path / 'run', tmp_path / 'backup'
  run.mkdir()
  log(run, config, 0, 10)
  shutil.copytree(run, backup)
  log(run, config, 10, 20)
  shutil.rmtree(run)
  backup.rename(run)
  log(run, config, 10, 20)
  assert service.opened == ['run1', 'run1', 'run2']


def test_a_run_of_an_earlier_version_that_noted_no_inode_is_known_by_its_path(
  monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  service, config = fake_trackers.install(monkeypatch, 'wandb'), config_with('wandb')
  run = tmp_path / 'run'
  run.mkdir()
  log(run, config, 0, 10)
  sent = json.loads((run / copies.FILE).read_text())
  del sent['wandb']['of']['inode']
  (run / copies.FILE).write_text(json.dumps(sent))
  shutil.copytree(run, tmp_path / 'copy')
  log(run, config, 10, 20)
  log(tmp_path / 'copy', config, 10, 20)
  assert service.opened == ['run1', 'run1', 'run2']
