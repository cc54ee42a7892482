"""Several real processes of one run, on this machine: in step with one, and without one another."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from test_run import ARGUMENTS, num_records, records

from cifar_jax import processes
from cifar_jax.errors import InputError

ROOT = pathlib.Path(__file__).parent.parent
# Batches of 24 divide over 4, 3, 2 devices and 1.
OVERRIDES = [
  '--config.train.batch_size=24',
  '--config.train.log_every_steps=3',
  '--config.data.validation_size=40',
  '--config.checkpoint.every_steps=3',
  '--config.schedule.learning_rate=0.005',  # a high one multiplies the rounding from step to step
]


class Job:
  """Starts the processes of a run, each with its share of virtual devices."""

  def __init__(self, data_dir: pathlib.Path, scratch: pathlib.Path):
    self.data_dir, self.scratch = data_dir, scratch

  def start(self, run: pathlib.Path, count: int, devices: int, *overrides: str):
    """`count` processes with `devices` each; their messages go to files in the scratch folder."""
    with socket.socket() as free:
      free.bind(('127.0.0.1', 0))
      port = free.getsockname()[1]
    flags = os.environ['XLA_FLAGS'].replace('device_count=8', f'device_count={devices}')
    environment = os.environ | {
      'PYTHONPATH': str(ROOT),
      'XLA_FLAGS': flags,
    }
    command = [
      *(sys.executable, '-m', 'cifar_jax.main', '--workdir', str(run)),
      *('--config', f'{ROOT / "configs/resnet.py"}:{ARGUMENTS}', '--config.train.num_epochs=1'),
      *(f'--config.data.data_dir={self.data_dir}', *OVERRIDES, *overrides),
    ]
    started = []
    for index in range(count):
      joined = ['--coordinator', f'127.0.0.1:{port}', '--num_processes', str(count)]
      several = [*joined, '--process_id', str(index)] if count > 1 else []
      with self.messages(index).open('w') as file:
        started.append(subprocess.Popen([*command, *several], env=environment, stderr=file))
    return started

  def messages(self, index: int) -> pathlib.Path:
    return self.scratch / f'messages.{index}'

  def finish(self, run: pathlib.Path, count: int, devices: int, *overrides: str) -> list[int]:
    return [process.wait() for process in self.start(run, count, devices, *overrides)]


@pytest.fixture(scope='module')
def job(tiny_cifar, tmp_path_factory):
  return Job(tiny_cifar, tmp_path_factory.mktemp('scratch'))


@pytest.fixture(scope='module')
def alone(job, tmp_path_factory):
  """A run in one process on one device."""
  run = tmp_path_factory.mktemp('runs') / 'alone'
  assert job.finish(run, 1, 1) == [0]
  return run


def assert_same_metrics(run: pathlib.Path, expected: pathlib.Path) -> None:
  """Records in the same order with the same values, up to the rounding of sums."""
  for one, other in zip(records(run), records(expected), strict=True):
    assert (one['step'], one['split']) == (other['step'], other['split'])
    # One step rounds by 1e-7, and each multiplies what came before: seen are 1e-4 at the last.
    np.testing.assert_allclose(one['loss'], other['loss'], rtol=1e-3)
    # One of 24, 40 or 48 images may change sides.
    np.testing.assert_allclose(one['accuracy'], other['accuracy'], atol=0.05)


@pytest.mark.parametrize(('count', 'devices'), [(2, 2), pytest.param(4, 1, marks=pytest.mark.slow)])
def test_several_processes_give_the_metrics_of_one_and_write_once(
  job, alone, tmp_path, count, devices
):
  run = tmp_path / 'run'
  assert job.finish(run, count, devices) == [0] * count, job.messages(0).read_text()
  assert_same_metrics(run, alone)
  # One file of events, for one, whose name has the process that wrote it.
  names = [sorted(path.name.split('.')[0] for path in folder.iterdir()) for folder in (run, alone)]
  assert names[0] == names[1]
  lines = [len((folder / 'log.txt').read_text().splitlines()) for folder in (run, alone)]
  assert lines[0] == lines[1]
  result = json.loads((run / 'result.json').read_text())
  assert result['device'] == f'{count * devices} x cpu'
  assert 'test accuracy' in job.messages(0).read_text()
  assert 'accuracy' not in job.messages(1).read_text()


def wait_for_records(run: pathlib.Path, started, least: int) -> None:
  while num_records(run) < least:
    assert all(process.poll() is None for process in started)
    time.sleep(0.05)


def wait_for_checkpoint(run: pathlib.Path, started) -> None:
  while not (run / 'checkpoints' / '3').exists():
    assert all(process.poll() is None for process in started)
    time.sleep(0.05)


def stop_others(started) -> None:
  for process in started:
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize('lost', [0, 1])
def test_where_one_is_killed_the_others_end_and_fewer_go_on(job, alone, tmp_path, lost):
  run = tmp_path / 'run'
  started = job.start(run, 2, 2)
  try:
    wait_for_records(run, started, 1)
    wait_for_checkpoint(run, started)
    started[lost].kill()
    began = time.monotonic()
    assert started[1 - lost].wait(timeout=60) not in (0, 1, 2, 3)
    print(f'the other ended after {time.monotonic() - began:.1f} s')
  finally:
    stop_others(started)
  time.sleep(1)  # the line may come from a shell that outlives the process
  told = job.messages(1 - lost).read_text()
  assert told.count(f'cifar_jax: {processes.LOST}') == 1, told

  assert job.finish(run, 1, 3) == [0], job.messages(0).read_text()
  assert 'resuming at step' in job.messages(0).read_text()
  assert_same_metrics(run, alone)


def test_a_signal_to_one_stops_all_at_the_same_step(job, alone, tmp_path):
  run = tmp_path / 'run'
  started = job.start(run, 2, 1, '--config.train.num_epochs=40')
  try:
    wait_for_records(run, started, 1)
    started[1].send_signal(signal.SIGTERM)
    assert [process.wait(timeout=60) for process in started] == [143, 143]
  finally:
    stop_others(started)
  (step,) = re.findall(r'SIGTERM: saved at step (\d+)\n', job.messages(0).read_text())
  assert int(step) % processes.AGREE_EVERY == 0
  assert (run / 'checkpoints' / step).is_dir()


@pytest.mark.slow
def test_a_second_run_in_the_workdir_is_refused_in_all_processes(job, tmp_path):
  run = tmp_path / 'run'
  long = '--config.train.num_epochs=400'
  [first] = job.start(run, 1, 1, long)
  try:
    wait_for_records(run, [first], 1)
    assert job.finish(run, 2, 1, long) == [2, 2]
  finally:
    stop_others([first])
  for index in (0, 1):
    assert 'another process is running in' in job.messages(index).read_text()


@pytest.mark.parametrize(
  ('arguments', 'told'),
  [
    (('host:1', 2, 2), '--num_processes is 2 and --process_id 2'),
    (('host:1', 0, -1), 'give both'),
    (('host', 2, 0), '--coordinator is host'),
    (('', 2, 0), 'go with --coordinator'),
    (('auto', 0, 1), 'go with --coordinator'),
  ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, told):
  with pytest.raises(InputError, match=told):
    processes.start(*arguments)


def test_a_cluster_that_is_none_is_said_to_be_none(monkeypatch):
  """JAX finds nothing to join here."""
  for name in list(os.environ):
    if name.startswith(('SLURM_', 'OMPI_', 'TPU_', 'KUBERNETES_')):
      monkeypatch.delenv(name)
  monkeypatch.setattr(processes, '_say_when_aborted', lambda: None)
  with pytest.raises(InputError, match='cannot join the other processes'):
    processes.start('auto', 0, -1)


@pytest.mark.parametrize(
  ('name', 'one', 'two'),
  [
    ('SLURM_STEP_NUM_TASKS', '1', '2'),
    ('OMPI_COMM_WORLD_SIZE', '1', '2'),
    ('TPU_WORKER_HOSTNAMES', 'localhost', 'a.b,c.d'),
  ],
)
def test_the_environment_tells_of_several(monkeypatch, name, one, two):
  joined = []
  monkeypatch.setattr('jax.distributed.initialize', lambda *_, **__: joined.append(name))
  monkeypatch.setattr(processes, '_say_when_aborted', lambda: None)
  monkeypatch.setattr('jax.config.update', lambda *_: None)
  monkeypatch.setenv(name, one)
  processes.start('', 0, -1)
  assert not joined
  monkeypatch.setenv(name, two)
  processes.start('', 0, -1)
  assert joined == [name]
