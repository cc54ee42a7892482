"""The command `evaluate` on runs and on files: values, files, views, ensembles, refusals."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from data import fake_run
from fake_cifar import message

from cifar_jax import checkpoint, ensemble, evaluate, restore, scores, workdir
from cifar_jax.augment import views


@pytest.fixture(scope='module')
def run(tiny_cifar, tmp_path_factory):
  return fake_run.make(tmp_path_factory.mktemp('runs') / 'one', tiny_cifar)


@pytest.fixture(scope='module')
def sharper(tiny_cifar, tmp_path_factory):
  folder = tmp_path_factory.mktemp('runs') / 'two'
  return fake_run.make(folder, tiny_cifar, sharpness=3.0)


@pytest.fixture(scope='module')
def restored(run):
  return restore.restore(run, 'last', [])


def forward(restored, view) -> np.ndarray:
  """Logits of the test images, `[48, 10]`, without the step that is tested."""
  parts, state = restored.parts, restored.state
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  images = view(parts.normalize(parts.dataset.test.images))
  return np.asarray(jax.jit(lambda x: parts.model.apply(variables, x, train=False))(images))


def test_the_logits_are_the_models_for_every_image_once(restored):
  # 48 images in batches of 20: the last is padded.
  logits = ensemble.predict([restored], restored.parts.dataset.test, 'none')
  np.testing.assert_allclose(logits, forward(restored, lambda x: x), rtol=1e-4, atol=1e-5)


def test_views_average_probabilities(restored):
  logits = ensemble.predict([restored], restored.parts.dataset.test, 'flip')
  both = [forward(restored, lambda x: x), forward(restored, lambda x: x[:, :, ::-1])]
  probabilities = np.mean(np.exp(scores.log_softmax(np.stack(both))), axis=0)
  np.testing.assert_allclose(np.exp(logits), probabilities, rtol=1e-4, atol=1e-6)


def test_views_count_by_their_weights(restored):
  logits = ensemble.predict([restored], restored.parts.dataset.test, 'flip_shift')
  made = views.make('flip_shift', restored.parts.augmentation)
  six = [forward(restored, lambda x, i=i: made(x)[i]) for i in range(6)]
  shares = np.exp(scores.log_softmax(np.stack(six)))
  expected = 0.25 * shares[:2].sum(axis=0) + 0.125 * shares[2:].sum(axis=0)
  np.testing.assert_allclose(np.exp(logits), expected, rtol=1e-4, atol=1e-6)
  assert np.abs(shares.mean(axis=0) - expected).max() > 1e-4


def test_an_ensemble_averages_probabilities(run, sharper, restored):
  members = ensemble.restore([run, sharper], 'last', [])
  split = restored.parts.dataset.test
  logits = ensemble.predict(members, split, 'none')
  alone = [ensemble.predict([member], split, 'none') for member in members]
  probabilities = np.mean(np.exp(scores.log_softmax(np.stack(alone))), axis=0)
  np.testing.assert_allclose(np.exp(logits), probabilities, rtol=1e-5)
  assert np.abs(alone[0] - alone[1]).max() > 0.1


def test_what_a_run_leaves_and_that_a_file_of_it_says_the_same(run, restored, tmp_path, capsys):
  evaluate.evaluate_runs([run], 'test', 'last', 'none', [], None)
  out = run / 'evaluation'
  pictures = ('confusion_matrix', 'mistakes', 'reliability')
  assert {path.name for path in out.iterdir()} == {
    'test_last.json', 'test_last.npz', *(f'test_last_{name}.png' for name in pictures),
  }  # fmt: skip
  assert all((out / f'test_last_{name}.png').read_bytes()[:4] == b'\x89PNG' for name in pictures)

  values = json.loads((out / 'test_last.json').read_text())
  logits, labels = forward(restored, lambda x: x), restored.parts.dataset.test.labels
  right = np.argmax(logits, axis=1) == labels
  assert values['num_correct'] == right.sum() and values['accuracy'] == right.mean()
  assert values['loss'] == pytest.approx(
    -scores.log_softmax(logits)[range(48), labels].mean(), 1e-4
  )
  assert np.sum(values['confusion_matrix']) == 48
  assert sum(row['images'] for row in values['classes']) == 48
  confidence = [mistake['confidence'] for mistake in values['most_confident_mistakes']]
  assert confidence == sorted(confidence, reverse=True) and len(confidence) == 20
  assert all(labels[m['index']] != np.argmax(logits[m['index']]) for m in
             values['most_confident_mistakes'])  # fmt: skip
  assert values['members'] == [{'workdir': str(run), 'model': 'resnet8', 'step': 3}]
  assert f'accuracy        {100 * right.mean():.2f} %' in capsys.readouterr().out

  evaluate.evaluate_file(str(out / 'test_last.npz'), 'test', [], tmp_path)
  again = json.loads((tmp_path / 'one_test_last.json').read_text())
  assert again == {key: values[key] for key in again}
  assert not (tmp_path / 'one_test_last_mistakes.png').exists()  # the file has no images


def test_nothing_is_overwritten_by_another_split_view_checkpoint_or_ensemble(
  run, sharper, tmp_path, monkeypatch
):
  nothing = lambda members, split, tta: np.zeros((len(split), 10), np.float32)  # noqa: E731
  monkeypatch.setattr(ensemble, 'predict', nothing)
  monkeypatch.setattr(evaluate.verdict, 'write', lambda *_: None)
  for runs, split, which, tta in (
    ([run], 'test', 'last', 'none'),
    ([run], 'validation', 'last', 'none'),
    ([run], 'test', 'best', 'none'),
    ([run], 'test', 'last', 'ten_crop'),
    ([run, sharper], 'test', 'last', 'none'),
    ([run, run], 'test', 'last', 'none'),
  ):
    evaluate.evaluate_runs(runs, split, which, tta, [], tmp_path)
  assert len(list(tmp_path.iterdir())) == 6


def test_published_predictions_are_held_against_the_data(tiny_cifar, restored, tmp_path, capsys):
  labels = restored.parts.dataset.test.labels
  wrong = (labels + (np.arange(48) < 12)) % 10
  np.savez(tmp_path / 'x.npz', good=labels.astype(np.uint8), bad=wrong.astype(np.uint8))
  overrides = [f'--config.data.data_dir={tiny_cifar}', '--config.data.validation_size=40']
  evaluate.evaluate_file(str(tmp_path / 'x.npz'), 'test', overrides, tmp_path / 'out')
  told = capsys.readouterr().out
  assert 'good  error   0.00 %' in told and 'bad   error  25.00 %' in told
  values = json.loads((tmp_path / 'out' / 'bad.json').read_text())
  assert values['error_percent'] == 25 and 'loss' not in values and 'calibration' not in values
  assert {path.suffix for path in (tmp_path / 'out').iterdir()} == {'.json', '.png'}


def test_a_checkpoint_that_the_run_deletes_meanwhile_is_looked_up_again(
  tiny_cifar, tmp_path, monkeypatch
):
  run = fake_run.make(tmp_path / 'run', tiny_cifar, steps=(1, 2))
  read = checkpoint.Checkpoints.restore

  def deleted_first(self, step, abstract):
    if step == 2:
      shutil.rmtree(run / workdir.CHECKPOINTS / '2')
    return read(self, step, abstract)

  monkeypatch.setattr(checkpoint.Checkpoints, 'restore', deleted_first)
  before = sorted(path.name for path in run.rglob('*'))
  assert restore.restore(run, 'last', []).step == 1
  assert set(path.name for path in run.rglob('*')) <= set(before)  # read only


def test_the_best_checkpoint_is_by_validation_accuracy(tiny_cifar, tmp_path):
  run = fake_run.make(tmp_path / 'run', tiny_cifar, steps=(1, 2))
  assert restore.restore(run, 'best', []).step == 1
  assert restore.restore(run, 'last', []).step == 2


def test_refusals(run, tiny_cifar, tmp_path):
  other = fake_run.make(tmp_path / 'other', tiny_cifar, 'data.validation_size=20')
  assert 'other data' in message(lambda: ensemble.restore([run, other], 'last', []))
  uncropped = fake_run.make(tmp_path / 'uncropped', tiny_cifar, 'augment.pad=0')
  (member,) = ensemble.restore([uncropped], 'last', [])
  split = member.parts.dataset.test
  assert 'augment.pad' in message(lambda: ensemble.predict([member], split, 'five_crop'))
  file = tmp_path / 'file'
  file.touch()
  call = lambda: evaluate.evaluate_runs([run], 'test', 'last', 'none', [], file / 'x')  # noqa: E731
  assert 'cannot write' in message(call)
  assert 'train images' in message(lambda: evaluate.split_of(_empty(member), 'train'))
  assert '--config.data' in message(lambda: evaluate.load_truth('test', ['--config.seed=1']))
  np.savez(tmp_path / 'x.npz', labels=[0, 1], class_names=['a', 'b'], net=np.array([0, 1]))
  overrides = [f'--config.data.data_dir={tiny_cifar}', '--config.data.validation_size=40']
  assert 'other labels' in message(
    lambda: evaluate.evaluate_file(str(tmp_path / 'x.npz'), 'test', overrides, tmp_path / 'out')
  )
  assert not (tmp_path / 'out').exists()


def _empty(member):
  dataset = member.parts.dataset
  return dataclasses.replace(dataset, train=dataset.train.take(np.arange(0)))
