"""Damaged checkpoints: noticed whatever the damage, passed over, set aside, never begun without."""

import logging
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import checkpoint, metrics, seal
from cifar_jax import state as states
from cifar_jax.errors import InputError

STEPS = (10, 20, 30)


def make_state(step: int) -> states.State:
  params = {'kernel': jnp.arange(12.0).reshape(3, 4) + step, 'bias': jnp.full(5, float(step))}
  return states.State(
    step=jnp.int32(step),
    params=params,
    batch_stats={},
    opt_state=(params,),
    means=metrics.Means.empty(),
    first_nonfinite=jnp.int32(states.NEVER),
  )


ABSTRACT = jax.tree.map(
  lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), make_state(0)
)


def open_(directory: pathlib.Path, *, read_only: bool = False) -> checkpoint.Checkpoints:
  return checkpoint.Checkpoints(directory, checkpoint.Policy(keep_last=3), read_only=read_only)


@pytest.fixture(scope='module')
def written(tmp_path_factory):
  directory = tmp_path_factory.mktemp('written')
  with open_(directory) as checkpoints:
    for step in STEPS:
      told = {'seconds': float(step)}
      checkpoints.save(step, make_state(step), run=told, accuracy=0.5 + step / 100)
  return directory


def files(directory: pathlib.Path) -> list[str]:
  return sorted(str(p.relative_to(directory)) for p in directory.rglob('*') if p.is_file())


def flip(path: pathlib.Path, position: float) -> None:
  content = bytearray(path.read_bytes())
  content[int(position * len(content))] ^= 1
  path.write_bytes(content)


DAMAGES = {
  'deleted': lambda path: path.unlink(),
  'emptied': lambda path: path.write_bytes(b''),
  'truncated': lambda path: path.write_bytes(path.read_bytes()[:-1]),
  'lengthened': lambda path: path.write_bytes(path.read_bytes() + b'\0'),
  'first byte flipped': lambda path: flip(path, 0.0),
  'a byte flipped': lambda path: flip(path, 0.6),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damage_of_any_file_is_noticed(written, tmp_path, damage):
  """Every file of a checkpoint, one after the other; without its checksums most would pass."""
  sound = written / '30'
  assert seal.damage(sound) == ''
  names = files(sound)
  assert len(names) > 10 and any('/d/' in name for name in names)
  for name in names:
    broken = tmp_path / 'broken'
    shutil.copytree(sound, broken)
    DAMAGES[damage](broken / name)
    told = seal.damage(broken)
    assert told if name == seal.NAME else name in told, name  # a wrong checksum may name any file
    shutil.rmtree(broken)


def test_a_directory_that_lost_all_its_files_is_damaged(tmp_path):
  assert 'missing' in seal.damage(tmp_path)


@pytest.mark.parametrize('damage', ['deleted', 'a byte flipped'])
@pytest.mark.parametrize('kind', ['state/ocdbt.process_0/d/*', 'run/*', '_CHECKPOINT_METADATA'])
def test_the_newest_sound_checkpoint_takes_its_place(written, tmp_path, caplog, damage, kind):
  directory = tmp_path / 'checkpoints'
  shutil.copytree(written, directory)
  DAMAGES[damage](next((directory / '30').glob(kind)))
  before = files(directory)
  with caplog.at_level(logging.WARNING), open_(directory, read_only=True) as checkpoints:
    assert (checkpoints.latest, checkpoints.best) == (20, 20)
    state, told = checkpoints.restore(20, ABSTRACT)
  assert 'checkpoint 30 is damaged' in caplog.text and '20 is the newest sound' in caplog.text
  assert files(directory) == before  # a reader changes nothing
  np.testing.assert_array_equal(state.params['kernel'], make_state(20).params['kernel'])
  assert told == {'seconds': 20.0}

  with open_(directory) as checkpoints:
    assert checkpoints.latest == 20
    checkpoints.save(30, make_state(31), run={})  # not stopped by the damaged one
    checkpoints.wait()
    assert checkpoints.latest == 30
    state, _ = checkpoints.restore(30, ABSTRACT)
    assert float(state.params['bias'][0]) == 31.0
  assert (directory / '30.damaged').is_dir() and seal.damage(directory / '30') == ''


def test_without_a_sound_one_it_stops_and_changes_nothing(written, tmp_path):
  directory = tmp_path / 'checkpoints'
  shutil.copytree(written, directory)
  for step in STEPS:
    flip(directory / str(step) / 'run' / 'metadata', 0.0)
  before = files(directory)
  for read_only in (False, True, False):
    with pytest.raises(InputError, match=r'no checkpoint in .* is sound'):
      open_(directory, read_only=read_only)
  assert files(directory) == before
  for step in STEPS:  # and neither where all were set aside
    (directory / str(step)).rename(directory / f'{step}.damaged')
  with pytest.raises(InputError, match=r'no checkpoint in .* is sound'):
    open_(directory)


def test_two_damaged_checkpoints_of_one_step_are_both_kept(written, tmp_path):
  directory = tmp_path / 'checkpoints'
  for _ in range(2):
    shutil.copytree(written, directory, dirs_exist_ok=True)
    (directory / '30' / 'run' / 'metadata').unlink()
    with open_(directory) as checkpoints:
      assert checkpoints.latest == 20
  assert {path.name for path in directory.glob('30*')} == {'30.damaged', '30.damaged-2'}


def test_a_checkpoint_of_an_earlier_version_is_used_with_a_warning(written, tmp_path, caplog):
  directory = tmp_path / 'checkpoints'
  shutil.copytree(written, directory)
  (directory / '30' / seal.NAME).write_text('Checkpoint commit was successful to /runs/30')
  with open_(directory) as checkpoints:
    assert checkpoints.latest == 30
    assert int(checkpoints.restore(30, ABSTRACT)[0].step) == 30
  assert 'checkpoint 30 is of an earlier version' in caplog.text


def test_a_checkpoint_of_another_model_is_the_users_to_mend(written):
  other = ABSTRACT.replace(params={'kernel': ABSTRACT.params['bias']})
  told = 'checkpoint 30 is whole, but not of this model'
  with (
    open_(written, read_only=True) as checkpoints,
    pytest.raises(InputError, match=told) as info,
  ):
    checkpoints.restore(30, other)
  assert '\n' not in str(info.value)
