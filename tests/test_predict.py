"""The command `predict` on pictures of one's own."""

import numpy as np
import PIL.Image
import pytest
from data import fake_run

from cifar_jax import command, ensemble, predict


@pytest.fixture(scope='module')
def run(tiny_cifar, tmp_path_factory):
  return fake_run.make(tmp_path_factory.mktemp('runs') / 'run', tiny_cifar)


def call(monkeypatch, capsys, *arguments):
  monkeypatch.setattr('sys.argv', ['predict', *map(str, arguments)])
  with pytest.raises(SystemExit) as exit_:
    command.run(predict.main)
  return exit_.value.code, capsys.readouterr()


def test_pictures_are_classified_as_the_same_images_of_a_split(run, tmp_path, monkeypatch, capsys):
  (member,) = ensemble.restore([run], 'last', [])
  test, names = member.parts.dataset.test, member.parts.dataset.class_names
  files = [tmp_path / '0.png', tmp_path / 'large.bmp']
  PIL.Image.fromarray(test.images[0]).save(files[0])
  large = PIL.Image.fromarray(test.images[1].repeat(4, axis=0).repeat(4, axis=1))
  large.save(files[1])
  status, told = call(monkeypatch, capsys, '--workdir', run, *files)
  assert status is None
  expected = np.argmax(ensemble.predict([member], test, 'none')[:2], axis=1)
  lines = told.out.splitlines()
  assert [line.split()[:2] for line in lines[:2]] == [
    [str(file), names[label]] for file, label in zip(files, expected, strict=True)
  ]
  assert lines[0].count('%') == 3
  assert (run / 'evaluation' / 'own_pictures.png').read_bytes().startswith(b'\x89PNG')


def test_probabilities_sum_to_one(run):
  members = ensemble.restore([run], 'last', [])
  found = predict.classify(members, np.zeros((3, 32, 32, 3), np.uint8), 'none')
  assert found.shape == (3, 10)
  np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


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
def test_bad_input_is_one_line(run, tmp_path, monkeypatch, capsys, arguments, words):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'text.png').write_text('a picture')
  PIL.Image.new('RGB', (5, 5)).save('good.png')
  arguments = [run if word == 'RUN' else word for word in arguments]
  status, told = call(monkeypatch, capsys, *arguments)
  assert status == 2 and told.err.count('\n') == 1 and told.out == ''
  assert all(word in told.err for word in words), told.err
