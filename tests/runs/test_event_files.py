"""TensorBoard reads the configuration, the hyper-parameters and the pictures of a run."""

import json
import pathlib
import time
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from cifar_jax.config import load
from cifar_jax.config.command_line import override
from cifar_jax.runs import event_files, given_up_leg
from cifar_jax.runs.metric_log import MetricLog

CONFIG = load('resnet:depth=8')


def log(workdir: pathlib.Path, after_step: int, *steps: int, config: ConfigDict = CONFIG) -> None:
  with MetricLog(workdir, after_step, config=config) as metric_log:
    for step in steps:
      metric_log.write(step, step / 10, 'train', {'accuracy': 0.5, 'loss': float(step)})


def read(workdir: pathlib.Path) -> EventAccumulator:
  return EventAccumulator(str(workdir)).Reload()


def test_sessions_that_repeat_steps_leave_each_once(tmp_path: pathlib.Path) -> None:
  log(tmp_path, 0, 10)  # killed before its first checkpoint
  log(tmp_path, 0, 10, 20, 30)
  log(tmp_path, 20, 30, 40)
  assert len(list(tmp_path.glob('events*'))) == 3  # only a leg's own folder is ever emptied
  events = read(tmp_path)
  assert [(event.step, event.value) for event in events.Scalars('train/loss')] == [
    (step, step) for step in (10, 20, 30, 40)
  ]
  (text,) = events.Tensors('configuration/text_summary')
  assert '"batch_size": 128' in text.tensor_proto.string_val[0].decode()


def steps_of(folder: pathlib.Path, tag: str = 'train/loss') -> list[int]:
  return [event.step for event in read(folder).Scalars(tag)]


def hyper_parameters(folder: pathlib.Path) -> Any:
  """The values that TensorBoard's table has beside the last scalars of a folder."""
  contents = read(folder).PluginTagToContent('hparams')
  data = plugin_data_pb2.HParamsPluginData.FromString(contents['_hparams_/session_start_info'])
  return data.session_start_info.hparams


def with_rate(rate: float) -> ConfigDict:
  config = load('resnet:depth=8')
  override(config, [f'--config.schedule.learning_rate={rate}'])
  return config


def finish_leg(workdir: pathlib.Path, number: int, num_steps: int) -> None:
  """Leaves what makes the next session one of the next leg."""
  result = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 2.0, 'device': '1 x cpu'}
  (workdir / f'leg{number}').mkdir()
  (workdir / f'leg{number}' / 'result.json').write_text(
    json.dumps(result | {'num_steps': num_steps})
  )


def test_the_configuration_is_there_as_hyper_parameters(tmp_path: pathlib.Path) -> None:
  log(tmp_path, 0, 10)
  values = hyper_parameters(tmp_path)
  assert values['optimizer.weight_decay'].number_value == CONFIG.optimizer.weight_decay
  assert values['model.name'].string_value == 'resnet8'
  assert values['optimizer.nesterov'].bool_value is True
  assert values['schedule.boundaries'].string_value == '(0.5, 0.75)'


def test_the_pictures_are_written_once_as_they_are(tmp_path: pathlib.Path) -> None:
  path = tmp_path / 'mistakes.png'
  Image.fromarray(np.zeros((3, 5, 3), np.uint8)).save(path)
  log(tmp_path, 0, 10)
  for _ in range(2):  # the command that reports a finished run again
    event_files.write_end(tmp_path, 10, {'mistakes': path})
  assert len(list(tmp_path.glob('*.end'))) == 1
  (image,) = read(tmp_path).Images('mistakes')
  assert (image.step, image.width, image.height) == (10, 5, 3)
  assert image.encoded_image_string == path.read_bytes()
  finish_leg(tmp_path, 1, 10)
  log(tmp_path, 10, 20)
  for _ in range(2):
    event_files.write_end(tmp_path, 20, {'mistakes': path})
  assert [image.step for image in read(tmp_path).Images('mistakes')] == [10]
  assert [image.step for image in read(tmp_path / 'leg2_events').Images('mistakes')] == [20]


def test_the_records_of_each_leg_are_beside_its_configuration(tmp_path: pathlib.Path) -> None:
  log(tmp_path, 0, 10)
  finish_leg(tmp_path, 1, 10)
  log(tmp_path, 10, 20, config=with_rate(0.25))
  log(tmp_path, 10, 20, 30, config=with_rate(0.25))  # the session before was killed
  log(tmp_path, 20, 30, 40, config=with_rate(0.25))
  finish_leg(tmp_path, 2, 40)
  log(tmp_path, 40, 50, config=with_rate(0.5))
  folders = tmp_path, tmp_path / 'leg2_events', tmp_path / 'leg3_events'
  assert list(map(steps_of, folders)) == [[10], [20, 30, 40], [50]]
  for folder, rate, step in zip(folders, (0.1, 0.25, 0.5), (0, 10, 40), strict=True):
    assert hyper_parameters(folder)['schedule.learning_rate'].number_value == rate
    (text,) = read(folder).Tensors('configuration/text_summary')
    assert f'"learning_rate": {rate}' in text.tensor_proto.string_val[0].decode()
    assert text.step == step


def test_a_leg_that_replaces_one_that_was_given_up_shows_its_own_configuration(
  tmp_path: pathlib.Path,
) -> None:
  log(tmp_path, 0, 10)
  finish_leg(tmp_path, 1, 10)
  log(tmp_path, 10, 20, 30, config=with_rate(1e30))
  (tmp_path / 'config.json').write_text('{}')
  given_up_leg.keep(tmp_path)
  log(tmp_path, 10, 20, config=with_rate(0.25))
  assert steps_of(tmp_path / 'leg2_given_up' / 'events') == [20, 30]
  folder = tmp_path / 'leg2_events'
  assert hyper_parameters(folder)['schedule.learning_rate'].number_value == 0.25
  assert steps_of(folder) == [20] and steps_of(tmp_path) == [10]


def test_the_legs_that_an_earlier_version_wrote_into_the_workdir_are_not_written_again(
  tmp_path: pathlib.Path,
) -> None:
  log(tmp_path, 0, 10)
  log(tmp_path, 10, 20)
  event_files.write_end(tmp_path, 20, {})
  finish_leg(tmp_path, 1, 10)
  event_files.write_end(tmp_path, 20, {})
  assert not (tmp_path / 'leg2_events').exists()
  finish_leg(tmp_path, 2, 20)
  log(tmp_path, 20, 30)
  assert steps_of(tmp_path) == [10, 20] and steps_of(tmp_path / 'leg3_events') == [30]


def test_a_clock_that_is_set_back_hides_no_records(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  now = 1_800_000_000
  monkeypatch.setattr(time, 'time', lambda: now)
  log(tmp_path, 0, 10, 20)
  now -= 3600
  log(tmp_path, 10, 20, 30)
  log(tmp_path, 30, 40)  # within the same second
  event_files.write_end(tmp_path, 40, {})
  log(tmp_path, 40, 50)
  assert steps_of(tmp_path) == [10, 20, 30, 40, 50]
  files = tmp_path.glob('events*')
  by_age = sorted(files, key=lambda file: file.stat().st_ctime_ns)
  assert by_age == sorted(by_age) and len(by_age) == 5 and by_age[3].suffix == '.end'
