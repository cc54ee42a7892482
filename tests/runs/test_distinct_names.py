"""Names of runs side by side: short, and unlike each other."""

import pathlib

from cifar_jax.runs import distinct_names


def test_a_name_is_the_shortest_end_of_a_path_that_no_other_path_has() -> None:
  paths = ['/r/s/a/seed0', '/r/s/b/seed0', '/r/s/b/seed1', '/q/s/a/seed0', '/r/s/b/seed1']
  names = distinct_names.of_directories([pathlib.Path(path) for path in paths])
  assert names == ['r/s/a/seed0', 'b/seed0', 'seed1', 'q/s/a/seed0', 'seed1 2']
  nested = [pathlib.Path('/a'), pathlib.Path('/b/a')]
  assert distinct_names.of_directories(nested) == ['/a', 'b/a']


def test_a_directory_is_named_where_it_is_given_as_a_point(tmp_path: pathlib.Path) -> None:
  (tmp_path / 'run').mkdir()
  assert distinct_names.of_directories([tmp_path / 'run' / '.', tmp_path]) == ['run', tmp_path.name]


def test_numbers_do_not_make_a_name_that_is_there_already() -> None:
  assert distinct_names.numbered(['x', 'x', 'x 2', 'x']) == ['x', 'x 3', 'x 2', 'x 4']
