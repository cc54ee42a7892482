"""Recipes and studies are found by name, by path and in the files of the user, from anywhere."""

import pathlib

import pytest

from cifar_jax.config import command_line, loading, locations
from cifar_jax.errors import InputError
from cifar_jax.study import definition, plan
from tests.support.paths import ROOT

OWN = """
from cifar_jax.config import base
def get_config(text=''):
  config = base('resnet8', 'shapes')
  config.seed = 7
  return config
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
  """An empty folder, which is the current one and the user's home."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('HOME', str(tmp_path))
  return tmp_path


@pytest.mark.parametrize('name', ['resnet', 'configs/resnet.py', str(ROOT / 'configs/resnet.py')])
def test_a_recipe_of_the_package_is_found_by_name_and_by_path(name: str) -> None:
  assert locations.find(name) == ROOT / 'configs' / 'resnet.py'
  assert loading.load(f'{name}:depth=32').model.name == 'resnet32'


@pytest.mark.parametrize('name', ['homework', 'configs/studies/homework.py'])
def test_a_study_of_the_package_is_found_by_name_and_by_path(name: str) -> None:
  assert definition.load(name).path == ROOT / 'configs' / 'studies' / 'homework.py'


@pytest.mark.parametrize(
  'name', ['configs/resnet.py', '~/configs/resnet.py', './configs/resnet.py']
)
def test_a_file_of_the_user_comes_before_one_of_the_package(
  name: str, elsewhere: pathlib.Path
) -> None:
  (elsewhere / 'configs').mkdir()
  (elsewhere / 'configs' / 'resnet.py').write_text(OWN)
  assert loading.load(name).seed == 7
  (elsewhere / 'resnet').write_text(OWN)  # in a folder of a stranger: a name is no path
  assert loading.load('resnet').seed == 0


def test_an_entry_of_a_study_names_a_recipe_of_the_package_or_a_file_beside_the_study(
  elsewhere: pathlib.Path,
) -> None:
  (elsewhere / 'studies').mkdir()
  (elsewhere / 'studies' / 'own.py').write_text(OWN)
  entries = [{'label': 'a', 'config': 'resnet:depth=14'}, {'label': 'b', 'config': 'own.py'}]
  study = f'STUDY = {{"title": "t", "source": "s", "entries": {entries}}}'
  (elsewhere / 'studies' / 'pair.py').write_text(study)
  runs = plan.make(definition.load('studies/pair.py'), elsewhere / 'w', None, 1, [])
  assert [run.config.model.name for run in runs] == ['resnet14', 'resnet8']
  assert [run.command[4] for run in runs] == ['resnet:depth=14', 'studies/own.py']


@pytest.mark.parametrize(
  ('name', 'words'),
  [
    ('resnt', ['no configuration resnt', 'did you mean resnet?', 'wide_resnet']),
    ('resnet.py', ['no configuration resnet.py', 'did you mean resnet?']),
    ('configs/studies', ['no configuration configs/studies']),
    ('resnet20', ['no configuration resnet20', 'its recipe is resnet, such as resnet:depth=20']),
    ('my/own.py', ['no configuration my/own.py']),
    ('~/own.py', ['no configuration ~/own.py']),
    ('.', ['no configuration .']),
    ('', ['no configuration']),
  ],
)
def test_the_message_on_an_unknown_name_lists_the_known_ones(name: str, words: list[str]) -> None:
  with pytest.raises(InputError) as info:
    locations.find(name)
  assert all(word in str(info.value) for word in [*words, 'alexnet']), info.value


def test_a_url_is_no_file() -> None:
  with pytest.raises(InputError, match='is not on this machine'):
    locations.find('gs://bucket/resnet.py')


def test_the_file_of_a_module_is_relative_to_the_configuration_or_to_where_the_command_runs(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  code = "from cifar_jax.config import base\ndef get_config():\n  config = base('plain_flax')\n"
  code += "  config.model.module = 'nets.py'\n  return config\n"
  (tmp_path / 'config.py').write_text(code)
  (tmp_path / 'deeper').mkdir()
  monkeypatch.chdir(tmp_path / 'deeper')
  config = loading.load('../config.py')
  assert pathlib.Path(config.model.module).resolve() == tmp_path / 'nets.py'
  command_line.override(config, ['--config.model.module=other.py'])
  assert config.model.module == str(tmp_path / 'deeper' / 'other.py')
