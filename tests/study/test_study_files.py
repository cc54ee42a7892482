"""The studies in `configs/studies`: each file loads, and each of its entries makes a valid run."""

import pathlib

import pytest

from cifar_jax.config import loading, locations
from cifar_jax.study import definition, plan

FILES = locations.available(locations.STUDIES)


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_every_entry_of_every_study_makes_a_different_valid_run(
  file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  study = definition.load(file)
  runs = plan.make(study, tmp_path / 'new', None, 1, ['--config.data.data_dir=/somewhere'])
  assert [run.entry for run in runs] == list(study.entries)
  assert len({run.workdir for run in runs}) == len(runs)
  # No two rows are the same run under different labels.
  assert len({loading.to_json(run.config) for run in runs}) == len(runs)
  assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_every_study_names_its_source_and_its_command(file: pathlib.Path) -> None:
  header = file.read_text().split('"""')[1]
  assert 'arXiv' in header
  assert f'python -m cifar_jax.study configs/studies/{file.name}' in header


def test_there_is_a_study_for_every_table() -> None:
  assert {
    *('activation_orders', 'shake_shake_modes', 'shake_shake_backward', 'shake_shake_no_skip'),
    *('pyramidnet_units', 'wide_resnet_grid', 'wide_resnet_dropout', 'plain_and_residual'),
    *('resnet_stochastic_depth', 'schedules', 'augmentations', 'homework'),
  } <= {file.stem for file in FILES}


def test_published_errors_are_those_of_the_papers_tables() -> None:
  published: dict[str, dict[str, float | None]] = {}
  for name in ('activation_orders', 'shake_shake_modes', 'homework'):
    study = definition.load(name)
    published[name] = {entry.label: entry.published for entry in study.entries}
  assert published['activation_orders']['ResNet-110 (b) BN after addition'] == 8.17
  assert published['activation_orders']['ResNet-164 (e) full pre-activation'] == 5.46
  assert published['shake_shake_modes']['2x32d S-E-B'] == 3.47
  assert published['shake_shake_modes']['2x96d S-S-I'] == 2.86
  assert len([label for label in published['shake_shake_modes'] if '2x32d' in label]) == 9
  assert list(published['homework'].values()) == [pytest.approx(100 - 43.41)] * 2
