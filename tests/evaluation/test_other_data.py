"""Runs evaluated on other data than their own: the same images, labels, size and statistics."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest

from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import archives, corrupted
from cifar_jax.data.dataset import Split
from cifar_jax.errors import ShortageError
from cifar_jax.evaluation import corruptions, evaluate, other_data, scorecard
from cifar_jax.evaluation.ensemble import predict_ensemble, restore_ensemble
from cifar_jax.evaluation.predictions import GroundTruth
from cifar_jax.evaluation.restore import Restored
from cifar_jax.evaluation.sources import collect_predictions
from cifar_jax.runtime import memory
from tests.support import fake_run
from tests.support.fake_cifar import message


@pytest.fixture(scope='module')
def run(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  return fake_run.make(tmp_path_factory.mktemp('runs') / 'one', tiny_cifar)


@pytest.fixture(scope='module')
def test_split(run: pathlib.Path) -> Split:
  (member,) = restore_ensemble([run], 'last', [])
  return member.experiment.dataset.test


@pytest.fixture(scope='module')
def predicted(run: pathlib.Path, test_split: Split) -> np.ndarray:
  """The classes that the run predicts for its own test images."""
  members = restore_ensemble([run], 'last', [])
  return np.argmax(predict_ensemble(members, test_split, 'none'), axis=1)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setattr(scorecard, 'draw', lambda *_: None)


def choose(name: str, directory: pathlib.Path) -> list[str]:
  return [f'--config.data.name={name}', f'--config.data.data_dir={directory}']


def evaluate_on(run: pathlib.Path, overrides: list[str], out: pathlib.Path) -> dict[str, Any]:
  """Evaluates a run; returns the values of the only JSON file, its name, and the printed lines."""
  _, lines = evaluate.evaluate_runs([run], 'test', 'last', 'none', overrides, out)
  (path,) = out.glob('*.json')
  return {'file': path.name, 'lines': lines, **json.loads(path.read_text())}


@pytest.mark.ci
def test_other_test_images_are_evaluated_without_the_data_of_the_run(
  run: pathlib.Path,
  test_split: Split,
  predicted: np.ndarray,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  some = test_split.take(np.arange(30))
  np.save(tmp_path / 'cifar10.1_v6_data.npy', some.images)
  np.save(tmp_path / 'cifar10.1_v6_labels.npy', some.labels)
  monkeypatch.setattr(archives, 'load', None)
  values = evaluate_on(run, choose('cifar10_1', tmp_path), tmp_path / 'out')
  assert values['num_correct'] == (predicted[:30] == some.labels).sum()
  assert re.fullmatch('cifar10_1_[0-9a-f]{8}_test_step3.json', values['file'])
  assert 'on 30 images (cifar10_1, test split)' in values['lines'][0]
  _, truth = collect_predictions([str(run)], 'test', 'last', 'none', choose('cifar10_1', tmp_path))
  np.testing.assert_array_equal(truth.labels, some.labels)


def test_a_folder_has_the_classes_of_the_run_by_name(
  run: pathlib.Path, test_split: Split, predicted: np.ndarray, tmp_path: pathlib.Path
) -> None:
  names = {3: 'cat', 1: 'automobile'}
  chosen = [i for i, label in enumerate(test_split.labels) if label in names]
  for i in chosen:
    file = tmp_path / 'images' / names[test_split.labels[i]] / f'{i}.png'
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(test_split.images[i]).save(file)
  values = evaluate_on(run, choose('folder', tmp_path / 'images'), tmp_path / 'out')
  assert values['num_images'] == len(chosen)
  assert values['num_correct'] == (predicted == test_split.labels)[chosen].sum()
  counts = {row['name']: row['images'] for row in values['classes']}
  assert counts['cat'] == (test_split.labels == 3).sum()
  assert counts['automobile'] == (test_split.labels == 1).sum() and counts['airplane'] == 0
  assert str(values['file']).startswith('folder_images_')
  (tmp_path / 'images' / 'cat').rename(tmp_path / 'images' / 'lynx')
  text = message(lambda: evaluate_on(run, choose('folder', tmp_path / 'images'), tmp_path / 'x'))
  assert "has no class 'lynx'" in text


def test_other_data_of_another_size_or_split_are_refused(
  run: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  np.save(tmp_path / 'cifar10.1_v6_data.npy', np.zeros((2, 32, 32, 3), np.uint8))
  np.save(tmp_path / 'cifar10.1_v6_labels.npy', np.zeros(2, np.int32))
  overrides = choose('cifar10_1', tmp_path)
  larger = [*overrides, '--config.data.image_size=64']
  assert 'leave out data.image_size' in message(lambda: evaluate_on(run, larger, tmp_path))
  assert 'no train images' in message(
    lambda: evaluate.evaluate_runs([run], 'train', 'last', 'none', overrides, tmp_path)
  )


def by_first_pixel(members: list[Restored], tta: str) -> Callable[[Split], np.ndarray]:
  """A predictor of the class that the first pixel of an image gives."""
  return lambda split: np.eye(10)[split.images[:, 0, 0, 0]]


def test_corruptions_that_do_not_fit_in_memory_are_refused(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  np.save(tmp_path / 'fog.npy', np.zeros((5, 32, 32, 3), np.uint8))
  monkeypatch.setattr(memory, 'host_bytes', lambda: 5 * 32 * 32 * 3 - 1)
  with pytest.raises(ShortageError, match='5 images of 32 x 32 pixels'):
    corrupted.read(tmp_path / 'fog.npy', 10)


def test_all_corruptions_and_severities_are_one_table(
  run: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.setattr(corruptions, 'make_predictor', by_first_pixel)
  labels = np.tile(np.arange(10), 5)
  directory = tmp_path / 'CIFAR-10-C'
  directory.mkdir()
  np.save(directory / 'labels.npy', labels)
  for rank, name in enumerate((*corrupted.BENCHMARK, 'saturate')):
    wrong = np.concatenate([np.arange(10) < min(severity + rank, 10) for severity in range(5)])
    images = np.zeros((50, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0] = (labels + wrong) % 10
    np.save(directory / f'{name}.npy', images)
  values = evaluate_on(run, choose('cifar10_c', tmp_path), tmp_path / 'out')
  expected = [[10.0 * min(s + rank, 10) for s in range(5)] for rank in range(16)]
  assert list(values['error_percent'].values()) == expected
  mean = np.mean(expected[:15])
  assert values['mean_corruption_error_percent'] == pytest.approx(mean)
  assert re.fullmatch('cifar10_c_[0-9a-f]{8}_step3.json', values['file'])
  lines = values['lines']
  assert lines[2].split() == ['gaussian_noise', '0.00', '10.00', '20.00', '30.00', '40.00', '20.00']
  assert f'  mean corruption error {mean:.2f} %' in lines
  assert any(line.startswith('  saturate*') for line in lines)
  (directory / 'fog.npy').unlink()
  values = evaluate_on(run, choose('cifar10_c', directory), tmp_path / 'without fog')
  assert values['mean_corruption_error_percent'] is None and values['missing'] == ['fog']
  assert 'fog are missing' in '\n'.join(values['lines'])
  with pytest.raises(ValueError, match='has the classes of cifar100'):
    evaluate_on(run, choose('cifar100_c', directory), tmp_path / 'out')
  smaller = [*choose('cifar10_c', directory), '--config.data.image_size=16']
  with pytest.raises(ValueError, match=r'cifar10_c are \(16, 16, 3\).*leave out data.image_size'):
    evaluate_on(run, smaller, tmp_path / 'out')


def test_other_settings_of_the_same_set_have_files_of_their_own(tmp_path: pathlib.Path) -> None:
  settings = [
    DataSettings(name='cifar10_1', data_dir=str(tmp_path / 'v4')),
    DataSettings(name='cifar10_1', data_dir=str(tmp_path / 'v6')),
    DataSettings(name='shapes', seed=1),
    DataSettings(name='shapes', seed=2),
    DataSettings(name='shapes', seed=2, images_per_class=3),
  ]
  assert len({other_data.file_stem(each) for each in settings}) == len(settings)
  again = DataSettings(name='cifar10_1', data_dir=f'{tmp_path}/v6/../v4')
  assert other_data.file_stem(again) == other_data.file_stem(settings[0])


@pytest.mark.parametrize('place', ['', 'inner', '..'])
def test_images_that_the_run_was_trained_on_are_counted(
  place: str,
  run: pathlib.Path,
  test_split: Split,
  caplog: pytest.LogCaptureFixture,
) -> None:
  (member,) = restore_ensemble([run], 'last', [])
  dataset, own = member.experiment.dataset, pathlib.Path(member.config.data.data_dir)
  images = np.concatenate([dataset.train.images[:5], dataset.validation.images[:2]])
  truth = GroundTruth(
    np.zeros(17, np.int32), ('a',), np.concatenate([images, test_split.images[:10]])
  )
  settings = DataSettings('folder', data_dir=str(own / place), image_size=32)
  assert other_data.num_trained_on([member], settings, truth) == 7
  assert '7 of these 17 images are among those that' in caplog.text
  caplog.clear()
  unlike = {**member.run_info, 'data': {**member.run_info['data'], 'labels_crc32': [0, 0, 0]}}
  changed = dataclasses.replace(member, run_info=unlike)  # its files have changed since
  assert other_data.num_trained_on([changed], settings, truth) == 0
  assert 'is not known, because its data are not there as they were' in caplog.text
  other = dataclasses.replace(member, config=member.config.copy_and_resolve_references())
  other.config.data.data_dir = ''  # that of an ensemble's first member
  assert other_data.num_trained_on([other, member], settings, truth) == 7
  elsewhere = dataclasses.replace(settings, data_dir=str(own.parent / 'elsewhere'))
  assert other_data.num_trained_on([member], elsewhere, truth) == 0
  copy = dataclasses.replace(elsewhere, name='cifar10')  # of one name: perhaps a copy
  assert other_data.num_trained_on([member], copy, truth) == 7
