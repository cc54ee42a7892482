"""The command `predict`, on image files."""

import json
import pathlib
import shutil
from typing import Any

import numpy as np
import PIL.Image
import pytest
from jax.sharding import Mesh

from cifar_jax import cli, data, predict
from cifar_jax.config.dataset import RESIZINGS
from cifar_jax.data.dataset import Dataset, Split, fingerprint
from cifar_jax.evaluation import ensemble, scores
from cifar_jax.evaluation import predict as prediction
from cifar_jax.evaluation.ensemble import predict_ensemble, restore_ensemble, restore_nets
from cifar_jax.evaluation.predict import classify
from cifar_jax.evaluation.restore import Restored
from cifar_jax.experiment.eval_step import DeviceSplit
from cifar_jax.runtime import package_code
from tests.support import fake_run


@pytest.fixture(scope='module')
def run(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  return fake_run.make(tmp_path_factory.mktemp('runs') / 'run', tiny_cifar)


def call_predict(
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
  *arguments: str | pathlib.Path,
) -> tuple[int | str | None, str, str]:
  """The exit status of the command, its standard output and its standard error."""
  monkeypatch.setattr('sys.argv', ['predict', *map(str, arguments)])
  with pytest.raises(SystemExit) as exit_:
    cli.run(predict.main)
  return exit_.value.code, *capsys.readouterr()


def test_image_files_are_classified_as_the_same_images_of_a_split(
  run: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  (member,) = restore_ensemble([run], 'last', [])
  test, names = member.experiment.dataset.test, member.experiment.dataset.class_names
  files = [tmp_path / '0.png', tmp_path / 'large.bmp']
  PIL.Image.fromarray(test.images[0]).save(files[0])
  large = PIL.Image.fromarray(test.images[1].repeat(4, axis=0).repeat(4, axis=1))
  large.save(files[1])
  status, out, _ = call_predict(monkeypatch, capsys, '--workdir', run, *files)
  assert status is None
  expected = np.argmax(predict_ensemble([member], test, 'none')[:2], axis=1)
  lines = out.splitlines()
  assert [line.split()[:2] for line in lines[:2]] == [
    [str(file), names[label]] for file, label in zip(files, expected, strict=True)
  ]
  assert lines[0].count('%') == 3
  assert (run / 'evaluation' / 'own_pictures.png').read_bytes().startswith(b'\x89PNG')
  rows = json.loads((run / 'evaluation' / 'own_pictures.json').read_text())
  members = [{'workdir': str(run), 'model': 'resnet8', 'step': 3}]
  code = package_code.digest()
  by = {'checkpoint': 'last', 'tta': 'none', 'code': code, 'members': members}
  assert rows[1]['by'] == by
  for _ in range(2):  # the second time the images are the same
    call_predict(monkeypatch, capsys, '--workdir', run, files[0])
  assert {path.name for path in (run / 'evaluation').glob('own_pictures*')} == {
    *('own_pictures.png', 'own_pictures.json', 'own_pictures-2.png', 'own_pictures-2.json')
  }
  assert json.loads((run / 'evaluation' / 'own_pictures-2.json').read_text()) == rows
  (tmp_path / 'other').mkdir()
  PIL.Image.fromarray(test.images[2]).save(tmp_path / 'other' / '0.png')
  call_predict(monkeypatch, capsys, '--workdir', run, tmp_path / 'other' / '0.png')
  assert (run / 'evaluation' / 'own_pictures-3.png').exists()  # another image of the same name


def test_a_run_predicts_directories_on_a_machine_without_its_data(
  run: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  with_data = restore_ensemble([run], 'last', [])
  test, names = with_data[0].experiment.dataset.test, with_data[0].experiment.dataset.class_names
  files = [tmp_path / 'a.png', tmp_path / 'b' / 'c.png']
  files[1].parent.mkdir()
  for file, image in zip(files, test.images, strict=False):
    PIL.Image.fromarray(image).save(file)
  (tmp_path / 'Thumbs.db').touch()
  (tmp_path / 'b' / 'broken.png').touch()
  monkeypatch.setattr(data, 'load', None)  # nothing is read but the workdir
  copied = tmp_path / 'copied'
  shutil.copytree(run, copied)
  status, out, _ = call_predict(
    monkeypatch, capsys, '--workdir', copied, tmp_path / 'a.png', tmp_path / 'b'
  )
  assert status is None
  expected = np.exp(scores.log_softmax(predict_ensemble(with_data, test, 'none')[:2]))
  for line, file, row in zip(out.splitlines(), files, expected, strict=False):
    name, probability = line.split()[1:3]
    assert line.startswith(str(file)) and name == names[row.argmax()]
    assert float(probability) == pytest.approx(100 * row.max(), abs=0.06)
  assert out.count('%') == 6  # the broken file is left out
  (copied / 'none').mkdir()
  assert call_predict(monkeypatch, capsys, '--workdir', copied, copied / 'none')[0] == 2


@pytest.mark.parametrize('resize', RESIZINGS)
def test_a_picture_is_prepared_as_the_images_of_the_run_were(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, resize: str
) -> None:
  picture = np.random.RandomState(0).randint(0, 256, (20, 50, 3), np.uint8)
  for name in ('cat', 'dog'):
    for i in range(4):
      file = tmp_path / 'images' / name / f'{i}.png'
      file.parent.mkdir(parents=True, exist_ok=True)
      PIL.Image.fromarray(picture).save(file)
  words = ('data.name=folder', f'data.resize={resize}', 'data.image_size=32', 'train.batch_size=2')
  sizes = ('data.validation_size=2', 'data.test_size=2')
  run = fake_run.make(tmp_path / 'run', tmp_path / 'images', *words, *sizes)
  seen: list[np.ndarray] = []

  def record(members: list[Restored], inputs: np.ndarray, tta: str) -> np.ndarray:
    seen.append(inputs)
    return np.eye(2)[:1]

  monkeypatch.setattr(prediction, 'classify', record)
  for _ in range(2):  # the second time they replace their own files
    prediction.classify_files([run], [file], tmp_path / 'seen.png', 'last', 'none', [])
  (member,) = restore_ensemble([run], 'last', [])
  np.testing.assert_array_equal(seen[0], member.experiment.dataset.test.images[:1])
  assert member.experiment.dataset.class_names == ('cat', 'dog')


def test_a_checkpoint_of_an_earlier_version_needs_its_data(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  def earlier(dataset: Dataset) -> dict[str, Any]:
    described = fingerprint(dataset)
    return {key: described[key] for key in described if key not in ('class_names', 'image_shape')}

  monkeypatch.setattr(fake_run, 'fingerprint', earlier)
  run = fake_run.make(tmp_path / 'run', tiny_cifar)
  (member,) = restore_nets([run], 'last', [])
  assert len(member.experiment.dataset.test) == 48


def test_probabilities_sum_to_one(run: pathlib.Path) -> None:
  members = restore_ensemble([run], 'last', [])
  probabilities = classify(members, np.zeros((3, 32, 32, 3), np.uint8), 'none')
  assert probabilities.shape == (3, 10)
  np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_the_batch_of_a_run_without_its_data_is_no_larger_than_the_pictures_need(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  padded: list[int] = []
  split_to_devices = ensemble.split_to_devices

  def record(split: Split, batch_size: int, mesh: Mesh) -> DeviceSplit:
    padded.append(batch_size)
    return split_to_devices(split, batch_size, mesh)

  monkeypatch.setattr(ensemble, 'split_to_devices', record)
  images = np.random.RandomState(0).randint(0, 256, (3, 32, 32, 3), np.uint8)
  without_data, with_data = restore_nets([run], 'last', []), restore_ensemble([run], 'last', [])
  few = classify(without_data, images, 'none')
  np.testing.assert_allclose(few, classify(with_data, images, 'none'), rtol=1e-4)
  assert padded == [3, 20]  # with its data, the rounding of the run is kept


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    (['--workdir', 'RUN'], ['IMAGE']),
    (['--workdir', 'RUN', 'nothing.png'], ['nothing.png', 'No such file']),
    (['--workdir', 'RUN', 'text.png'], ['text.png', 'not an image']),
    (['--workdir', 'nowhere', 'good.png'], ['nowhere', 'no run']),
    (['--workdir', 'RUN', 'good.png', '--out', 'x.jpg'], ['x.jpg', '.png']),
    (['--workdir', 'RUN', 'good.png', '--out', './good.png'], ['good.png', 'to classify']),
    (['--workdir', 'RUN', 'good.png', '--out', 'labels.png'], ['labels.json', 'did not write it']),
    (['--workdir', 'RUN', 'good.png', '--tta', 'twice'], ['twice', 'ten_crop']),
    (['--workdir', 'RUN', 'good.png', '--config.data.sed=1'], ['sed', 'seed']),
  ],
)
def test_bad_input_is_refused_in_one_line(
  run: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
  arguments: list[str],
  words: list[str],
) -> None:
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'text.png').write_text('a picture')
  (tmp_path / 'labels.json').write_text('{"good.png": "cat"}')
  PIL.Image.new('RGB', (5, 5)).save('good.png')
  before = {path: path.read_bytes() for path in tmp_path.iterdir()}
  with_run = [str(run) if word == 'RUN' else word for word in arguments]
  status, out, err = call_predict(monkeypatch, capsys, *with_run)
  assert status == 2 and err.count('\n') == 1 and out == ''
  assert all(word in err for word in words), err
  assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
