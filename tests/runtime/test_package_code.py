"""The digest of the package's code is that of the code that runs."""

import pathlib

import pytest

from cifar_jax.runtime import package_code


def test_the_digest_of_the_code_changes_with_each_source_file(tmp_path: pathlib.Path) -> None:
  (tmp_path / 'room').mkdir()
  for name in ('a.py', 'room/b.cc', 'commit.txt'):
    (tmp_path / name).write_text(name)
  digests = [package_code.of_files(tmp_path)]
  for name in ('commit.txt', 'a.py', 'room/b.cc'):
    (tmp_path / name).write_text('changed')
    digests.append(package_code.of_files(tmp_path))
  assert digests[0] == digests[1] and len(set(digests)) == 3 and len(digests[0]) == 12


def test_an_edit_after_the_import_is_told_from_the_code_that_runs(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(package_code, '_AT_IMPORT', 'abc')
  for now, is_edited, digest in (('abc', False, 'abc'), ('def', True, 'abc edited to def')):
    monkeypatch.setattr(package_code, 'of_files', lambda: now)  # noqa: B023
    assert (package_code.is_edited(), package_code.digest()) == (is_edited, digest)
