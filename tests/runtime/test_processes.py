"""Runs of several real processes on this machine: metrics, signals, and the loss of a process."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cifar_jax.errors import InputError
from cifar_jax.runtime import processes
from cifar_jax.runtime.agreement import AGREE_EVERY
from tests.support.launcher import CONFIG, num_records, records_without_speed
from tests.support.paths import ROOT

# Batches of 24 divide over 4, 3, 2 and 1 devices.
OVERRIDES = [
  '--config.train.batch_size=24',
  '--config.train.log_every_steps=3',
  '--config.data.validation_size=40',
  '--config.checkpoint.every_steps=3',
  '--config.schedule.learning_rate=0.005',  # a high rate would amplify rounding from step to step
]


# The command, in which a process waits two seconds for the others to leave, and the first process
# needs four for the page.
SLOW_TO_DRAW = """
import time
from cifar_jax import cli, main
import jax
from cifar_jax.report import page
initialize = jax.distributed.initialize
def initialize_impatient(*arguments, **options):
  initialize(*arguments, **options | {'shutdown_timeout_seconds': 2})
def page_of_few_words(runs):
  time.sleep(4)
  return 'a page'
jax.distributed.initialize, page.html = initialize_impatient, page_of_few_words
cli.run(main.main)
"""


class Job:
  """Starts the processes of a run, each with its share of virtual devices."""

  def __init__(
    self,
    data_dir: pathlib.Path,
    scratch: pathlib.Path,
    program: tuple[str, str] = ('-m', 'cifar_jax.main'),
  ) -> None:
    """Sets the data, a folder for the log of each process, and how Python starts the command."""
    self._data_dir, self._scratch, self._program = data_dir, scratch, program

  def start(
    self, run: pathlib.Path, count: int, devices: int, *overrides: str
  ) -> list[subprocess.Popen[bytes]]:
    """Starts `count` processes with `devices` devices each."""
    with socket.socket() as free:
      free.bind(('127.0.0.1', 0))
      port = free.getsockname()[1]
    xla_flags = os.environ['XLA_FLAGS'].replace('device_count=8', f'device_count={devices}')
    environment = os.environ | {'PYTHONPATH': str(ROOT), 'XLA_FLAGS': xla_flags}
    command = [
      *(sys.executable, *self._program, '--workdir', str(run)),
      *('--config', CONFIG, '--config.train.num_epochs=1'),
      *(f'--config.data.data_dir={self._data_dir}', *OVERRIDES, *overrides),
    ]
    started = []
    for index in range(count):
      flags = ['--coordinator', f'127.0.0.1:{port}', '--num_processes', str(count)]
      flags = [*flags, '--process_id', str(index)] if count > 1 else []
      with self._log_file(index).open('w') as file:
        started.append(subprocess.Popen([*command, *flags], env=environment, stderr=file))
    return started

  def _log_file(self, index: int) -> pathlib.Path:
    return self._scratch / f'log.{index}'

  def log(self, index: int) -> str:
    """The standard error of the process that was started last with this index."""
    return self._log_file(index).read_text()

  def finish(self, run: pathlib.Path, count: int, devices: int, *overrides: str) -> list[int]:
    """Starts the processes, waits for their end, and returns their exit statuses."""
    return [process.wait() for process in self.start(run, count, devices, *overrides)]


@pytest.fixture(scope='module')
def job(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
  return Job(tiny_cifar, tmp_path_factory.mktemp('scratch'))


@pytest.fixture(scope='module')
def alone(job: Job, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run in one process on one device."""
  run = tmp_path_factory.mktemp('runs') / 'alone'
  assert job.finish(run, 1, 1) == [0]
  return run


@pytest.fixture
def slow_to_draw(tiny_cifar: pathlib.Path, tmp_path: pathlib.Path) -> Job:
  """A job in which the others do not wait for the pictures of the first process."""
  return Job(tiny_cifar, tmp_path, ('-c', SLOW_TO_DRAW))


def assert_same_metrics(run: pathlib.Path, expected_run: pathlib.Path) -> None:
  """Checks that records come in the same order with the same values, up to the rounding of sums."""
  expected_records = records_without_speed(expected_run)
  for record, expected in zip(records_without_speed(run), expected_records, strict=True):
    assert (record['step'], record['split']) == (expected['step'], expected['split'])
    # A step rounds by 1e-7, and each step amplifies the difference: 1e-4 was seen at the last.
    np.testing.assert_allclose(record['loss'], expected['loss'], rtol=1e-3)
    # One of 24, 40 or 48 images may be classified differently.
    np.testing.assert_allclose(record['accuracy'], expected['accuracy'], atol=0.05)


