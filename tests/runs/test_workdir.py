"""Workdirs of killed runs, and output files whose writing is interrupted."""

import errno
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from cifar_jax import output_files
from cifar_jax.config import loading
from cifar_jax.config.base import base
from cifar_jax.errors import InputError
from cifar_jax.runs import checksums
from cifar_jax.runs.workdir import CONFIG, LOCK, check_workdir, claim_workdir
from tests.support.paths import ROOT

# Writes half of a file and kills its own process.
KILLED_WRITER = """
import os, pathlib, signal, sys
sys.path.insert(0, {root!r})
from cifar_jax import output_files
with output_files.replacing(pathlib.Path('config.json')) as temporary:
  temporary.write_text('half')
  os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_starts_in_a_workdir_whose_run_was_killed_before_its_config(
  tmp_path: pathlib.Path,
) -> None:
  (tmp_path / 'lock').touch()
  code = KILLED_WRITER.format(root=str(ROOT))
  subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=False)
  names = {path.name for path in tmp_path.iterdir()}
  assert len(names) == 2 and 'config.json' not in names, names
  (tmp_path / 'config.json.tmp').touch()  # the temporary name of an earlier version
  config = base('resnet20')
  check_workdir(tmp_path, config)
  (tmp_path / 'thesis.tmp').touch()
  with pytest.raises(InputError, match='is not empty and holds no run'):
    check_workdir(tmp_path, config)


@pytest.mark.parametrize('character', '*?[\\')
@pytest.mark.parametrize('path', ['a{}b/run', 'run{}'])
def test_a_path_that_orbax_would_take_for_a_pattern_is_refused(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, character: str, path: str
) -> None:
  workdir, config = tmp_path / path.format(character), base('resnet20')
  message = re.escape(f'{workdir} has {character} in its path')
  with pytest.raises(InputError, match=message):
    check_workdir(workdir, config)
  assert not workdir.parent.exists() or workdir.parent == tmp_path
  workdir.mkdir(parents=True)
  monkeypatch.chdir(workdir)
  with pytest.raises(InputError, match=re.escape(character)):  # in the current directory
    check_workdir(pathlib.Path('.'), config)


@pytest.mark.parametrize('number', [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_run_on_a_file_system_without_locks_goes_on_with_a_warning(
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
  number: int,
) -> None:
  monkeypatch.setattr('fcntl.flock', fail_with(number))
  with claim_workdir(tmp_path / 'run', base('resnet20')):
    assert (tmp_path / 'run' / CONFIG).exists()
  assert 'has no locks' in caplog.text and 'only one process' in caplog.text
  assert str(tmp_path / 'run' / LOCK) in caplog.text


@pytest.mark.parametrize('number', [errno.ESTALE, errno.EIO, errno.EINTR])
def test_a_lock_that_fails_is_one_line(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
  monkeypatch.setattr('fcntl.flock', fail_with(number))
  with (
    pytest.raises(InputError, match=f'cannot lock .*run/lock: {os.strerror(number)}'),
    claim_workdir(tmp_path / 'run', base('resnet20')),
  ):
    pass
  assert not (tmp_path / 'run' / CONFIG).exists()


def fail_with(number: int) -> Callable[..., None]:
  """A function that raises the OSError of a number."""

  def fail(*_: object) -> None:
    raise OSError(number, os.strerror(number))

  return fail


@pytest.mark.parametrize(
  'name',
  [
    *('config.json', 'metrics.jsonl', 'result.json', 'lock', 'log.txt', 'checkpoints.saved'),
    'trackers.json',
  ],
)
def test_no_output_replaces_a_file_of_a_run(tmp_path: pathlib.Path, name: str) -> None:
  with claim_workdir(tmp_path / 'run', base('resnet20')):
    pass
  path = tmp_path / 'run' / name
  before = path.read_text() if path.exists() else None
  with (
    pytest.raises(InputError, match=f'{name} belongs to the run in'),
    output_files.replacing(path) as temporary,
  ):
    temporary.write_text('a page')
  assert (path.read_text() if path.exists() else None) == before
  with output_files.replacing(tmp_path / name) as temporary:  # beside no run
    temporary.write_text('a page')


def test_no_output_is_written_into_a_checkpoint(tmp_path: pathlib.Path) -> None:
  checkpoint = tmp_path / 'checkpoints' / '10'
  (checkpoint / 'state').mkdir(parents=True)
  checksums.write(checkpoint)
  for path in (checkpoint / checksums.NAME, checkpoint / 'state' / '_METADATA'):
    with pytest.raises(InputError, match='in the folder of a checkpoint'):
      output_files.check_not_of_a_run(path)
  output_files.check_not_of_a_run(tmp_path / 'checkpoints' / 'run' / 'report.html')


def test_a_workdir_whose_name_checkpoints_cannot_have_is_refused(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  config, name = base('resnet20'), 'größe 1'
  check_workdir(tmp_path / name, config)
  latin = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b'/' + name.encode('latin-1')))
  with pytest.raises(InputError, match=r'not UTF-8 .*; give another'):
    check_workdir(latin, config)
  # A Python without its UTF-8 mode, in a locale of another encoding.
  monkeypatch.setattr(sys, 'getfilesystemencoding', lambda: 'iso8859-1')
  monkeypatch.setattr(os, 'fsencode', lambda path: str(path).encode('latin-1'))
  with pytest.raises(InputError, match='set PYTHONUTF8=1, or give another'):
    check_workdir(tmp_path / name, config)
  check_workdir(tmp_path / 'size 1', config)


def test_a_file_is_replaced_only_at_the_end_of_the_block(tmp_path: pathlib.Path) -> None:
  path = tmp_path / 'table.txt'
  output_files.write_text(path, 'old')
  with output_files.replacing(path) as temporary:
    temporary.write_text('new')
    assert path.read_text() == 'old'
  assert path.read_text() == 'new'
  with pytest.raises(ZeroDivisionError), output_files.replacing(path) as temporary:
    temporary.write_text('half')
    raise ZeroDivisionError
  assert path.read_text() == 'new' and os.listdir(tmp_path) == ['table.txt']


def test_a_file_that_cannot_be_written_is_an_input_error_or_an_os_error(
  tmp_path: pathlib.Path,
) -> None:
  path = tmp_path / 'missing' / 'table.txt'
  with pytest.raises(InputError, match='cannot write'), output_files.replacing(path) as temporary:
    temporary.write_text('new')
  with pytest.raises(FileNotFoundError):  # which `cli.run` tells from a full disk
    output_files.write_text(path, 'new')


def test_threads_that_write_the_same_file_have_temporary_files_of_their_own(
  tmp_path: pathlib.Path,
) -> None:
  path = tmp_path / 'table.txt'
  with output_files.replacing(path) as first, output_files.replacing(path) as second:
    first.write_text('first')
    second.write_text('second')
  assert path.read_text() == 'first'  # which ended last
  assert [file.name for file in tmp_path.iterdir()] == ['table.txt']


def test_a_run_cannot_lie_where_a_leg_of_another_run_would_be(tmp_path: pathlib.Path) -> None:
  (tmp_path / CONFIG).write_text(loading.to_json(base('resnet20')))
  with pytest.raises(InputError, match='leg1 is the name of a leg of the run in'):
    check_workdir(tmp_path / 'leg1', base('resnet20'))
  check_workdir(tmp_path / 'legacy', base('resnet20'))
  check_workdir(tmp_path / 'other' / 'leg1', base('resnet20'))
