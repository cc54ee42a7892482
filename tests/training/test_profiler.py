"""A profile is where the log says, can be opened, and may change within a run."""

import dataclasses
import gzip
import json
import logging
import pathlib
import re

import pytest

from cifar_jax.config import loading
from cifar_jax.config.base import base
from cifar_jax.config.training import CheckpointSettings
from cifar_jax.training.profiler import FOLDER
from tests.support.sessions import make_poisoned, run_session


@pytest.mark.parametrize(
  'group,first_step,function,num_calls',
  [
    pytest.param(4, 13, 'train_steps', 2, marks=pytest.mark.slow),
    (1, 23, 'train_step', 2),  # this run ends during its trace
  ],
)
def test_a_profile_holds_the_steps_after_the_first_step_to_trace(
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
  group: int,
  first_step: int,
  function: str,
  num_calls: int,
) -> None:
  experiment = make_poisoned(tiny_cifar, 'stop', poisoned=())  # 13 steps, then 12
  experiment = dataclasses.replace(
    experiment,
    train_settings=dataclasses.replace(
      experiment.train_settings, steps_per_dispatch=group, profile=first_step, log_every_steps=24
    ),
    checkpoint_settings=CheckpointSettings(),
  )
  with caplog.at_level(logging.INFO):
    run_session(experiment, tmp_path)
  (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith('profile from')]
  match = re.search(rf'from step {first_step} on: open (\S+) at https://ui\.perfetto\.dev', line)
  assert match
  path = match[1]
  assert path.startswith(str(tmp_path)) and f'--logdir {tmp_path / FOLDER} ' in line
  assert len(list((tmp_path / FOLDER).glob('plugins/profile/*/*.xplane.pb'))) == 1
  with gzip.open(path) as file:
    events = json.load(file)['traceEvents']
  calls = [e['name'] for e in events if 'PjitFunction(train_step' in e.get('name', '')]
  assert set(calls) == {f'PjitFunction({function})'}
  assert len(calls) in (num_calls, 2 * num_calls)  # a call has one event or two


def test_a_run_may_resume_with_another_profile_but_not_with_other_seeds() -> None:
  old, new = base('resnet20'), base('resnet20')
  new.train.update(profile=100, steps_per_dispatch=5, deterministic=True)
  assert loading.differences(old, new) == []
  new.train.seeds = 2
  assert loading.differences(old, new) == ['train.seeds was 1 and is now 2']