@pytest.mark.ci
@pytest.mark.parametrize(('count', 'devices'), [(2, 2), pytest.param(4, 1, marks=pytest.mark.slow)])
def test_several_processes_give_the_metrics_of_one_and_write_once(
  slow_to_draw: Job, alone: pathlib.Path, tmp_path: pathlib.Path, count: int, devices: int
) -> None:
  job, run = slow_to_draw, tmp_path / 'run'
  assert job.finish(run, count, devices) == [0] * count, job.log(0)
  assert_same_metrics(run, alone)
  # Only the first process writes. Otherwise there would be two event files, for example.
  names = [sorted(path.name.split('.')[0] for path in folder.iterdir()) for folder in (run, alone)]
  assert names[0] == names[1]
  lines = [len((folder / 'log.txt').read_text().splitlines()) for folder in (run, alone)]
  assert lines[0] == lines[1]
  result = json.loads((run / 'result.json').read_text())
  assert result['device'] == f'{count * devices} x cpu'
  assert 'test accuracy' in job.log(0)
  assert 'accuracy' not in job.log(1)


@pytest.mark.slow
def test_a_finished_job_draws_what_is_missing_and_ends_well_in_all_processes(
  slow_to_draw: Job, alone: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = tmp_path / 'run'
  shutil.copytree(alone, run)
  (run / 'report.html').unlink()
  assert slow_to_draw.finish(run, 2, 1) == [0, 0], slow_to_draw.log(1)
  assert (run / 'report.html').exists()


def wait_until(condition: Callable[[], bool], started: Sequence[subprocess.Popen[bytes]]) -> None:
  """Waits for a condition while all processes are running."""
  while not condition():
    assert all(process.poll() is None for process in started)
    time.sleep(0.05)


def kill_all(started: Sequence[subprocess.Popen[bytes]]) -> None:
  for process in started:
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize('lost', [0, 1])
def test_after_one_process_is_killed_the_other_ends_and_one_process_resumes(
  job: Job, alone: pathlib.Path, tmp_path: pathlib.Path, lost: int
) -> None:
  run = tmp_path / 'run'
  started = job.start(run, 2, 2)
  try:
    wait_until(lambda: num_records(run) > 0, started)
    wait_until((run / 'checkpoints' / '3').exists, started)
    started[lost].kill()
    began = time.monotonic()
    assert started[1 - lost].wait(timeout=60) not in (0, 1, 2, 3)
    print(f'the other ended after {time.monotonic() - began:.1f} s')
  finally:
    kill_all(started)
  time.sleep(1)  # a shell that outlives the process prints the line
  log = job.log(1 - lost)
  assert log.count(f'cifar_jax: {processes.LOST}') == 1, log

  assert job.finish(run, 1, 3) == [0], job.log(0)
  assert 'resuming at step' in job.log(0)
  assert_same_metrics(run, alone)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_at_the_same_step(
  job: Job, alone: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = tmp_path / 'run'
  started = job.start(run, 2, 2, '--config.train.num_epochs=40')  # compiled by the test above
  try:
    wait_until(lambda: num_records(run) > 0, started)
    started[1].send_signal(signal.SIGTERM)
    assert [process.wait(timeout=60) for process in started] == [143, 143]
  finally:
    kill_all(started)
  (step,) = re.findall(r'SIGTERM: saved at step (\d+)\n', job.log(0))
  assert int(step) % AGREE_EVERY == 0
  assert (run / 'checkpoints' / step).is_dir()


@pytest.mark.slow
def test_a_second_run_in_the_workdir_is_refused_in_all_processes(
  job: Job, tmp_path: pathlib.Path
) -> None:
  run = tmp_path / 'run'
  long = '--config.train.num_epochs=400'
  [first] = job.start(run, 1, 1, long)
  try:
    wait_until(lambda: num_records(run) > 0, [first])
    assert job.finish(run, 2, 1, long) == [2, 2]
  finally:
    kill_all([first])
  for index in (0, 1):
    assert 'another process is running in' in job.log(index)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('host:1', 2, 2), '--num_processes is 2 and --process_id 2'),
    (('host:1', 0, -1), 'give both'),
    (('host', 2, 0), '--coordinator is host'),
    (('', 2, 0), 'go with --coordinator'),
    (('auto', 0, 1), 'go with --coordinator'),
  ],
)
def test_contradictory_arguments_are_refused(arguments: tuple[str, int, int], message: str) -> None:
  with pytest.raises(InputError, match=message):
    processes.start(*arguments)


def test_auto_without_a_cluster_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
  for name in list(os.environ):
    if name.startswith(('SLURM_', 'OMPI_', 'TPU_', 'KUBERNETES_')):
      monkeypatch.delenv(name)
  monkeypatch.setattr(processes, '_report_abort', lambda: None)
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
def test_an_environment_of_several_processes_joins_them(
  monkeypatch: pytest.MonkeyPatch, name: str, one: str, two: str
) -> None:
  joined: list[str] = []
  monkeypatch.setattr('jax.distributed.initialize', lambda *_, **__: joined.append(name))
  monkeypatch.setattr(processes, '_report_abort', lambda: None)
  monkeypatch.setattr('jax.config.update', lambda *_: None)
  monkeypatch.setenv(name, one)
  processes.start('', 0, -1)
  assert not joined
  monkeypatch.setenv(name, two)
  processes.start('', 0, -1)
  assert joined == [name]


def test_a_number_of_processes_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setenv('SLURM_STEP_NUM_TASKS', 'abc')
  with pytest.raises(InputError, match="SLURM_STEP_NUM_TASKS is 'abc', not a number of processes"):
    processes.start('', 0, -1)
