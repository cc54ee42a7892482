"""A profile is where the log says, opens, and leaves the run as it was."""

import dataclasses
import gzip
import json
import logging
import re

import pytest
from test_loop import make, session

from cifar_jax import checkpoint, profile
from cifar_jax import config as configs


@pytest.mark.parametrize(
  'group,first,name,calls',
  [(4, 13, 'train_steps', 2), (1, 23, 'train_step', 2)],  # the second run ends during its trace
)
def test_some_steps_of_a_run_are_traced(tiny_cifar, tmp_path, caplog, group, first, name, calls):
  parts = make(tiny_cifar, 'stop', poisoned=())  # 13 steps, then 12
  plan = dataclasses.replace(
    parts.plan, steps_per_dispatch=group, profile=first, log_every_steps=24
  )
  with caplog.at_level(logging.INFO):
    session(dataclasses.replace(parts, plan=plan, checkpoints=checkpoint.Policy()), tmp_path)
  (line,) = [r.getMessage() for r in caplog.records if r.getMessage().startswith('profile from')]
  path = re.search(rf'from step {first} on: open (\S+) at https://ui\.perfetto\.dev', line)[1]
  assert path.startswith(str(tmp_path)) and f'--logdir {tmp_path / profile.FOLDER} ' in line
  assert len(list((tmp_path / profile.FOLDER).glob('plugins/profile/*/*.xplane.pb'))) == 1
  with gzip.open(path) as file:
    events = json.load(file)['traceEvents']
  called = [e['name'] for e in events if 'PjitFunction(train_step' in e.get('name', '')]
  assert set(called) == {f'PjitFunction({name})'}
  assert len(called) in (calls, 2 * calls)  # a call is seen once or twice


def test_a_run_may_go_on_with_another_value():
  old, new = configs.base('resnet20'), configs.base('resnet20')
  new.train.update(profile=100, steps_per_dispatch=5, deterministic=True)
  assert configs.differences(old, new) == []
  new.train.seeds = 2
  assert configs.differences(old, new) == ['train.seeds was 1 and is now 2']
