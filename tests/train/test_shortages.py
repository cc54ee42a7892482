"""A machine without enough disk, memory or file handles, and a run that receives signals.

A shortage gives one line and status 3, and everything saved stays intact.
"""

import ast
import errno
import gc
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import types

import pytest

from cifar_jax import cli, errors
from cifar_jax.config.base import base
from cifar_jax.runs.metric_log import MetricLog
from cifar_jax.runs.results import read_records
from cifar_jax.runs.workdir import claim_workdir
from cifar_jax.runtime.console import log_to, logger
from tests.support.checkpoints import ABSTRACT_STATE, make_state, open_checkpoints
from tests.support.paths import ROOT

SHORTAGES: dict[str, tuple[Exception, str]] = {
  'a full disk': (OSError(errno.ENOSPC, 'No space', '/runs/log.txt'), '/runs/log.txt: the disk is'),
  'a quota': (OSError(errno.EDQUOT, ''), 'quota'),
  'a read-only disk': (OSError(errno.EROFS, '', 'x'), 'x: the disk is read-only'),
  'no permission': (PermissionError(errno.EACCES, '', 'x'), 'x: permission denied'),
  'file handles': (OSError(errno.EMFILE, ''), 'too few file handles: raise ulimit -n above'),
  'memory': (MemoryError(), 'out of memory'),
  'a file limit': (OSError(errno.EFBIG, ''), 'ulimit -f'),
  'TensorStore on a full disk': (ValueError('Error writing "w/0" in OCDBT'), 'disk is full'),
  'TensorStore without handles': (ValueError('os_error_code=24: Too many open files'), 'handles'),
  'XLA without memory': (RuntimeError('RESOURCE_EXHAUSTED: Out of memory'), 'out of memory'),
}


@pytest.mark.parametrize('case', SHORTAGES)
def test_a_shortage_is_reported_in_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
  error, words = SHORTAGES[case]

  def main() -> None:
    try:
      raise error
    except type(error) as cause:
      raise RuntimeError('in the background') from cause

  with pytest.raises(SystemExit) as exit_info:
    cli.run(main)
  err = capsys.readouterr().err
  assert exit_info.value.code == cli.SHORTAGE and err.count('\n') == 1 and words in err


def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_the_earlier_ones_intact(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  with open_checkpoints(tmp_path / 'checkpoints') as checkpoints:
    checkpoints.save(1, make_state(1), run_info={})
    checkpoints.wait()
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: types.SimpleNamespace(free=50))
    with pytest.raises(errors.ShortageError, match='make room'):
      checkpoints.save(2, make_state(2), run_info={})
    assert checkpoints.latest == 1
  with open_checkpoints(tmp_path / 'checkpoints') as checkpoints:
    assert int(checkpoints.restore(1, ABSTRACT_STATE)[0].step) == 1


@pytest.mark.skipif(not pathlib.Path('/dev/full').exists(), reason='there is no /dev/full')
def test_a_log_file_that_cannot_be_written_raises_an_error(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  (tmp_path / 'log.txt').symlink_to('/dev/full')
  monkeypatch.setattr(logger, 'handlers', [])
  logger.setLevel(logging.INFO)
  with pytest.raises(OSError) as info, log_to(tmp_path):
    logger.info('a line')
  assert 'disk is full' in errors.shortage(info.value)
  assert capsys.readouterr().err == ''  # `logging` prints nothing about it


@pytest.mark.filterwarnings('ignore::ResourceWarning')
@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount a disk')
def test_a_disk_that_fills_up_leaves_only_complete_records(tmp_path: pathlib.Path) -> None:
  if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', tmp_path]).returncode:
    pytest.skip('mounting is not allowed')
  try:
    with pytest.raises(OSError) as info, MetricLog(tmp_path, after_step=0) as metric_log:
      for step in range(10_000):
        metric_log.write(step, 0.0, 'train', {'loss': 1.0})
    assert 'disk is full' in errors.shortage(info.value)
    steps = [record['step'] for record in read_records(tmp_path)]
    assert steps == list(range(len(steps))) and len(steps) > 100
  finally:
    subprocess.run(['umount', '--lazy', tmp_path], check=True)
  # tensorboardX leaves a file open that it could not write. Here the warning of that is no error.
  del info, metric_log
  gc.collect()


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount a disk')
def test_a_read_only_workdir_is_an_input_error(tmp_path: pathlib.Path) -> None:
  if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'ro', 'tmpfs', tmp_path]).returncode:
    pytest.skip('mounting is not allowed')
  try:
    with (
      pytest.raises(errors.InputError, match='cannot write in'),
      claim_workdir(tmp_path / 'run', base('resnet20')),
    ):
      pass
  finally:
    subprocess.run(['umount', '--lazy', tmp_path], check=True)


def test_durations_do_not_depend_on_the_system_clock() -> None:
  """The system clock may jump; it serves only for time stamps and to compare those of files."""
  users = set()
  for path in (ROOT / 'cifar_jax').rglob('*.py'):
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Attribute) and ast.unparse(node) in ('time.time', 'datetime.now'):
        users.add(path.name)
  assert users == {'cache.py', 'metric_log.py'}


# Waits in C, as a compilation does, where Python runs no signal handlers.
WAITING = """
import hashlib, sys
sys.path.insert(0, {root!r})
from cifar_jax.runtime.signals import StopRequest
with StopRequest() as stop:
  stop.unsaved = {unsaved}
  print('ready', flush=True)
  hashlib.pbkdf2_hmac('sha256', b'', b'', 200_000_000)
"""


def start_waiting(*, unsaved: bool) -> subprocess.Popen[str]:
  """Starts a process that waits in C within a `StopRequest`, with or without unsaved work."""
  code = WAITING.format(root=str(ROOT), unsaved=unsaved)
  process = subprocess.Popen(
    [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  assert process.stdout and process.stdout.readline() == 'ready\n'
  return process


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_with_nothing_to_save_a_signal_ends_even_a_compilation(
  number: signal.Signals, status: int
) -> None:
  process = start_waiting(unsaved=False)
  process.send_signal(number)
  _, err = process.communicate(timeout=20)
  assert process.returncode == status
  assert err == f'cifar_jax: {number.name}: stopped at once; there was nothing to save\n'


def test_a_second_signal_exits_at_once() -> None:
  process = start_waiting(unsaved=True)
  process.send_signal(signal.SIGINT)
  time.sleep(0.5)
  assert process.poll() is None  # the first only requests a stop
  process.send_signal(signal.SIGINT)
  _, err = process.communicate(timeout=20)
  assert process.returncode == 130
  assert err == 'cifar_jax: SIGINT: stopped at once; the last checkpoint is intact\n'
