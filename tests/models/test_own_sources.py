"""The digest of an own module: it changes with each file of the user's that the module imports."""

import hashlib
import importlib
import os
import pathlib
import sys
import types
import warnings

import pytest

import cifar_jax
from cifar_jax import models
from cifar_jax.models import families, own_module, own_sources
from tests.models.own_code import NET


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
  """Forgets after the test which families it has registered."""
  monkeypatch.setattr(families, '_registered', dict(families._registered))


def write(folder: pathlib.Path, files: dict[str, str]) -> None:
  for name, text in files.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def plain(file: pathlib.Path) -> str:
  return hashlib.sha256(file.read_bytes()).hexdigest()


def counts(main: pathlib.Path, changed: pathlib.Path, module: str = '') -> bool:
  """Whether a change of a file changes the digest of a module; the file is as before then."""
  before, content = own_sources.digest(main, module), changed.read_bytes()
  changed.write_bytes(content + b'\nCHANGED = 1\n')
  after = own_sources.digest(main, module)
  changed.write_bytes(content)
  assert own_sources.digest(main, module) == before
  return before != after


@pytest.mark.parametrize(
  ('text', 'files'),
  [
    ('import blocks_a', ['blocks_a.py']),
    ('import os, blocks_a as b', ['blocks_a.py']),
    ('import blocks_p.a', ['blocks_p/__init__.py', 'blocks_p/a.py']),
    ('from blocks_p import a', ['blocks_p/__init__.py', 'blocks_p/a.py']),
    ('from blocks_p.a import Block', ['blocks_p/__init__.py', 'blocks_p/a.py']),
    ('from blocks_p import *', ['blocks_p/__init__.py']),
    ('from blocks_n.a import Block', ['blocks_n/a.py']),
    ('from . import blocks_a', ['blocks_a.py']),
    ('def f():\n  if 1:\n    import blocks_a', ['blocks_a.py']),
    ('import blocks_chain', ['blocks_chain.py', 'blocks_q/__init__.py', 'blocks_q/d.py',
                             'blocks_q/e.py', 'blocks_q/inner/__init__.py', 'blocks_q/inner/f.py']),
  ],
)  # fmt: skip
def test_each_file_that_a_file_imports_counts_and_no_other(
  tmp_path: pathlib.Path, text: str, files: list[str]
) -> None:
  write(tmp_path, {
    'net.py': text, 'blocks_a.py': '', 'blocks_p/__init__.py': '', 'blocks_p/a.py': '',
    'blocks_n/a.py': '', 'blocks_chain.py': 'from blocks_q.inner import f',
    'blocks_q/__init__.py': '', 'blocks_q/inner/__init__.py': 'import net',
    'blocks_q/inner/f.py': 'from .. import d\nfrom ..e import g', 'blocks_q/d.py': '',
    'blocks_q/e.py': 'import blocks_chain', 'unused.py': '',
  })  # fmt: skip
  main = tmp_path / 'net.py'
  found = [path for path in tmp_path.rglob('*.py') if path != main and counts(main, path)]
  assert sorted(path.relative_to(tmp_path).as_posix() for path in found) == sorted(files)


