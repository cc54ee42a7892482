"""Small files that are none: a pipe would be waited for, a device read, for ever."""

import os
import pathlib
from collections.abc import Callable

import pytest

from cifar_jax import input_files
from cifar_jax.data import cache
from cifar_jax.errors import InputError
from cifar_jax.models import own_module
from cifar_jax.models.layers.onednn import library
from cifar_jax.report import page_data, page_diagrams, thumbnails
from cifar_jax.runs import checksums, event_files, results

# For each reader: the name of its file, and what it returns or raises where that file is a pipe.
READERS: dict[str, tuple[str, Callable[[pathlib.Path], object], object]] = {
  'the results': ('result.json', results.read_result, InputError),
  'the records': ('metrics.jsonl', results.read_records, InputError),
  'the configuration': ('config.json', results.read_config_dict, InputError),
  'checksums': (
    checksums.NAME,
    checksums.damage,
    f'{checksums.NAME} is not as it was written',
  ),
  'a cache': ('record.json', lambda folder: cache.read(folder, None), None),
  'the objects of a page': ('zz.json', page_data.objects, {}),
  'thumbnails': ('zz.json', lambda folder: thumbnails.read(folder / 'zz.json', {}), []),
  'a picture': ('a.png', lambda folder: page_diagrams.of_file(folder / 'a.png', ''), None),
  'a picture of the end': (
    'a.png',
    lambda folder: event_files.write_end(folder, 1, {'a': folder / 'a.png'}),
    ValueError,
  ),
  'a library': ('a.so', lambda folder: library._is_whole(folder / 'a.so'), False),
  'a module': ('a.py', lambda folder: own_module.digest(str(folder / 'a.py')), None),
}


@pytest.mark.parametrize('reader', READERS)
def test_a_pipe_in_the_place_of_a_small_file_is_answered_at_once(
  tmp_path: pathlib.Path, reader: str
) -> None:
  name, read, expected = READERS[reader]
  os.mkfifo(tmp_path / name)
  if isinstance(expected, type):
    with pytest.raises(expected, match='pipe'):
      read(tmp_path)
  else:
    assert read(tmp_path) == expected


def test_a_device_and_a_file_that_is_too_large_are_not_read(tmp_path: pathlib.Path) -> None:
  with pytest.raises(ValueError, match='a pipe or a device'):
    input_files.read_bytes('/dev/zero')
  (tmp_path / 'file').write_bytes(b'12')
  assert input_files.read_text(tmp_path / 'file', 2) == '12'
  with pytest.raises(ValueError, match='more than'):
    input_files.read_bytes(tmp_path / 'file', 1)


def test_modules_of_a_user_are_none_where_their_list_is_a_pipe(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(own_module, 'LIST', str(tmp_path / 'list'))
  os.mkfifo(tmp_path / 'list')
  assert own_module._listed() == []
