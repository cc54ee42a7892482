"""Test images that the weights of `init.source` were trained on are a warning."""

import dataclasses
import json
import logging
import pathlib

import numpy as np
import pytest

from cifar_jax import data
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data.dataset import Dataset, Split
from cifar_jax.evaluation.restore import restore_run
from cifar_jax.runs.workdir import read_config
from cifar_jax.runtime.console import logger
from cifar_jax.training import leak, session
from tests.support import fake_run


@pytest.fixture
def source(tiny_cifar: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  return fake_run.make(tmp_path / 'source', tiny_cifar)


def warnings_of(
  source: pathlib.Path,
  dataset: Dataset,
  *,
  seed: int,
  caplog: pytest.LogCaptureFixture,
  counts: dict[str, int],
) -> list[str]:
  """The warnings of a run that begins with the weights of the source, whose counts are checked."""
  config = read_config(source)
  config.init.source = str(source)
  config.data.seed = seed
  caplog.clear()
  with caplog.at_level(logging.WARNING, logger.name):
    found = leak.find(source / 'new', config, dataset)
  assert found == ({leak.KEY: counts} if counts else {})
  return [line for line in caplog.messages if 'init.source' in line]


def joined(first: Split, second: Split) -> Split:
  images = np.concatenate([first.images, second.images])
  return Split(images, np.concatenate([first.labels, second.labels]))


def test_images_that_the_source_was_trained_on_are_counted(
  source: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  dataset = restore_run(source, 'last', []).experiment.dataset
  counts = {'validation': 40}
  assert warnings_of(source, dataset, seed=1, caplog=caplog, counts=counts) == [
    f'40 of the 40 validation images are among those that init.source {source} was trained on or '
    'chosen by, so the accuracy on them is no test'
  ]
  seven = Split(dataset.train.images[:7], dataset.train.labels[:7])
  mixed = dataclasses.replace(dataset, test=joined(dataset.test, seven), validation=dataset.test)
  [line] = warnings_of(source, mixed, seed=1, caplog=caplog, counts={'test': 7})
  assert line.startswith('7 of the 55 test images are among those')


def test_the_runs_before_the_source_are_asked_too(
  source: pathlib.Path, tiny_cifar: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  dataset = restore_run(source, 'last', []).experiment.dataset
  between = source.with_name('between')
  fake_run.make(between, tiny_cifar, f'init.source={source}', 'data.seed=1')
  [line] = warnings_of(between, dataset, seed=1, caplog=caplog, counts={'validation': 40})
  assert line.startswith('40 of the 40 validation images')
  source.rename(source.with_name('moved'))
  [line] = warnings_of(between, dataset, seed=1, caplog=caplog, counts={})
  assert 'is not known' in line and line.endswith(f'{source} is gone')


def test_official_splits_with_the_same_settings_have_no_image_in_common(
  source: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
  dataset = restore_run(source, 'last', []).experiment.dataset
  monkeypatch.setattr(data, 'load', None)  # so nothing is read
  assert not warnings_of(source, dataset, seed=0, caplog=caplog, counts={})


def test_it_is_said_where_it_is_not_known(
  source: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
  dataset = restore_run(source, 'last', []).experiment.dataset
  more = dataclasses.replace(dataset, train=joined(dataset.train, dataset.test))
  monkeypatch.setattr(data, 'load', lambda _: more)  # further images since the training
  [line] = warnings_of(source, dataset, seed=1, caplog=caplog, counts={})
  assert 'is not known' in line and 'other data than the run was trained on' in line


@pytest.mark.ci
def test_the_result_and_the_log_of_a_run_tell_of_it(
  source: pathlib.Path, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
  config, load = read_config(source), data.load
  config.init.source, config.data.seed, config.train.num_epochs = str(source), 1, 1

  def load_with_a_word(settings: DataSettings) -> Dataset:
    logger.warning('loading data of seed %d', settings.seed)
    return load(settings)

  monkeypatch.setattr(data, 'load', load_with_a_word)
  monkeypatch.setattr(session, 'report_run', lambda *_: None)
  assert session.run(config, tmp_path / 'run') == 0
  result = json.loads((tmp_path / 'run' / 'result.json').read_text())
  assert result[leak.KEY] == {'validation': 40}
  lines = (tmp_path / 'run' / 'log.txt').read_text()
  # The own data are loaded before the workdir is opened.
  assert lines.index('data of seed 1') < lines.index('40 of the 40 validation images')