def test_the_modules_of_a_package_count_from_the_folder_of_the_outermost(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  package = 'my_sources_package'
  write(tmp_path, {
    f'{package}/__init__.py': '', f'{package}/sub/__init__.py': '"""Nets."""\n',
    f'{package}/sub/nets.py': NET.format(imports=f'from .. import a\nimport {package}.b'),
    f'{package}/a.py': 'from .sub import c', f'{package}/b.py': 'import beside_package',
    f'{package}/sub/c.py': '', f'{package}/unused.py': '', 'beside_package.py': '',
  })  # fmt: skip
  monkeypatch.syspath_prepend(tmp_path)
  name = f'{package}.sub.nets'
  main = tmp_path / package / 'sub' / 'nets.py'
  found = {path.name for path in tmp_path.rglob('*.py') if counts(main, path, name)}
  assert found == {'__init__.py', 'nets.py', 'a.py', 'b.py', 'c.py', 'beside_package.py'}
  models.create('net_with_blocks', module=name)
  [family] = [family for family in families.own() if family.pattern == 'net_with_blocks']
  assert family.sha256 == own_module.digest(name) != plain(main)
  assert own_module.digest(name) == own_sources.digest(main, name)


def test_a_package_that_registers_a_net_itself_has_one_digest(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  package = 'my_package_with_a_net'
  write(tmp_path, {
    f'{package}/__init__.py': NET.format(imports=f'from . import a\nfrom {package} import b'),
    f'{package}/a.py': '', f'{package}/b.py': '',
  })  # fmt: skip
  monkeypatch.syspath_prepend(tmp_path)
  importlib.import_module(package)
  [family] = [family for family in families.own() if family.pattern == 'net_with_blocks']
  main = tmp_path / package / '__init__.py'
  assert family.sha256 == own_module.digest(package) == own_module.digest(str(main))
  assert all(counts(main, tmp_path / package / name) for name in ('a.py', 'b.py'))


def test_a_module_that_imports_nothing_of_the_user_has_the_digest_of_its_file(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setitem(sys.modules, 'taken_elsewhere', types.ModuleType('taken_elsewhere'))
  write(tmp_path, {'venv/installed_package/__init__.py': ''})
  monkeypatch.syspath_prepend(tmp_path / 'venv')
  # Python takes none of these, though they lie beside the file: each name is built in, imported
  # already, or of a package elsewhere, before which a folder without `__init__.py` has no chance.
  names = ['time.py', 'random.py', 'flax.py', 'taken_elsewhere.py',
           'installed_package/a.py']  # fmt: skip
  write(tmp_path, dict.fromkeys(names, 'A = 1'))
  (tmp_path / 'cifar_jax').symlink_to(pathlib.Path(cifar_jax.__file__).parent)  # as in a clone
  imports = 'import jax, time, random, taken_elsewhere, installed_package.a\n'
  write(tmp_path, {'net.py': NET.format(imports=imports)})
  assert own_sources.digest(tmp_path / 'net.py') == plain(tmp_path / 'net.py')
  write(
    tmp_path, {'statistics_of_nets.py': '', 'p/__init__.py': '"""A package."""\n', 'p/a.py': ''}
  )
  assert own_sources.digest(tmp_path / 'p' / 'a.py', 'p.a') == plain(tmp_path / 'p' / 'a.py')
  assert counts(tmp_path / 'p' / 'a.py', tmp_path / 'p' / '__init__.py', 'p.a')  # with a statement


def test_a_file_beside_the_net_comes_before_an_installed_package(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  write(tmp_path, {
    'elsewhere/twice_here.py': 'KIND = "elsewhere"', 'mine/twice_here.py': 'KIND = "mine"',
    'mine/net.py': 'import sys, twice_here\nsys.kind_of_twice_here = twice_here.KIND',
  })  # fmt: skip
  monkeypatch.syspath_prepend(tmp_path / 'elsewhere')
  monkeypatch.setattr(sys, 'kind_of_twice_here', '', raising=False)
  net = tmp_path / 'mine' / 'net.py'
  own_module.load(str(net))
  assert vars(sys)['kind_of_twice_here'] == 'mine' and counts(net, net.with_name('twice_here.py'))
  # A package's module has no such precedence: there the order of the search path counts.
  write(tmp_path, {'mine/pack/__init__.py': '', 'mine/pack/net.py': 'import twice_here'})
  monkeypatch.syspath_prepend(tmp_path / 'mine')
  package = tmp_path / 'mine' / 'pack'
  assert counts(package / 'net.py', tmp_path / 'mine' / 'twice_here.py', 'pack.net')
  monkeypatch.syspath_prepend(tmp_path / 'elsewhere')
  assert not counts(package / 'net.py', tmp_path / 'mine' / 'twice_here.py', 'pack.net')


def test_of_installed_packages_only_the_own_one_counts(tmp_path: pathlib.Path) -> None:
  folder = tmp_path / 'site-packages'
  write(folder, {
    'mynets/__init__.py': '', 'mynets/net.py': 'import other_package\nfrom mynets import a',
    'mynets/a.py': '', 'other_package.py': '', 'single.py': 'import other_package',
  })  # fmt: skip
  assert counts(folder / 'mynets' / 'net.py', folder / 'mynets' / 'a.py', 'mynets.net')
  for main, name in (('mynets/net.py', 'mynets.net'), ('single.py', '')):
    assert not counts(folder / main, folder / 'other_package.py', name)


@pytest.mark.parametrize('text', ['import (', '\0', '-' * 100_000 + '1', 'é'.encode('latin-1')])
def test_a_file_that_is_no_python_counts_by_its_bytes(
  tmp_path: pathlib.Path, text: str | bytes
) -> None:
  content = text if isinstance(text, bytes) else text.encode()
  (tmp_path / 'net.py').write_text('import broken_blocks')
  (tmp_path / 'broken_blocks.py').write_bytes(content)
  assert counts(tmp_path / 'net.py', tmp_path / 'broken_blocks.py')
  (tmp_path / 'broken_net.py').write_bytes(content)
  assert own_sources.digest(tmp_path / 'broken_net.py') == plain(tmp_path / 'broken_net.py')


def test_files_that_cannot_be_read_and_warnings_of_python_stop_nothing(
  tmp_path: pathlib.Path,
) -> None:
  write(
    tmp_path, {'net.py': 'import blocks_pipe, blocks_gone, blocks_warn, blocks_a' + 'a' * 5_000}
  )
  os.mkfifo(tmp_path / 'blocks_pipe.py')
  (tmp_path / 'blocks_gone.py').symlink_to(tmp_path / 'gone')
  (tmp_path / 'blocks_warn.py').write_text('A = "\\d"\nimport blocks_b')
  (tmp_path / 'blocks_b.py').touch()
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    assert counts(tmp_path / 'net.py', tmp_path / 'blocks_b.py')


def test_a_folder_of_a_stranger_is_not_read_without_end(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  write(tmp_path, {'net.py': 'import m0'})
  write(tmp_path, {f'm{i}.py': f'import m{i + 1}\n' for i in range(9)})
  assert counts(tmp_path / 'net.py', tmp_path / 'm8.py')
  monkeypatch.setattr(own_sources, 'MAX_FILES', 3)
  assert counts(tmp_path / 'net.py', tmp_path / 'm2.py')
  assert not counts(tmp_path / 'net.py', tmp_path / 'm3.py')
  monkeypatch.undo()
  monkeypatch.setattr(own_sources, 'MAX_BYTES', 19)
  assert counts(tmp_path / 'net.py', tmp_path / 'm1.py')
  assert not counts(tmp_path / 'net.py', tmp_path / 'm2.py')
  monkeypatch.undo()
  monkeypatch.setattr(own_sources, 'MAX_PARSED_BYTES', 8)
  assert not counts(tmp_path / 'net.py', tmp_path / 'm0.py')


def test_a_link_to_the_file_and_a_copy_of_the_folder_have_the_same_digest(
  tmp_path: pathlib.Path,
) -> None:
  for folder in ('a', 'b'):
    write(tmp_path / folder, {'net.py': 'import blocks_a', 'blocks_a.py': 'A = 1'})
  (tmp_path / 'link.py').symlink_to(tmp_path / 'a' / 'net.py')
  (tmp_path / 'blocks_a.py').write_text('A = 2')  # beside the link: Python does not take it
  digests = {own_sources.digest(tmp_path / name) for name in ('link.py', 'a/net.py', 'b/net.py')}
  assert len(digests) == 1


def test_which_file_has_which_content_counts(tmp_path: pathlib.Path) -> None:
  write(tmp_path, {'net.py': 'import blocks_a, blocks_b', 'blocks_a.py': 'A', 'blocks_b.py': 'B'})
  first = own_sources.digest(tmp_path / 'net.py')
  write(tmp_path, {'blocks_a.py': 'B', 'blocks_b.py': 'A'})
  assert own_sources.digest(tmp_path / 'net.py') != first
