"""The command `evaluate`, and restored runs and ensembles: values, files, views, wrong input."""

import dataclasses
import functools
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.augment import views
from cifar_jax.data.dataset import Dataset, Split, select_split
from cifar_jax.errors import InputError
from cifar_jax.evaluation import evaluate, result_scorecard, scorecard, scores, trial
from cifar_jax.evaluation.ensemble import predict_ensemble, restore_ensemble, restore_nets
from cifar_jax.evaluation.restore import Restored, restore_run
from cifar_jax.evaluation.sources import load_ground_truth
from cifar_jax.evaluation.trial import open_trial
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import CHECKPOINTS
from cifar_jax.runtime import package_code
from tests.support import fake_run
from tests.support.fake_cifar import message

View = Callable[[jax.Array], jax.Array]


@pytest.fixture(scope='module')
def run(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  return fake_run.make(tmp_path_factory.mktemp('runs') / 'one', tiny_cifar)


@pytest.fixture(scope='module')
def sharper(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp('runs') / 'two'
  return fake_run.make(folder, tiny_cifar, sharpness=3.0)


@pytest.fixture(scope='module')
def restored(run: pathlib.Path) -> Restored:
  return restore_run(run, 'last', [])


def same(images: jax.Array) -> jax.Array:
  return images


@functools.cache
def compiled(model: nn.Module) -> Callable[[Any, jax.Array], Any]:
  """The jitted function of a net that gives logits for its variables and images."""
  return jax.jit(functools.partial(model.apply, train=False))


def forward(restored: Restored, view: View) -> np.ndarray:
  """Logits of the test images, `[48, 10]`, computed without the evaluation step."""
  experiment, state = restored.experiment, restored.state
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  images = view(experiment.normalize(jnp.asarray(experiment.dataset.test.images)))
  return np.asarray(compiled(experiment.model)(variables, images))


def test_logits_are_those_of_the_model_for_every_image_once(restored: Restored) -> None:
  # 48 images in batches of 20: the last batch is padded.
  logits = predict_ensemble([restored], restored.experiment.dataset.test, 'none')
  np.testing.assert_allclose(logits, forward(restored, same), rtol=1e-4, atol=1e-5)


def test_a_net_whose_outputs_are_not_finite_is_not_evaluated(restored: Restored) -> None:
  params = jax.tree.map(lambda leaf: leaf * np.nan, restored.state.params)
  spoiled = dataclasses.replace(restored, state=dataclasses.replace(restored.state, params=params))
  split = restored.experiment.dataset.test
  text = message(lambda: predict_ensemble([spoiled], split, 'none'))
  assert text == f'{restored.workdir}: the outputs of its net are not finite: it diverged'


def test_views_average_probabilities(restored: Restored) -> None:
  logits = predict_ensemble([restored], restored.experiment.dataset.test, 'flip')
  both = [forward(restored, same), forward(restored, lambda x: x[:, :, ::-1])]
  probabilities = np.mean(np.exp(scores.log_softmax(np.stack(both))), axis=0)
  np.testing.assert_allclose(np.exp(logits), probabilities, rtol=1e-4, atol=1e-6)


def test_views_are_averaged_by_their_weights(restored: Restored) -> None:
  logits = predict_ensemble([restored], restored.experiment.dataset.test, 'flip_shift')
  flip_shift = views.make('flip_shift', restored.experiment.augmentation)

  def select(index: int) -> View:
    return lambda images: flip_shift(images)[index]

  each_view = np.stack([forward(restored, select(index)) for index in range(6)])
  probabilities = np.exp(scores.log_softmax(each_view))
  expected = 0.25 * probabilities[:2].sum(axis=0) + 0.125 * probabilities[2:].sum(axis=0)
  np.testing.assert_allclose(np.exp(logits), expected, rtol=1e-4, atol=1e-6)
  assert np.abs(probabilities.mean(axis=0) - expected).max() > 1e-4


def test_an_ensemble_averages_probabilities(
  run: pathlib.Path, sharper: pathlib.Path, restored: Restored
) -> None:
  members = restore_ensemble([run, sharper], 'last', [])
  split = restored.experiment.dataset.test
  logits = predict_ensemble(members, split, 'none')
  each_member = [predict_ensemble([member], split, 'none') for member in members]
  probabilities = np.mean(np.exp(scores.log_softmax(np.stack(each_member))), axis=0)
  np.testing.assert_allclose(np.exp(logits), probabilities, rtol=1e-5)
  assert np.abs(each_member[0] - each_member[1]).max() > 0.1


def test_an_ensemble_has_each_net_once(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
  copy = shutil.copytree(run, tmp_path / 'copy')
  for restore in (restore_ensemble, restore_nets):
    for twice in ([run, run], [run, copy]):
      text = message(functools.partial(restore, twice, 'last', []))
      assert text.startswith(f'{twice[1]} has the same weights as {run}')


def test_an_evaluation_of_another_best_checkpoint_than_the_results_has_its_step_in_its_name(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = fake_run.make(tmp_path / 'run', tiny_cifar, steps=(2, 3))
  stem = lambda: open_trial([run], 'best', 'none', []).file_stem('test')  # noqa: E731
  assert stem() == 'test_best_step2'  # no result yet
  at_best = {'step': 3, 'epoch': 1, 'test': {'accuracy': 0.5}}
  result = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 1.0, 'device': 'cpu'}
  for step, expected in ((3, 'test_best_step2'), (2, 'test_best')):
    best = {'num_steps': 3, 'best': at_best | {'step': step}}
    (run / 'result.json').write_text(json.dumps(result | best))
    assert stem() == expected


def test_evaluating_a_run_writes_values_predictions_and_pictures(
  run: pathlib.Path,
  restored: Restored,
  tmp_path: pathlib.Path,
) -> None:
  _, lines = evaluate.evaluate_runs([run], 'test', 'last', 'none', [], None)
  out = run / 'evaluation'
  pictures = ('confusion_matrix', 'mistakes', 'reliability')
  assert {path.name for path in out.iterdir()} == {
    *('test_step3.json', 'test_step3.npz', 'test_step3_mistakes.json'),
    *(f'test_step3_{name}.png' for name in pictures),
  }  # fmt: skip
  assert all((out / f'test_step3_{name}.png').read_bytes()[:4] == b'\x89PNG' for name in pictures)

  values = json.loads((out / 'test_step3.json').read_text())
  logits, labels = forward(restored, same), restored.experiment.dataset.test.labels
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
  assert f'accuracy        {100 * right.mean():.2f} %' in '\n'.join(lines)

  # The prediction file of the run has the same scorecard.
  evaluate.evaluate_file(str(out / 'test_step3.npz'), 'test', [], tmp_path)
  from_file = json.loads((tmp_path / 'one_test_step3.json').read_text())
  assert from_file.pop('sources') == [str(out / 'test_step3.npz'), 'the test split']
  assert from_file == {key: values[key] for key in from_file}
  assert not (tmp_path / 'one_test_step3_mistakes.png').exists()  # the file has no images


def test_an_evaluation_of_an_older_checkpoint_does_not_replace_the_one_of_the_result(
  sharper: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  files = sharper / 'evaluation'

  def evaluate_while_the_run_ends(num_steps: int) -> None:
    # As `main` does that ends while this command computes.
    def predict_zeros(members: list[Restored], split: Split, tta: str) -> np.ndarray:
      monkeypatch.setattr(trial, 'read_result', lambda run: {'num_steps': num_steps})
      return np.zeros((len(split), 10), np.float32)

    monkeypatch.setattr(evaluate, 'predict_ensemble', predict_zeros)
    evaluate.evaluate_runs([sharper], 'test', 'last', 'none', [], None)

  evaluate_while_the_run_ends(9)
  assert {path.name for path in files.glob('*.json')} == {
    *('test_step3.json', 'test_step3_mistakes.json')
  }
  evaluate_while_the_run_ends(3)
  result = {'seed': 0, 'num_steps': 3}
  assert result_scorecard.read(sharper, result) == json.loads(
    (files / 'test_last.json').read_text()
  )
  with pytest.raises(InputError, match='is of step 3, and the result is of 9'):
    result_scorecard.read(sharper, result | {'num_steps': 9})


@pytest.mark.ci
def test_file_names_differ_by_split_views_checkpoint_and_ensemble(
  run: pathlib.Path,
  sharper: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  def predict_zeros(members: list[Restored], split: Split, tta: str) -> np.ndarray:
    return np.zeros((len(split), 10), np.float32)

  monkeypatch.setattr(evaluate, 'predict_ensemble', predict_zeros)
  monkeypatch.setattr(scorecard, 'draw', lambda *_: None)
  for runs, split, checkpoint, tta in (
    ([run], 'test', 'last', 'none'),
    ([run], 'validation', 'last', 'none'),
    ([run], 'test', 'best', 'none'),
    ([run], 'test', 'last', 'ten_crop'),
    ([run, sharper], 'test', 'last', 'none'),
    ([sharper, run], 'test', 'last', 'none'),
  ):
    evaluate.evaluate_runs(runs, split, checkpoint, tta, [], tmp_path)
  assert len(list(tmp_path.glob('*.npz'))) == len(list(tmp_path.glob('*.json'))) == 6


def test_published_predictions_are_scored_by_the_labels_of_the_data(
  tiny_cifar: pathlib.Path,
  restored: Restored,
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
) -> None:
  labels = restored.experiment.dataset.test.labels
  wrong = (labels + (np.arange(48) < 12)) % 10
  np.savez(tmp_path / 'x.npz', good=labels.astype(np.uint8), bad=wrong.astype(np.uint8))
  overrides = [f'--config.data.data_dir={tiny_cifar}', '--config.data.validation_size=40']
  evaluate.evaluate_file(str(tmp_path / 'x.npz'), 'test', overrides, tmp_path / 'out')
  printed = capsys.readouterr().out
  assert 'good  error   0.00 %' in printed and 'bad   error  25.00 %' in printed
  values = json.loads((tmp_path / 'out' / 'bad.json').read_text())
  assert values['error_percent'] == 25 and 'loss' not in values and 'calibration' not in values
  assert {path.suffix for path in (tmp_path / 'out').iterdir()} == {'.json', '.png'}


def test_another_checkpoint_is_restored_when_the_run_deletes_the_first(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  run = fake_run.make(tmp_path / 'run', tiny_cifar, steps=(1, 2))
  restore = Checkpoints.restore

  def restore_after_deletion(self: Checkpoints, step: int, abstract: Any) -> Any:
    if step == 2:
      shutil.rmtree(run / CHECKPOINTS / '2')
    return restore(self, step, abstract)

  monkeypatch.setattr(Checkpoints, 'restore', restore_after_deletion)
  before = sorted(path.name for path in run.rglob('*'))
  assert restore_run(run, 'last', []).step == 1
  assert set(path.name for path in run.rglob('*')) <= set(before)  # nothing was written


def test_the_best_checkpoint_has_the_highest_validation_accuracy(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = fake_run.make(tmp_path / 'run', tiny_cifar, steps=(1, 2))
  assert restore_run(run, 'best', []).step == 1
  assert restore_run(run, 'last', []).step == 2


def test_wrong_input_is_refused_in_one_line(
  run: pathlib.Path, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  other = fake_run.make(tmp_path / 'other', tiny_cifar, 'data.validation_size=20')
  assert 'other data' in message(lambda: restore_ensemble([run, other], 'last', []))
  uncropped = fake_run.make(tmp_path / 'uncropped', tiny_cifar, 'augment.pad=0')
  (member,) = restore_ensemble([uncropped], 'last', [])
  split = member.experiment.dataset.test
  assert 'augment.pad' in message(lambda: predict_ensemble([member], split, 'five_crop'))
  file = tmp_path / 'file'
  file.touch()
  assert 'cannot write' in message(
    lambda: evaluate.evaluate_runs([run], 'test', 'last', 'none', [], file / 'x')
  )
  assert 'train images' in message(
    lambda: select_split(without_training_images(member.experiment.dataset), 'train')
  )
  assert '--config.data' in message(lambda: load_ground_truth('test', ['--config.seed=1']))
  np.savez(tmp_path / 'x.npz', labels=[0, 1], class_names=['a', 'b'], net=np.array([0, 1]))
  overrides = [f'--config.data.data_dir={tiny_cifar}', '--config.data.validation_size=40']
  assert 'the labels differ' in message(
    lambda: evaluate.evaluate_file(str(tmp_path / 'x.npz'), 'test', overrides, tmp_path / 'out')
  )
  for second in ('a_b', 'a/b_mistakes'):
    both: dict[str, Any] = {'a/b': [0, 1], second: [1, 1]}
    np.savez(tmp_path / 'y.npz', labels=[0, 1], class_names=['a', 'b'], **both)
    assert 'would have the same file' in message(
      lambda: evaluate.evaluate_file(str(tmp_path / 'y.npz'), 'test', [], tmp_path / 'out')
    )
  assert not (tmp_path / 'out').exists()
  np.savez(tmp_path / 'z.npz', labels=[0, 1], class_names=['a', 'b'], notes=np.array([0, 1]))
  scorecard_of_run = {'error_percent': 1.0, 'accuracy_interval': [0, 1], 'members': []}
  for content in ('{"mine": 1}', json.dumps(scorecard_of_run)):
    (tmp_path / 'notes.json').write_text(content)
    assert 'notes.json would be replaced' in message(
      lambda: evaluate.evaluate_file(str(tmp_path / 'z.npz'), 'test', [], tmp_path)
    )


def without_training_images(dataset: Dataset) -> Dataset:
  return dataclasses.replace(dataset, train=dataset.train.take(np.arange(0)))


def test_evaluations_of_two_runs_do_not_replace_each_other(
  run: pathlib.Path, sharper: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:

  monkeypatch.setattr(scorecard, 'draw', lambda *_: None)

  def predict_zeros(members: list[Restored], split: Split, tta: str) -> np.ndarray:
    return np.zeros((len(split), 10), np.float32)

  monkeypatch.setattr(evaluate, 'predict_ensemble', predict_zeros)

  def evaluated(workdir: pathlib.Path) -> None:
    evaluate.evaluate_runs([workdir], 'test', 'last', 'none', [], tmp_path)

  for _ in range(2):
    evaluated(run)
  text = message(lambda: evaluated(sharper))
  assert f'test_step3.json is of {run}: give another --out' in text
  (tmp_path / 'elsewhere').mkdir()
  (tmp_path / 'elsewhere' / run.name).symlink_to(sharper)
  monkeypatch.chdir(run.parent)
  evaluated(pathlib.Path(run.name))
  monkeypatch.chdir(tmp_path / 'elsewhere')  # where the same words mean another run
  assert f'is of {run}: give another' in message(lambda: evaluated(pathlib.Path(run.name)))
  (tmp_path / 'test_step3.json').write_text('{"mine": 1}')
  assert 'test_step3.json would be replaced' in message(lambda: evaluated(run))


def test_prediction_files_of_one_name_do_not_replace_each_other(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.chdir(tmp_path)
  for folder in 'ab':
    (tmp_path / folder).mkdir()
    np.savez(tmp_path / folder / 'x.npz', labels=[0, 1], class_names=['a', 'b'], net=[0, 1])
  for _ in range(2):
    evaluate.evaluate_file('a/x.npz', 'test', [], None)
  text = message(lambda: evaluate.evaluate_file('b/x.npz', 'test', [], None))
  assert f'net.json is of {tmp_path}/a/x.npz: give another --out' in text
  text = message(lambda: evaluate.evaluate_file('a/x.npz', 'validation', [], None))
  assert 'net.json is of the test split: give another --out' in text


def test_a_run_that_lost_its_last_checkpoint_is_read_with_a_warning(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  run = fake_run.make(tmp_path / 'run', tiny_cifar, steps=(1, 2))
  for end, is_warned in ((2, False), (3, True)):
    result = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 1.0, 'device': 'cpu'}
    (run / 'result.json').write_text(json.dumps(result | {'num_steps': end}))
    caplog.clear()
    assert restore_run(run, 'last', []).step == 2
    words = 'finished at step 3, and its newest intact checkpoint is of step 2'
    assert (words in caplog.text) == is_warned


def test_other_code_of_the_package_than_that_of_the_run_is_a_warning(
  run: pathlib.Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
  read = Checkpoints.restore

  def with_code(self: Checkpoints, step: int, abstract: Any) -> Any:
    state, run_info = read(self, step, abstract)
    return state, run_info | {'codes': ['abc', 'def']}

  monkeypatch.setattr(Checkpoints, 'restore', with_code)
  for code, is_warned in (('def', False), ('abc', True)):
    monkeypatch.setattr(package_code, 'digest', lambda: code)  # noqa: B023
    caplog.clear()
    restore_run(run, 'last', [])
    assert ('other code of this package (def) than this (abc)' in caplog.text) == is_warned
