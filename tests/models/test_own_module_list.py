"""The list of the modules that a user has trained with, which decides what a run may execute."""

import pathlib
import sys

import pytest

from cifar_jax.errors import InputError
from cifar_jax.models import own_module
from tests.support.fake_cifar import message


@pytest.fixture(autouse=True)
def known(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
  """The list, with no line yet."""
  monkeypatch.setattr(own_module, 'LIST', str(tmp_path / 'list'))
  return tmp_path / 'list'


def check(module: pathlib.Path | str) -> None:
  """Passes if a run may execute a module."""
  own_module.check_permitted(str(module), 'net', pathlib.Path('run'))


def test_two_trainings_at_once_lose_no_module(
  tmp_path: pathlib.Path, known: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(own_module, '_listed', list)  # as if each had read the list before
  modules = [tmp_path / 'a.py', tmp_path / 'b.py']
  for module in modules:
    module.touch()
    own_module.note(str(module))
  assert [line.split()[1] for line in known.read_text().splitlines()] == [*map(str, modules)]


def test_a_module_is_listed_once_with_each_content(
  tmp_path: pathlib.Path, known: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  module = tmp_path / 'net.py'
  for content in ('a', 'b', 'a'):
    module.write_text(content)
    own_module.note(str(module))
    check(module)
  assert len(known.read_text().splitlines()) == 2 and not caplog.messages
  module.write_text('c')
  check(module)
  assert 'is not as it was when you trained with it' in caplog.text


@pytest.mark.parametrize('mode', [0o666, 0o620])
def test_a_list_that_others_can_write_to_counts_for_nothing(
  mode: int, tmp_path: pathlib.Path, known: pathlib.Path
) -> None:
  first, second = tmp_path / 'a.py', tmp_path / 'b.py'
  for module in (first, second):
    module.touch()
  own_module.note(str(first))
  check(first)
  known.chmod(mode)
  assert 'not trained with' in message(lambda: check(first))
  own_module.note(str(second))
  check(second)
  assert 'not trained with' in message(lambda: check(first))  # its line may be another's
  tmp_path.chmod(0o777)
  assert 'not trained with' in message(lambda: check(second))


@pytest.mark.parametrize('name', ['gone.py', 'no_such_package.nets', 'a\n.py'])
def test_what_cannot_be_listed_is_asked_for(
  name: str, tmp_path: pathlib.Path, known: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  (tmp_path / 'a\n.py').touch()
  monkeypatch.chdir(tmp_path)
  own_module.note(name)
  assert not known.exists()
  with pytest.raises(InputError, match='not trained with'):
    check(name)


def test_a_link_in_the_place_of_the_list_is_not_followed(
  tmp_path: pathlib.Path, known: pathlib.Path
) -> None:
  known.symlink_to(tmp_path / 'elsewhere')
  (tmp_path / 'elsewhere').touch(0o600)
  own_module.note(__file__)
  assert not (tmp_path / 'elsewhere').read_text()


def test_a_module_of_a_package_is_found_by_its_name_and_without_running_the_package(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  package = tmp_path / 'my_nets_package'
  package.mkdir()
  (package / '__init__.py').write_text('raise ValueError("executed")')
  (package / 'nets.py').touch()
  monkeypatch.syspath_prepend(tmp_path)
  assert 'not trained with' in message(lambda: check('my_nets_package.nets'))
  own_module.note('my_nets_package.nets')
  check('my_nets_package.nets')
  assert 'not trained with' in message(lambda: check('my_nets_package.others'))
  assert own_module.digest('my_nets_package.nets') != own_module.digest('my_nets_package')
  assert 'my_nets_package' not in sys.modules
