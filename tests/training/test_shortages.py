"""A machine without enough disk, memory or file handles.

A shortage gives one line and status 3, and everything saved stays intact.
"""

import ast
import errno
import gc
import logging
import os
import pathlib
import shutil
import subprocess
import types
from collections.abc import Callable
from typing import NoReturn

import pytest
from matplotlib.figure import Figure

from cifar_jax import cli, data, errors, output_files, own_files
from cifar_jax.config.base import base
from cifar_jax.config.dataset import DataSettings
from cifar_jax.runs.metric_log import MetricLog
from cifar_jax.runs.results import read_records
from cifar_jax.runs.workdir import claim_workdir
from cifar_jax.runtime import memory
from cifar_jax.runtime.console import log_to, logger
from tests.support.checkpoints import ABSTRACT_STATE, make_state, open_checkpoints
from tests.support.paths import ROOT

SHORTAGES: dict[str, tuple[Exception, str]] = {
  'a full disk': (OSError(errno.ENOSPC, 'No space', '/runs/log.txt'), '/runs/log.txt: the disk is'),
  'a quota': (OSError(errno.EDQUOT, ''), 'quota'),
  'a read-only disk': (OSError(errno.EROFS, '', 'x'), 'x: the disk is read-only'),
  'no permission': (PermissionError(errno.EACCES, '', 'x'), 'x: permission denied'),
  'file handles': (OSError(errno.EMFILE, ''), 'too few file handles: raise ulimit -n above'),
  'a name with braces': (OSError(errno.EMFILE, '', 'runs/{depth}'), 'runs/{depth}: too few file'),
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
  assert ('same command' in err) != (case.endswith('memory'))  # it would be as short again


def test_a_disk_that_is_full_at_the_end_of_a_run_is_no_bad_input(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  def full(_: pathlib.Path) -> NoReturn:
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(output_files, 'sync', full)
  monkeypatch.setattr(pathlib.Path, 'touch', full)
  writers: list[Callable[[], object]] = [
    lambda: output_files.save_figure(Figure(), tmp_path / 'a.png'),
    lambda: output_files.make_folder(tmp_path),
    lambda: claim_workdir(tmp_path / 'run', base('resnet20')).__enter__(),
  ]
  for write in writers:
    with pytest.raises(
      errors.ShortageError, match='the disk is full: make room, then run the same'
    ):
      write()
  assert os.listdir(tmp_path) == ['run']


@pytest.mark.parametrize('name', ['cifar10', 'folder'])
def test_images_that_do_not_fit_in_memory_are_named_before_they_are_resized(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
  for split in ('train', 'test'):
    (tmp_path / split / 'cat').mkdir(parents=True)
    (tmp_path / split / 'cat' / 'image.png').touch()
  settings = DataSettings(
    name, str({'cifar10': tiny_cifar, 'folder': tmp_path}[name]), image_size=64, validation_size=0
  )
  monkeypatch.setattr(memory, 'host_bytes', lambda: 3 * 64 * 64 - 1)
  with pytest.raises(errors.ShortageError, match=r'of 64 x 64 pixels take .* smaller data\.image_'):
    data.load(settings)


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
  monkeypatch.setattr(own_files, 'open_own', lambda *_, **options: open('/dev/full', 'a'))  # noqa: SIM115
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
    with pytest.raises(OSError) as info, MetricLog(tmp_path, 0) as metric_log:
      for step in range(10_000):
        metric_log.write(step, 0.0, 'train', {'accuracy': 0.5, 'loss': 1.0})
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
  assert users == {'cache.py', 'event_files.py', 'mlflow_run.py'}
