"""Paths that a person gives."""

import os
import pathlib

import pytest

from cifar_jax import cli, own_files, paths
from cifar_jax.config import loading
from cifar_jax.errors import InputError
from cifar_jax.evaluation.predictions import read_predictions


def test_a_tilde_is_the_home_directory(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv('HOME', str(tmp_path))
  assert paths.local('~/runs/a') == tmp_path / 'runs' / 'a'
  assert paths.local(pathlib.Path('~')) == tmp_path
  assert paths.local('runs/~a') == pathlib.Path('runs/~a')
  with pytest.raises(InputError, match=f'cannot read {tmp_path}/x.npz'):
    read_predictions('~/x.npz:net')


@pytest.mark.parametrize('value', ['', 'cache', './cache', '~/cache', 'gs://bucket'])
def test_a_relative_folder_for_caches_is_ignored(
  value: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  monkeypatch.setenv('XDG_CACHE_HOME', value)
  assert paths.cache_folder() == tmp_path / 'home' / '.cache' / 'cifar_jax'
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'caches'))
  assert paths.cache_folder() == tmp_path / 'caches' / 'cifar_jax'


def test_only_the_user_can_write_in_the_cache(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  old = os.umask(0)
  try:
    folder = paths.make_cache_folder()
  finally:
    os.umask(old)
  assert own_files.is_own(folder)
  folder.chmod(0o770)  # as of an earlier version
  assert not own_files.is_own(folder) and not own_files.is_own(folder / 'absent')
  assert own_files.is_own(paths.make_cache_folder())
  information = folder.stat()
  stranger = os.stat_result((*information[:4], 12345, *information[5:]))
  monkeypatch.setattr(pathlib.Path, 'stat', lambda _: stranger)
  assert not own_files.is_own(folder)


def test_an_unknown_home_directory_is_refused_unless_it_is_the_name_of_a_file(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.chdir(tmp_path)
  for path in ('~no such user/run', '~no such user'):
    with pytest.raises(InputError, match='there is no home directory ~no such user: set HOME'):
      paths.local(path)
    assert loading.split(f'{path}.py:a=1')[0] == f'{path}.py'
  (tmp_path / '~$picture.png').touch()  # as office programs leave them
  assert paths.local('~$picture.png') == pathlib.Path('~$picture.png')


@pytest.mark.parametrize('url', ['gs://b/run', 's3://b', 'https://x.org/a', pathlib.Path('gs://b')])
def test_a_url_is_refused(url: str | pathlib.Path) -> None:
  with pytest.raises(InputError, match='is not on this machine'):
    paths.local(url)


@pytest.mark.parametrize('path', ['/data/a:b', 'runs/a:/b', 'c:d', './gs://b', ''])
def test_a_colon_does_not_make_a_url(path: str) -> None:
  assert paths.local(path) == pathlib.Path(path)


def test_a_parser_reports_a_url_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
  parser = cli.Parser('python -m cifar_jax.report')
  parser.add_argument('--out', type=cli.path)
  with pytest.raises(InputError, match='argument --out: gs://b is not on this machine'):
    parser.parse_args(['--out', 'gs://b'])
