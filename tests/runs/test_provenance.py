"""A result knows the commit that computed it, in a checkout and in a copy of one."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from cifar_jax.runs import provenance
from cifar_jax.runtime import xla_flags
from tests.support.paths import ROOT


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
  """A repository with one commit, and the file that `git archive` changes."""
  root = tmp_path / 'checkout'
  for name in ('.gitattributes', str(provenance.COMMIT_FILE)):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / name, root / name)
  git(root, 'init', '--quiet')
  git(root, 'add', '.')
  git(root, '-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '--quiet', '-m', 'first')
  return root


def git(root: pathlib.Path, *arguments: str) -> str:
  done = subprocess.run(['git', *arguments], cwd=root, check=True, capture_output=True, text=True)
  return done.stdout.strip()


def test_a_checkout_has_its_commit_and_says_whether_it_was_changed(
  checkout: pathlib.Path,
) -> None:
  head = git(checkout, 'rev-parse', 'HEAD')[:12]
  assert provenance.commit(checkout) == head
  (checkout / 'cifar_jax' / 'new.py').touch()
  assert provenance.commit(checkout) == f'{head}+changes'


def test_an_archive_has_the_commit_of_its_checkout(
  checkout: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  copy = tmp_path / 'copy'
  copy.mkdir()
  git(checkout, 'archive', 'HEAD', '--output', str(tmp_path / 'copy.tar'))
  subprocess.run(['tar', '-xf', str(tmp_path / 'copy.tar'), '-C', str(copy)], check=True)
  assert provenance.commit(copy) == git(checkout, 'rev-parse', 'HEAD')[:12]


def test_a_plain_copy_has_the_commit_of_the_environment_or_none(
  checkout: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  copy = checkout / 'vendored'  # inside the checkout of something else
  (copy / provenance.COMMIT_FILE).parent.mkdir(parents=True)
  shutil.copy(ROOT / provenance.COMMIT_FILE, copy / provenance.COMMIT_FILE)
  monkeypatch.delenv(provenance.COMMIT, raising=False)
  assert provenance.commit(copy) is None
  monkeypatch.setenv(provenance.COMMIT, '0123456789abcdef+changes')
  assert provenance.commit(copy) == '0123456789ab+changes'


def test_what_pip_installs_from_a_repository_has_the_commit_that_pip_noted(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  site = tmp_path / 'site-packages'
  note = site / 'cifar_jax-0.1.0.dist-info' / 'direct_url.json'
  note.parent.mkdir(parents=True)
  (note.parent / 'METADATA').write_text('Metadata-Version: 2.1\nName: cifar_jax\nVersion: 0.1.0\n')
  monkeypatch.syspath_prepend(site)
  monkeypatch.delenv(provenance.COMMIT, raising=False)
  (site / provenance.COMMIT_FILE).parent.mkdir(parents=True)
  shutil.copy(ROOT / provenance.COMMIT_FILE, site / provenance.COMMIT_FILE)
  assert provenance.commit(site) is None  # as from an index
  for text in ('{', '[]', '{"vcs_info": 1}', '{"dir_info": {"editable": true}}'):
    note.write_text(text)
    assert provenance.commit(site) is None
  note.write_text(json.dumps({'vcs_info': {'vcs': 'git', 'commit_id': '0123456789abcdef'}}))
  assert provenance.commit(site) == '0123456789ab'
  assert provenance.commit(tmp_path) is None  # of other code than the installed one


def test_a_command_has_the_flags_of_the_user_and_not_those_of_the_package(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setenv('XLA_FLAGS', '')
  xla_flags.prepare()
  xla_flags.make_deterministic()
  assert '-reduce' in os.environ['XLA_FLAGS']
  assert 'XLA_FLAGS' not in provenance.describe(1)['command']
  monkeypatch.setenv(
    'XLA_FLAGS', f'{os.environ["XLA_FLAGS"]} --xla_cpu_copy_insertion_use_region_analysis=true'
  )
  expected = 'XLA_FLAGS=--xla_cpu_copy_insertion_use_region_analysis=true python -m'
  assert expected in provenance.describe(1)['command']


def test_the_threads_that_a_user_chose_belong_to_the_arithmetic(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  def variables() -> str:
    return provenance.arithmetic()['the variables of XLA and oneDNN']

  monkeypatch.setattr(xla_flags, '_is_too_late', False)
  monkeypatch.setenv(xla_flags.NUM_THREADS, str(xla_flags.num_processors()))
  assert 'OMP_' not in variables()
  monkeypatch.setenv(xla_flags.NUM_THREADS, '77')
  assert 'OMP_NUM_THREADS=77' in variables()
  monkeypatch.setattr(xla_flags, '_is_too_late', True)
  assert 'JAX started before cifar_jax was imported' in variables()
