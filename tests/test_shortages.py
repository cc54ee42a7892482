"""A machine that runs short: one line, status 3, what was saved intact."""

import ast
import errno
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
from test_checkpoint import ABSTRACT, make_state, open_

from cifar_jax import command, errors, progress, workdir
from cifar_jax.records import Records
from cifar_jax.report import runs

ROOT = pathlib.Path(__file__).parent.parent

SHORTAGES = {
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
def test_a_shortage_is_one_line(case, capsys):
  error, words = SHORTAGES[case]

  def main():
    try:
      raise error
    except type(error) as cause:
      raise RuntimeError('in the background') from cause

  with pytest.raises(SystemExit) as left:
    command.run(main)
  told = capsys.readouterr().err
  assert left.value.code == command.SHORTAGE and told.count('\n') == 1 and words in told


def test_a_bug_keeps_its_traceback():
  with pytest.raises(ZeroDivisionError):
    command.run(lambda: 1 // 0)


def test_no_room_for_a_checkpoint_leaves_the_earlier_ones(tmp_path, monkeypatch):
  with open_(tmp_path / 'checkpoints') as checkpoints:
    checkpoints.save(1, make_state(1), run={})
    checkpoints.wait()
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(9, 9, 50))
    with pytest.raises(errors.ShortageError, match='make room'):
      checkpoints.save(2, make_state(2), run={})
    assert checkpoints.latest == 1
  with open_(tmp_path / 'checkpoints') as checkpoints:
    assert int(checkpoints.restore(1, ABSTRACT)[0].step) == 1


@pytest.mark.skipif(not pathlib.Path('/dev/full').exists(), reason='no device that is full')
def test_a_log_that_cannot_be_written_is_heard_of(tmp_path, monkeypatch, capsys):
  (tmp_path / 'log.txt').symlink_to('/dev/full')
  monkeypatch.setattr(progress.logger, 'handlers', [])
  progress.logger.setLevel(logging.INFO)
  with pytest.raises(OSError) as info, progress.log_to(tmp_path):
    progress.logger.info('a line')
  assert 'disk is full' in errors.shortage(info.value)
  assert capsys.readouterr().err == ''  # of logging's own account of it


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount')
def test_a_disk_that_fills_leaves_whole_records(tmp_path):
  if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', tmp_path]).returncode:
    pytest.skip('may not mount')
  try:
    with pytest.raises(OSError) as info, Records(tmp_path, after_step=0) as records:
      for step in range(10_000):
        records.write(step, 0.0, 'train', {'loss': 1.0})
    assert 'disk is full' in errors.shortage(info.value)
    found = [record['step'] for record in runs.read_records(tmp_path)]
    assert found == list(range(len(found))) and len(found) > 100
  finally:
    subprocess.run(['umount', '--lazy', tmp_path], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount')
def test_a_read_only_workdir(tmp_path):
  if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'ro', 'tmpfs', tmp_path]).returncode:
    pytest.skip('may not mount')
  try:
    with (
      pytest.raises(errors.InputError, match='cannot write in'),
      workdir.claimed(tmp_path / 'run', None),
    ):
      pass
  finally:
    subprocess.run(['umount', '--lazy', tmp_path], check=True)


def test_durations_do_not_depend_on_the_clock_on_the_wall():
  """It may jump; `time.time` is for stamps, and for comparison with those of files."""
  users = set()
  for path in (ROOT / 'cifar_jax').rglob('*.py'):
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Attribute) and ast.unparse(node) in ('time.time', 'datetime.now'):
        users.add(path.name)
  assert users == {'cache.py', 'records.py'}


# Waits in C, as a compilation does, where Python's own handlers do not run.
WAITING = """
import hashlib, sys
sys.path.insert(0, {root!r})
from cifar_jax.signals import StopRequest
with StopRequest() as stop:
  stop.unsaved = {unsaved}
  print('ready', flush=True)
  hashlib.pbkdf2_hmac('sha256', b'', b'', 200_000_000)
"""


def start(unsaved: bool) -> subprocess.Popen[str]:
  code = WAITING.format(root=str(ROOT), unsaved=unsaved)
  process = subprocess.Popen(
    [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  assert process.stdout.readline() == 'ready\n'
  return process


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_with_nothing_to_save_a_signal_ends_even_a_compilation(number, status):
  process = start(unsaved=False)
  process.send_signal(number)
  _, err = process.communicate(timeout=20)
  assert process.returncode == status
  assert err == f'cifar_jax: {number.name}: left at once; there was nothing to save\n'


def test_a_second_signal_leaves_at_once():
  process = start(unsaved=True)
  process.send_signal(signal.SIGINT)
  time.sleep(0.5)
  assert process.poll() is None  # the first is a request
  process.send_signal(signal.SIGINT)
  _, err = process.communicate(timeout=20)
  assert process.returncode == 130
  assert err == 'cifar_jax: SIGINT: left at once; the last checkpoint is sound\n'
