"""The studies: each file loads, and each of its entries makes a run that could begin."""

import pathlib

import pytest

from cifar_jax import config
from cifar_jax.study import plan, table

ROOT = pathlib.Path(__file__).parent.parent.parent
FILES = table.available(ROOT / table.FOLDER)


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_every_entry_of_every_study_builds(file, tmp_path):
  study = table.load(file)
  runs = plan.make(study, tmp_path / 'new', None, 1, ['--config.data.data_dir=/somewhere'])
  assert [run.entry for run in runs] == list(study.entries)
  assert len({run.workdir for run in runs}) == len(runs)
  # No two rows are the same run, but for what it is called.
  assert len({config.to_json(run.config) for run in runs}) == len(runs)
  assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_every_study_names_its_source_and_its_command(file):
  header = file.read_text().split('"""')[1]
  assert 'arXiv' in header
  assert f'python -m cifar_jax.study configs/studies/{file.name}' in header


def test_all_the_tables_are_there():
  assert {
    *('activation_orders', 'shake_shake_modes', 'shake_shake_backward', 'shake_shake_no_skip'),
    *('pyramidnet_units', 'wide_resnet_grid', 'wide_resnet_dropout', 'plain_and_residual'),
    *('resnet_stochastic_depth', 'schedules', 'augmentations', 'homework'),
  } <= {file.stem for file in FILES}


def test_the_published_figures_are_the_tables():
  published = {
    name: {e.label: e.published for e in table.load(ROOT / table.FOLDER / f'{name}.py').entries}
    for name in ('activation_orders', 'shake_shake_modes', 'homework')
  }
  assert published['activation_orders']['ResNet-110 (b) BN after addition'] == 8.17
  assert published['activation_orders']['ResNet-164 (e) full pre-activation'] == 5.46
  assert published['shake_shake_modes']['2x32d S-E-B'] == 3.47
  assert published['shake_shake_modes']['2x96d S-S-I'] == 2.86
  assert len([label for label in published['shake_shake_modes'] if '2x32d' in label]) == 9
  assert list(published['homework'].values()) == [pytest.approx(100 - 43.41)]
