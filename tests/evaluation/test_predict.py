"""The command `predict`, on image files."""

import pathlib

import numpy as np
import PIL.Image
import pytest

from cifar_jax import cli, predict
from cifar_jax.evaluation.ensemble import predict_ensemble, restore_ensemble
from cifar_jax.evaluation.predict import classify
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


def test_probabilities_sum_to_one(run: pathlib.Path) -> None:
  members = restore_ensemble([run], 'last', [])
  probabilities = classify(members, np.zeros((3, 32, 32, 3), np.uint8), 'none')
  assert probabilities.shape == (3, 10)
  np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    (['--workdir', 'RUN'], ['IMAGE']),
    (['--workdir', 'RUN', 'nothing.png'], ['nothing.png', 'No such file']),
    (['--workdir', 'RUN', 'text.png'], ['text.png', 'not an image']),
    (['--workdir', 'nowhere', 'good.png'], ['nowhere', 'no run']),
    (['--workdir', 'RUN', 'good.png', '--out', 'x.jpg'], ['x.jpg', '.png']),
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
  PIL.Image.new('RGB', (5, 5)).save('good.png')
  with_run = [str(run) if word == 'RUN' else word for word in arguments]
  status, out, err = call_predict(monkeypatch, capsys, *with_run)
  assert status == 2 and err.count('\n') == 1 and out == ''
  assert all(word in err for word in words), err
