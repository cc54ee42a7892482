"""Checkpoints changed by someone who wrote their checksums again: each is one line."""

import gc
import json
import os
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import pytest

from cifar_jax.errors import InputError, ShortageError
from cifar_jax.runs import checksums, reading
from cifar_jax.runtime import memory
from tests.support.checkpoints import ABSTRACT_STATE, make_state, open_checkpoints
from tests.support.hostile_checkpoints import change_arrays

# Orbax leaves reads of arrays behind when another array cannot be read.
pytestmark = pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')

DEEP = '[' * 100_000 + ']' * 100_000


@pytest.fixture(scope='module')
def written(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  gc.freeze()  # the collections below then look at the objects of this file alone
  directory = tmp_path_factory.mktemp('written')
  with open_checkpoints(directory) as checkpoints:
    checkpoints.save(10, make_state(10), run_info={'seconds': 1.0}, accuracy=0.5)
  return directory


@pytest.fixture
def directory(written: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  """A copy of a directory with the checkpoint 10."""
  return pathlib.Path(shutil.copytree(written, tmp_path / 'checkpoints'))


def read_all(directory: pathlib.Path) -> list[str]:
  """The messages of all that reads a checkpoint."""

  def reopen() -> None:
    with open_checkpoints(directory):
      pass

  messages = []
  with open_checkpoints(directory, read_only=True) as checkpoints:
    reads: list[Callable[[], Any]] = [
      lambda: checkpoints.best,
      lambda: checkpoints.read_run_info(10),
      lambda: checkpoints.restore(10, ABSTRACT_STATE),
      lambda: checkpoints.read_arrays(10, dict),
      reopen,
    ]
    for read in reads:
      try:
        read()
      except InputError as error:
        messages.append(str(error))
  gc.collect()  # Here, so that what is said of these reads belongs to this test.
  return messages


def test_the_death_of_another_process_is_not_a_fault_of_the_checkpoint() -> None:
  with pytest.raises(jax.errors.JaxRuntimeError), reading.checked(10):
    raise jax.errors.JaxRuntimeError('UNAVAILABLE: another process died')
  with pytest.raises(InputError, match='checkpoint 10 is intact, but'), reading.checked(10):
    raise RuntimeError('no such array')


def test_an_unchanged_checkpoint_can_be_read(directory: pathlib.Path) -> None:
  assert read_all(directory) == []


def test_arrays_that_do_not_fit_in_memory_are_not_read(
  directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  with open_checkpoints(directory, read_only=True) as checkpoints:
    checkpoints.restore(10, ABSTRACT_STATE)
    monkeypatch.setattr(memory, 'available_bytes', lambda: 250)
    reads: list[Callable[[], Any]] = [
      lambda: checkpoints.restore(10, ABSTRACT_STATE),
      lambda: checkpoints.read_arrays(10, dict),
    ]
    for read in reads:
      with pytest.raises(ShortageError, match=r'the arrays of the checkpoint take .* GiB'):
        read()
    checkpoints.read_arrays(10, lambda fields: {'step': fields['step']})  # a part fits


@pytest.mark.parametrize('content', [DEEP, '[1]', '3', '{', '{"a": 1' + '0' * 5000 + '}'])
@pytest.mark.parametrize(
  'name', ['run/metadata', 'metrics/metrics', 'state/_METADATA', 'state/array_metadatas/process_0']
)
def test_json_of_another_kind_is_one_line(directory: pathlib.Path, name: str, content: str) -> None:
  (directory / '10' / name).write_text(content)
  checksums.write(directory / '10')
  messages = read_all(directory)
  assert not any('\n' in message for message in messages), messages
  if not name.startswith('state/array'):  # which only some readers need
    assert messages and all('checkpoint' in message for message in messages), messages


@pytest.mark.parametrize(
  ('name', 'value'),
  [
    ('run/metadata', {'step': 'ten'}),
    ('run/metadata', {'step': 10, 'data': [1]}),
    ('run/metadata', {'step': 10, 'skipped': 3}),
    ('run/metadata', {'step': 10, 'commits': 'abc'}),
    ('metrics/metrics', {'accuracy': 'high'}),
    ('metrics/metrics', {'accuracy': 0.5, 'is_best': 'yes'}),
  ],
)
def test_values_of_another_kind_are_named(
  directory: pathlib.Path, name: str, value: dict[str, Any]
) -> None:
  (directory / '10' / name).write_text(json.dumps(value))
  checksums.write(directory / '10')
  key = list(value)[-1]
  messages = read_all(directory)
  assert messages and all(f'{key} is missing or wrong' in message for message in messages)


@pytest.mark.parametrize(
  'changes',
  [
    {'chunks': [1 << 36, 4]},  # 1 TiB in memory for each of them
    {'shape': [3, 4, 1], 'chunks': [3, 4, 1]},
    {'dtype': '<i8'},
    {'dtype': '|S100'},
    {'compressor': None},
  ],
  ids=str,
)
def test_arrays_that_are_stored_in_another_way_are_one_line(
  directory: pathlib.Path, changes: dict[str, Any]
) -> None:
  change_arrays(directory / '10', 'params.kernel', changes)
  messages = read_all(directory)
  assert messages and all('checkpoint 10' in m and '\n' not in m for m in messages), messages


@pytest.mark.parametrize('name', ['run/metadata', 'state/manifest.ocdbt', 'state/d/new', 'new'])
@pytest.mark.parametrize('kind', ['pipe', 'device', 'folder elsewhere'])
def test_what_is_no_file_is_never_read(
  directory: pathlib.Path, tmp_path: pathlib.Path, name: str, kind: str
) -> None:
  path = directory / '10' / name
  path.unlink(missing_ok=True)
  if kind == 'pipe':
    os.mkfifo(path)
  else:
    path.symlink_to('/dev/zero' if kind == 'device' else tmp_path)
  listed = directory / '10' / checksums.NAME
  known = json.loads(listed.read_text())
  known.pop(name, None)
  listed.write_text(json.dumps(known))
  assert name in checksums.damage(directory / '10')
  with pytest.raises(InputError, match=r'no checkpoint in .* is intact'):
    open_checkpoints(directory, read_only=True)
