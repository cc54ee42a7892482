"""A finished run that is asked for again says so if something else would be trained now."""

import json
import pathlib
import shutil

import pytest

from cifar_jax import data, models
from cifar_jax.config import loading
from cifar_jax.config.initialization import InitSettings
from cifar_jax.convert import initial_weights
from cifar_jax.data.dataset import digests
from cifar_jax.evaluation.restore import restore_run
from cifar_jax.models import own_net
from cifar_jax.runs.workdir import read_config
from cifar_jax.runtime import package_code
from cifar_jax.training import finished
from tests.support import fake_run

FOLDER = 'cifar-10-batches-bin'
RESULT = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 1.0, 'device': 'cpu', 'seed': 0}


@pytest.fixture
def run(tiny_cifar: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  return fake_run.make(tmp_path / 'run', tiny_cifar)


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (None, ''),
    ('code', 'the code of this package'),
    ('net', 'the code of the net'),
    ('JAX', 'the version of JAX'),
    ('data', 'the data'),
  ],
)
def test_a_change_since_then_is_a_warning(
  change: str | None,
  words: str,
  run: pathlib.Path,
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  result = RESULT | {'code': f'abc, {package_code.digest()}', own_net.KEY: 'm by JAX 1'}
  result |= digests(restore_run(run, 'last', []).experiment.dataset)
  (run / 'result.json').write_text(json.dumps(result))
  config = read_config(run)
  net = {'net': 'n by JAX 1', 'JAX': 'n by JAX 2'}.get(change or '', 'm by JAX 1')
  monkeypatch.setattr(own_net, 'describe', lambda *_: net)
  (tmp_path / 'moved').symlink_to(tiny_cifar)
  config.data.data_dir = str(tmp_path / 'moved')
  if change == 'code':
    monkeypatch.setattr(package_code, 'digest', lambda: 'def')
  elif change == 'data':
    shutil.copytree(tiny_cifar / FOLDER, tmp_path / 'others' / FOLDER)
    file = tmp_path / 'others' / FOLDER / 'test_batch.bin'
    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # a pixel
    file.write_bytes(content)
    config.data.data_dir = str(tmp_path / 'others')
  caplog.clear()
  finished.warn_of_changes(run, config)
  warnings = [record.getMessage() for record in caplog.records if 'then' in record.getMessage()]
  assert len(warnings) == bool(change)
  assert not change or f'than is here now ({words})' in warnings[0]


def test_data_that_are_gone_are_neither_downloaded_nor_missed(
  run: pathlib.Path,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  result = RESULT | {'code': package_code.digest(), 'data_sha256': 'x'}
  (run / 'result.json').write_text(json.dumps(result))
  config = read_config(run)
  monkeypatch.setattr(data, 'load', None)
  for place in ('', str(tmp_path / 'gone'), str(tmp_path)):
    config.data.data_dir = place
    (run / 'config.json').write_text(loading.to_json(config))
    finished.warn_of_changes(run, config)
  assert 'then' not in caplog.text
  config.data.data_dir = str(tmp_path / 'misspelt')  # not the place of the run's data
  finished.warn_of_changes(run, config)
  assert f'(perhaps the data: none in {tmp_path}/misspelt to compare)' in caplog.text


def test_other_initial_weights_are_a_warning(
  run: pathlib.Path,
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
) -> None:
  source = fake_run.make(tmp_path / 'source', tiny_cifar)
  config = read_config(run)
  config.init.source = str(source)
  model = models.create('resnet8')
  weights = initial_weights.describe(InitSettings(**config.init), model, 32)
  (run / 'result.json').write_text(json.dumps(RESULT | weights))
  finished.warn_of_changes(run, config)
  assert 'then' not in caplog.text
  shutil.rmtree(source)
  finished.warn_of_changes(run, config)
  assert 'then' not in caplog.text  # they are not needed any more
  fake_run.make(source, tiny_cifar, sharpness=2.0)
  finished.warn_of_changes(run, config)
  assert '(the initial weights)' in caplog.text
