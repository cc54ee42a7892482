"""A result knows the commit that computed it, in a checkout and in a copy of one."""

import pathlib
import shutil
import subprocess

import pytest

from cifar_jax.runs import provenance
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
  monkeypatch.setenv(provenance.COMMIT, '0123456789abcdef')
  assert provenance.commit(copy) == '0123456789ab'
