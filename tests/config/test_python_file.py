"""A user's file is run with the modules beside it as they are at that time."""

import pathlib

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
