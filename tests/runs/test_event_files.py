"""TensorBoard reads the configuration, the hyper-parameters and the pictures of a run."""

import pathlib

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from cifar_jax.config import load
from cifar_jax.runs import event_files
from cifar_jax.runs.metric_log import MetricLog

CONFIG = load('resnet:depth=8')


def log(workdir: pathlib.Path, after_step: int, *steps: int) -> None:
  with MetricLog(workdir, after_step, config=CONFIG) as metric_log:
    for step in steps:
      metric_log.write(step, step / 10, 'train', {'accuracy': 0.5, 'loss': float(step)})


def read(workdir: pathlib.Path) -> EventAccumulator:
  return EventAccumulator(str(workdir)).Reload()


def test_sessions_that_repeat_steps_leave_each_once(tmp_path: pathlib.Path) -> None:
  log(tmp_path, 0, 10)  # killed before its first checkpoint
  log(tmp_path, 0, 10, 20, 30)
  log(tmp_path, 20, 30, 40)
  events = read(tmp_path)
  assert [(event.step, event.value) for event in events.Scalars('train/loss')] == [
    (step, step) for step in (10, 20, 30, 40)
  ]
  (text,) = events.Tensors('configuration/text_summary')
  assert '"batch_size": 128' in text.tensor_proto.string_val[0].decode()


def test_the_configuration_is_there_as_hyper_parameters(tmp_path: pathlib.Path) -> None:
  log(tmp_path, 0, 10)
  contents = read(tmp_path).PluginTagToContent('hparams')
  data = plugin_data_pb2.HParamsPluginData.FromString(contents['_hparams_/session_start_info'])
  values = data.session_start_info.hparams
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
  log(tmp_path, 10, 20)  # a second leg
  event_files.write_end(tmp_path, 20, {'mistakes': path})
  assert [image.step for image in read(tmp_path).Images('mistakes')] == [10, 20]
