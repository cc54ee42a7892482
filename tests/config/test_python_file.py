"""A user's file is run with the modules beside it as they are at that time."""

import importlib
import pathlib
import sys

import pytest

from cifar_jax.config import python_file


def test_modules_and_packages_beside_a_file_are_imported_anew(tmp_path: pathlib.Path) -> None:
  file = tmp_path / 'recipe.py'
  file.write_text(
    'import ours_beside\nfrom ours_package import inner\nVALUES = ours_beside.A, inner.A\n'
  )
  (tmp_path / 'ours_package').mkdir()
  (tmp_path / 'ours_package' / '__init__.py').touch()
  for value in ('one', 'three'):  # of other lengths: a cache of bytecode goes by size and seconds
    for module in ('ours_beside.py', 'ours_package/inner.py'):
      (tmp_path / module).write_text(f'A = {value!r}\n')
    with python_file.run(file) as names:
      assert names['VALUES'] == (value, value)


def test_a_module_of_the_same_name_in_use_is_set_aside(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  for folder, value in (('notebook', 1), ('project', 2)):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / 'ours_blocks.py').write_text(f'A = {value}\n')
  monkeypatch.syspath_prepend(str(tmp_path / 'notebook'))
  mine = importlib.import_module('ours_blocks')
  file = tmp_path / 'project' / 'recipe.py'
  file.write_text('import ours_blocks\nVALUE = ours_blocks.A\n')
  with python_file.run(file) as names:
    assert names['VALUE'] == 2
  assert sys.modules.pop('ours_blocks') is mine and mine.A == 1


@pytest.mark.parametrize('place', ['.local/lib/site-packages', 'pylibs'])
def test_libraries_in_a_folder_below_stay_imported(
  place: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  libraries = tmp_path / place  # of `pip install --user`, or `--target`, in the home directory
  (libraries / 'ours_library-1.0.dist-info').mkdir(parents=True)
  (libraries / 'ours_library.py').touch()
  monkeypatch.syspath_prepend(str(libraries))
  file = tmp_path / 'recipe.py'
  file.write_text('import ours_library\n')
  with python_file.run(file):
    pass
  assert sys.modules.pop('ours_library').__file__ == str(libraries / 'ours_library.py')
