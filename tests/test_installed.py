"""The package, installed from a wheel and as an editable one, works outside the clone."""

import json
import os
import pathlib
import shutil
import site
import subprocess
import sys
import venv
import zipfile

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow  # builds a wheel, and starts JAX four times

STUDY = """
STUDY = {
  'title': 'One net', 'source': 'nobody',
  'entries': [{'label': 'ResNet-8', 'config': 'resnet:depth=8,epochs=1'}],
}
"""


class Environment:
  """A virtual environment with the packages of this one, except `cifar_jax`.

  Attributes:
    bin: the folder of its programs.
  """

  def __init__(self, root: pathlib.Path) -> None:
    """Makes the environment in `root`."""
    venv.create(root, symlinks=True)
    self.bin = root / 'bin'
    (folder,) = root.glob('lib/python*/site-packages')
    # The `.pth` files in these folders are not read, so the editable clone is not found in them.
    (folder / 'others.pth').write_text('\n'.join(site.getsitepackages()))

  def install(self, *words: str | pathlib.Path) -> None:
    """Installs a package without its dependencies, and without a network."""
    python = str(self.bin / 'python')
    pip = [sys.executable, '-m', 'pip', '--quiet', '--python', python, 'install']
    # `--ignore-installed`, so that pip leaves the installation of the clone as it is.
    options = ('--ignore-installed', '--no-deps', '--no-index', '--no-build-isolation')
    subprocess.run([*pip, *options, *words], check=True)

  def run(self, where: pathlib.Path, program: str, *words: str) -> str:
    """Runs a program in a folder; returns what it prints."""
    variables = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(
      [self.bin / program, *words], cwd=where, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A copy of what is built, because a build leaves files in the tree."""
  root = tmp_path_factory.mktemp('source')
  for folder in ('cifar_jax', 'configs'):
    shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns('__pycache__'))
  for file in ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE'):
    shutil.copy(ROOT / file, root)
  return root


@pytest.fixture(scope='module')
def wheel(source: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp('wheel')
  pip = [sys.executable, '-m', 'pip', '--quiet', 'wheel', '--no-deps', '--no-build-isolation']
  subprocess.run([*pip, '--wheel-dir', folder, source], check=True)
  (file,) = folder.glob('*.whl')
  return file


def test_a_wheel_holds_every_file_of_the_package_and_nothing_beside_it(
  wheel: pathlib.Path,
) -> None:
  expected = {
    str(pathlib.Path('cifar_jax', file.relative_to(ROOT / 'cifar_jax')))
    for file in (ROOT / 'cifar_jax').rglob('*')
    if file.is_file() and '__pycache__' not in file.parts
  } | {f'cifar_jax/{file.relative_to(ROOT)}' for file in (ROOT / 'configs').rglob('*.py')}
  with zipfile.ZipFile(wheel) as archive:
    names = set(archive.namelist())
  assert {name for name in names if '.dist-info/' not in name} == expected


def test_a_wheel_trains_evaluates_and_runs_a_study_outside_the_clone(
  wheel: pathlib.Path, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  environment, place = Environment(tmp_path / 'env'), tmp_path / 'place'
  place.mkdir()
  environment.install(wheel)
  file = environment.run(place, 'python', '-c', 'import cifar_jax; print(cifar_jax.__file__)')
  assert file.startswith(str(tmp_path))
  keys = (
    *(f'--config.data.data_dir={tiny_cifar}', '--config.data.validation_size', '40'),
    *('--config.train.batch_size=40', '--config.sharding.num_devices=1'),
  )
  recipe = ('--config', 'configs/resnet.py:depth=8,epochs=1')
  environment.run(place, 'cifar-jax', 'train', *recipe, '--workdir', 'run', *keys)
  result = json.loads((place / 'run' / 'result.json').read_text())
  assert result['num_steps'] == 5
  out = environment.run(place, 'cifar-jax', 'evaluate', '--workdir', 'run', *keys[:1])
  assert f'{100 * result["test"]["accuracy"]:.2f} %' in out
  (place / 'own.py').write_text(STUDY)
  out = environment.run(place, 'cifar-jax', 'study', 'own.py', '--workdir', 'study', *keys)
  assert 'ResNet-8' in out and (place / 'study' / 'resnet-8' / 'seed0' / 'result.json').exists()
  out = environment.run(place, 'python', '-m', 'cifar_jax.study', '--list')
  assert 'wide_resnet_grid' in out.splitlines()


def test_an_editable_installation_finds_its_recipes_and_has_the_command(
  source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  environment = Environment(tmp_path / 'env')
  # In the folder above it, `cifar_jax` is also the name of the clone.
  environment.install('--editable', shutil.copytree(source, tmp_path / 'cifar_jax'))
  environment.run(tmp_path, 'python', '-c', 'import cifar_jax; cifar_jax.train')
  out = environment.run(tmp_path, 'cifar-jax', 'train', '--config', 'resnet:depth=32', '--help')
  assert 'model.name=resnet32' in out
  assert 'homework' in environment.run(tmp_path, 'cifar-jax', 'study', '--list')
