"""Damaged checkpoints: any damage is detected, and the newest intact checkpoint is used instead."""

import errno
import logging
import os
import pathlib
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from cifar_jax import output_files
from cifar_jax.errors import InputError
from cifar_jax.runs import checksums
from cifar_jax.runs.workdir import PATTERN_CHARACTERS
from tests.support.checkpoints import ABSTRACT_STATE, make_state, open_checkpoints

STEPS = (10, 20, 30)


@pytest.fixture(scope='module')
def written(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A directory with a checkpoint at each of `STEPS`, the last of which is the best."""
  directory = tmp_path_factory.mktemp('written')
  with open_checkpoints(directory) as checkpoints:
    for step in STEPS:
      run_info = {'seconds': float(step)}
      checkpoints.save(step, make_state(step), run_info=run_info, accuracy=0.5 + step / 100)
  return directory


def files(directory: pathlib.Path) -> list[str]:
  return sorted(str(p.relative_to(directory)) for p in directory.rglob('*') if p.is_file())


def flip(path: pathlib.Path, position: float, bit: int = 0) -> None:
  """Flips a bit of the byte at a position, given as a fraction of the file."""
  content = bytearray(path.read_bytes())
  content[int(position * len(content))] ^= 1 << bit
  path.write_bytes(content)


DAMAGES: dict[str, Callable[[pathlib.Path], object]] = {
  'deleted': lambda path: path.unlink(),
  'emptied': lambda path: path.write_bytes(b''),
  'truncated': lambda path: path.write_bytes(path.read_bytes()[:-1]),
  'lengthened': lambda path: path.write_bytes(path.read_bytes() + b'\0'),
  'first byte flipped': lambda path: flip(path, 0.0),
  'a byte flipped': lambda path: flip(path, 0.6),
  'a high bit flipped': lambda path: flip(path, 0.6, bit=7),  # no longer ASCII in a text file
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damage_of_any_file_is_detected(
  written: pathlib.Path, tmp_path: pathlib.Path, damage: str
) -> None:
  """Damages each file of a checkpoint in turn; without checksums most damages would pass."""
  intact = written / '30'
  assert checksums.damage(intact) == ''
  names = files(intact)
  assert len(names) > 10 and any('/d/' in name for name in names)
  for name in names:
    broken = tmp_path / 'broken'
    shutil.copytree(intact, broken)
    DAMAGES[damage](broken / name)
    description = checksums.damage(broken)
    # A damaged file of checksums may name any file.
    assert description if name == checksums.NAME else name in description, name
    shutil.rmtree(broken)


def test_checkpoints_can_be_read_from_a_path_with_any_other_characters(
  tmp_path: pathlib.Path,
) -> None:
  """`check_workdir` refuses the characters of patterns, with which Orbax would lose the arrays."""
  characters = {chr(i) for i in range(1, 128)} - {'/', *PATTERN_CHARACTERS}
  directory = tmp_path / ''.join(sorted(characters)) / '~ä💾' / '...'
  with open_checkpoints(directory) as checkpoints:
    checkpoints.save(10, make_state(10), run_info={})
    checkpoints.wait()
  with open_checkpoints(directory, read_only=True) as checkpoints:
    state, _ = checkpoints.restore(10, ABSTRACT_STATE)
  np.testing.assert_array_equal(state.params['kernel'], make_state(10).params['kernel'])


def test_a_checkpoint_is_on_disk_before_it_has_its_name(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  directory = tmp_path / 'checkpoints'
  final = directory / '10'
  before: set[str] = set()
  after: set[str] = set()

  def record(path: pathlib.Path) -> None:
    if path.is_relative_to(directory):
      relative = path.relative_to(directory)
      (after if final.exists() else before).add('/'.join(relative.parts[1:]))
    sync(path)

  sync = output_files.sync
  monkeypatch.setattr(output_files, 'sync', record)
  with open_checkpoints(directory) as checkpoints:
    checkpoints.save(10, make_state(10), run_info={})
  written = {str(path.relative_to(final)) for path in final.rglob('*')}
  assert checksums.NAME in written and 'state' in written and written <= before
  assert '' in after  # the directory that lists the new name


def test_a_directory_without_any_file_is_damaged(tmp_path: pathlib.Path) -> None:
  assert 'missing' in checksums.damage(tmp_path)


@pytest.mark.parametrize('damage', ['deleted', 'a byte flipped'])
@pytest.mark.parametrize('kind', ['state/ocdbt.process_0/d/*', 'run/*', '_CHECKPOINT_METADATA'])
def test_the_newest_intact_checkpoint_replaces_a_damaged_one(
  written: pathlib.Path,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
  damage: str,
  kind: str,
) -> None:
  directory = tmp_path / 'checkpoints'
  shutil.copytree(written, directory)
  DAMAGES[damage](next((directory / '30').glob(kind)))
  before = files(directory)
  with caplog.at_level(logging.WARNING), open_checkpoints(directory, read_only=True) as checkpoints:
    assert (checkpoints.latest, checkpoints.best) == (20, 20)
    state, run_info = checkpoints.restore(20, ABSTRACT_STATE)
  assert 'checkpoint 30 is damaged' in caplog.text and '20 is the newest intact' in caplog.text
  assert files(directory) == before  # reading changes nothing
  np.testing.assert_array_equal(state.params['kernel'], make_state(20).params['kernel'])
  assert run_info == {'seconds': 20.0}

  with open_checkpoints(directory) as checkpoints:
    assert checkpoints.latest == 20
    checkpoints.save(30, make_state(31), run_info={})  # the damaged one is not in the way
    checkpoints.wait()
    assert checkpoints.latest == 30
    state, _ = checkpoints.restore(30, ABSTRACT_STATE)
    assert float(state.params['bias'][0]) == 31.0
  assert (directory / '30.damaged').is_dir() and checksums.damage(directory / '30') == ''


def test_a_higher_accuracy_that_is_not_called_the_best_does_not_replace_it(
  tmp_path: pathlib.Path,
) -> None:
  with open_checkpoints(tmp_path) as checkpoints:
    for step, accuracy, is_best in ((10, 0.5, True), (20, 0.50001, False), (30, 0.4, False)):
      checkpoints.save(step, make_state(step), run_info={}, accuracy=accuracy, is_best=is_best)
    for step in (40, 50, 60):
      checkpoints.save(step, make_state(step), run_info={})
    checkpoints.wait()
    assert checkpoints.best == 10 and checkpoints.best_so_far == (10, 0.5)
    assert '10' in {path.name for path in tmp_path.iterdir()} and checkpoints.latest == 60
    assert not (tmp_path / '20').exists()


def test_a_best_checkpoint_that_is_lost_is_not_replaced_by_another(tmp_path: pathlib.Path) -> None:
  best = {'step': 10, 'accuracy': 0.5}
  with open_checkpoints(tmp_path) as checkpoints:
    for step, accuracy, is_best in ((10, 0.5, True), (20, 0.4, False)):
      run_info = {'best': best}
      checkpoints.save(
        step, make_state(step), run_info=run_info, accuracy=accuracy, is_best=is_best
      )
    checkpoints.wait()
    assert checkpoints.best == 10
  shutil.rmtree(tmp_path / '10')
  with open_checkpoints(tmp_path, read_only=True) as checkpoints:
    assert checkpoints.best_so_far == (10, 0.5) and not checkpoints.has(10)
    with pytest.raises(InputError, match='checkpoint 10, the best by validation, is damaged or'):
      _ = checkpoints.best


def make_directory(path: pathlib.Path) -> None:
  path.unlink()
  path.mkdir()


def link_to_itself(path: pathlib.Path) -> None:
  path.unlink()
  path.symlink_to(path.name)


@pytest.mark.parametrize('replace', [make_directory, link_to_itself])
@pytest.mark.parametrize('name', [checksums.NAME, 'run/metadata'])
def test_a_checkpoint_that_cannot_be_read_is_damaged(
  written: pathlib.Path,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
  replace: Callable[[pathlib.Path], None],
  name: str,
) -> None:
  directory = tmp_path / 'checkpoints'
  shutil.copytree(written, directory)
  replace(directory / '30' / name)
  for read_only in (True, False):
    with open_checkpoints(directory, read_only=read_only) as checkpoints:
      assert checkpoints.latest == 20
  assert f'checkpoint 30 is damaged: {name} ' in caplog.text
  assert (directory / '30.damaged').is_dir()


def test_a_disk_that_reports_an_error_damages_and_too_few_file_handles_do_not(
  written: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  def fail(number: int) -> None:
    def read(path: pathlib.Path) -> int:
      raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(checksums, '_crc32', read)

  fail(errno.EIO)
  assert 'cannot be read (Input/output error)' in checksums.damage(written / '30')
  fail(errno.EMFILE)
  with pytest.raises(OSError, match='Too many open files'):
    checksums.damage(written / '30')


def test_without_an_intact_checkpoint_opening_fails_and_changes_nothing(
  written: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  directory = tmp_path / 'checkpoints'
  shutil.copytree(written, directory)
  for step in STEPS:
    flip(directory / str(step) / 'run' / 'metadata', 0.0)
  before = files(directory)
  for read_only in (False, True, False):
    with pytest.raises(InputError, match=r'no checkpoint in .* is intact'):
      open_checkpoints(directory, read_only=read_only)
  assert files(directory) == before
  for step in STEPS:  # the same holds if all were renamed earlier
    (directory / str(step)).rename(directory / f'{step}.damaged')
  with pytest.raises(InputError, match=r'no checkpoint in .* is intact'):
    open_checkpoints(directory)


def test_a_kill_while_an_old_checkpoint_is_deleted_leaves_no_damaged_one(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
  directory = tmp_path / 'checkpoints'

  def remove_one_file(path: pathlib.Path, **_: object) -> None:  # and be killed
    next(pathlib.Path(path).glob('run/*'), pathlib.Path(path, 'none')).unlink(missing_ok=True)

  with monkeypatch.context() as killed, open_checkpoints(directory) as checkpoints:
    killed.setattr(shutil, 'rmtree', remove_one_file)
    for step in (*STEPS, 40):
      checkpoints.save(step, make_state(step), run_info={'seconds': 0.0})
    checkpoints.wait()
  with caplog.at_level(logging.WARNING), open_checkpoints(directory) as checkpoints:
    assert checkpoints.latest == 40
  assert not caplog.messages
  names = {path.name for path in directory.iterdir()}
  assert names == {'20', '30', '40', 'deleted'} and not any((directory / 'deleted').iterdir())


def test_two_damaged_checkpoints_of_one_step_are_both_kept(
  written: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  directory = tmp_path / 'checkpoints'
  for _ in range(2):
    shutil.copytree(written, directory, dirs_exist_ok=True)
    (directory / '30' / 'run' / 'metadata').unlink()
    with open_checkpoints(directory) as checkpoints:
      assert checkpoints.latest == 20
  assert {path.name for path in directory.glob('30*')} == {'30.damaged', '30.damaged-2'}
  shutil.rmtree(directory / '30.damaged')  # by the user, while the other one stays
  shutil.copytree(written / '20', directory / '30')
  (directory / '30' / 'run' / 'metadata').unlink()
  with open_checkpoints(directory):
    pass
  assert {path.name for path in directory.glob('30*')} == {'30.damaged', '30.damaged-2'}


def test_a_checkpoint_without_checksums_is_used_with_a_warning(
  written: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  directory = tmp_path / 'checkpoints'
  shutil.copytree(written, directory)
  (directory / '30' / checksums.NAME).write_text('Checkpoint commit was successful to /runs/30')
  with open_checkpoints(directory) as checkpoints:
    assert checkpoints.latest == 30
    assert int(checkpoints.restore(30, ABSTRACT_STATE)[0].step) == 30
  assert 'checkpoint 30 is from an earlier version' in caplog.text


def test_a_checkpoint_of_another_model_is_an_input_error(written: pathlib.Path) -> None:
  other_model = ABSTRACT_STATE.replace(params={'kernel': ABSTRACT_STATE.params['bias']})
  message = 'checkpoint 30 is intact, but does not fit this model'
  with (
    open_checkpoints(written, read_only=True) as checkpoints,
    pytest.raises(InputError, match=message) as info,
  ):
    checkpoints.restore(30, other_model)
  assert '\n' not in str(info.value)
