"""The command `compare`, on predictions whose comparison can be computed by hand."""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import numpy as np
import pytest

from cifar_jax import compare as command
from cifar_jax.evaluation import compare, sources
from cifar_jax.evaluation.predictions import GroundTruth, Predictions, write_predictions
from cifar_jax.evaluation.sources import collect_predictions, load_ground_truth
from tests.support import fake_run
from tests.support.fake_cifar import message

LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1], np.int32)
TRUTH = GroundTruth(LABELS, ('cat', 'dog', 'eel'), np.zeros((8, 4, 4, 3), np.uint8))


def wrong_on(name: str, *indices: int) -> Predictions:
  """Predictions that are wrong on the images at `indices` and right on the rest."""
  predicted = LABELS.copy()
  predicted[list(indices)] = (predicted[list(indices)] + 1) % 3
  return Predictions(name, predicted)


MODELS = [wrong_on('poor', 0, 1, 2, 3), wrong_on('good', 0), wrong_on('fair', 0, 1)]


def test_measures_are_those_computed_by_hand() -> None:
  compared = compare.compare_models(MODELS, TRUTH)
  assert [(row['name'], row['error_percent']) for row in compared['models']] == [
    ('good', 12.5), ('fair', 25.0), ('poor', 50.0),
  ]  # fmt: skip
  good_poor = compared['pairs'][1]
  assert (good_poor['first'], good_poor['second']) == ('good', 'poor')
  assert good_poor['agreement'] == 5 / 8
  # They agree in being right on 5 of 8. They are right on 7/8 and 4/8, so independent models would
  # agree on 7/16 + 1/16.
  assert good_poor['error_consistency'] == pytest.approx((5 / 8 - 1 / 2) / (1 / 2))
  assert (good_poor['only_first_right'], good_poor['only_second_right']) == (3, 0)
  assert good_poor['mcnemar_p'] == pytest.approx(2 / 2**3)
  assert compared['all_fail'] == [0] and compared['num_images'] == 8
  table = '\n'.join(compare.lines(compared))
  assert 'good  error  12.50 %' in table and 'all fail on 1 of 8 images' in table
  assert 'good and poor: agreement 62.50 %, error consistency 0.250' in table


def test_many_pairs_are_summarised_in_one_line() -> None:
  compared = compare.compare_models([wrong_on(f'm{i}', i, 7) for i in range(6)], TRUTH)
  table = compare.lines(compared)
  assert len(compared['pairs']) == 15 and '15 pairs' in table[-2] and '15 differ by' in table[-2]


def test_many_pairs_of_models_without_errors_are_summarised_too() -> None:
  compared = compare.compare_models([wrong_on(f'm{i}') for i in range(6)], TRUTH)
  assert 'error consistency undefined; 15 differ by' in compare.lines(compared)[-2]


def test_runs_with_the_same_labels_and_other_images_are_not_compared(
  monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
  """Folders with equally many images of each class have the same labels."""
  larger = np.ones((8, 8, 8, 3), np.uint8)  # the same images in another size may be compared
  truths = {
    'one': TRUTH,
    'pixels': dataclasses.replace(TRUTH, images=np.ones((8, 4, 4, 3), np.uint8)),
    'names': GroundTruth(LABELS, ('cat', 'dog', 'fox'), larger),
    'size': dataclasses.replace(TRUTH, images=larger),
  }
  predicted = []

  def open_run(
    run: object, name: str, *_: object
  ) -> tuple[GroundTruth, Callable[[], list[Predictions]]]:
    def predict() -> list[Predictions]:
      predicted.append(name)
      return [wrong_on(name)]

    return truths[name], predict

  monkeypatch.setattr(sources, '_open_run', open_run)
  for other, words in {'pixels': 'the images differ', 'names': 'the classes differ'}.items():
    refusal = message(lambda: collect_predictions(['one', other], 'test', 'last', 'none', []))  # noqa: B023
    assert words in refusal and not predicted  # which would take long, for nothing
  assert not caplog.messages
  models, _ = collect_predictions(['one', 'size'], 'test', 'last', 'none', [])
  assert [model.name for model in models] == ['one', 'size']
  (text,) = caplog.messages
  assert text.startswith('size: the images have another size than those of one, so that only')


def test_files_of_other_sizes_are_compared_with_each_other_too(tmp_path: pathlib.Path) -> None:
  """The first one says nothing of the others, whose images have another size."""
  files = []
  for name, images_hash in {
    'small': '8x4x4x3 11',
    'one': '8x8x8x3 22',
    'two': '8x8x8x3 33',
  }.items():
    files.append(str(tmp_path / f'{name}.npz'))
    truth = GroundTruth(LABELS, TRUTH.class_names, images_hash=images_hash)
    write_predictions(pathlib.Path(files[-1]), truth, wrong_on(name))
  refusal = message(lambda: collect_predictions(files, 'test', 'last', 'none', []))
  assert refusal.startswith(f'{files[2]} is not of the same images as {files[1]}: the images')


def test_files_that_runs_wrote_of_other_images_are_not_compared(tmp_path: pathlib.Path) -> None:
  others = {
    'pixels': dataclasses.replace(TRUTH, images=np.ones((8, 4, 4, 3), np.uint8)),
    'names': GroundTruth(LABELS, ('cat', 'dog', 'fox')),
  }
  for name, truth in {'one': TRUTH, **others}.items():
    write_predictions(tmp_path / f'{name}.npz', truth, wrong_on(name))
  for other, words in {'pixels': 'the images differ', 'names': 'the classes differ'}.items():
    files = [str(tmp_path / f'{name}.npz') for name in ('one', other)]
    refusal = message(lambda: collect_predictions(files, 'test', 'last', 'none', []))  # noqa: B023
    assert words in refusal


def test_error_consistency_of_models_without_errors_is_null_in_json(tmp_path: pathlib.Path) -> None:
  models = [wrong_on('a'), wrong_on('b')]
  compared = compare.compare_models(models, TRUTH)
  assert compared['pairs'][0]['error_consistency'] is None
  assert 'undefined' in '\n'.join(compare.lines(compared))
  compare.write(tmp_path, compared, models, TRUTH)
  assert {path.name for path in tmp_path.iterdir()} == {'comparison.json', 'comparison.png'}


def test_a_p_value_too_small_for_a_float_is_not_zero() -> None:
  labels = np.zeros(4000, np.int32)
  models = [Predictions('right', labels), Predictions('wrong', labels + 1)]
  compared = compare.compare_models(models, GroundTruth(labels, ('cat', 'dog')))
  assert compared['pairs'][0]['only_first_right'] == 4000
  assert 'McNemar p < 5e-324' in '\n'.join(compare.lines(compared))


def test_runs_and_prediction_files_are_compared(
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  capsys: pytest.CaptureFixture[str],
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  run = fake_run.make(tmp_path / 'run', tiny_cifar)
  truth = load_ground_truth(
    'test', [f'--config.data.data_dir={tiny_cifar}', '--config.data.validation_size=40']
  )
  published, labelled = tmp_path / 'published.npz', tmp_path / 'labelled.npz'
  np.savez(published, a=truth.labels, b=(truth.labels + 1) % 10)
  write_predictions(labelled, truth, Predictions('a', truth.labels))
  words = [str(run), str(published), str(labelled)]
  monkeypatch.setattr('sys.argv', ['compare', *words, '--out', str(tmp_path / 'out')])
  command.main()
  compared = json.loads((tmp_path / 'out' / 'comparison.json').read_text())
  names = [row['name'] for row in compared['models']]
  assert names == ['a', 'a 2', 'run after 3 steps', 'b'] and compared['num_images'] == 48
  assert (compared['split'], compared['checkpoint'], compared['tta']) == ('test', 'last', 'none')
  printed = capsys.readouterr().out
  assert (
    printed.startswith('48 test images; of runs the last checkpoint\n') and 'written' in printed
  )
  (tmp_path / 'out' / 'comparison.json').write_text('{"mine": 1}')
  assert 'comparison.json would be replaced' in message(command.main)
  (tmp_path / 'out' / 'comparison.json').unlink()  # then the pictures are not of this program
  assert 'comparison.png would be replaced' in message(command.main)


def test_a_run_that_was_trained_on_the_images_says_so_in_its_name(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  runs = [
    fake_run.make(tmp_path / f'seed{seed}', tiny_cifar, f'data.seed={seed}') for seed in (0, 1)
  ]
  of_first = [f'--config.data.{word}' for word in ('name=cifar10', 'validation_size=40', 'seed=0')]
  words = [*of_first, f'--config.data.data_dir={tiny_cifar}']
  models, _ = collect_predictions([*map(str, runs)], 'validation', 'last', 'none', words)
  assert all('(trained on or chosen by 40 of the images)' in model.name for model in models)


def test_sources_of_other_images_are_refused(tmp_path: pathlib.Path) -> None:
  short, long = tmp_path / 'short.npz', tmp_path / 'long.npz'
  write_predictions(short, TRUTH, Predictions('s', LABELS))
  more_labels = np.append(LABELS, LABELS)
  write_predictions(
    long, GroundTruth(more_labels, TRUTH.class_names), Predictions('l', more_labels)
  )
  error = message(lambda: collect_predictions([str(short), str(long)], 'test', 'last', 'none', []))
  assert 'not of the same images' in error


def test_a_single_model_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  write_predictions(tmp_path / 'x.npz', TRUTH, Predictions('s', LABELS))
  monkeypatch.setattr('sys.argv', ['compare', str(tmp_path / 'x.npz')])
  assert 'two or more' in message(command.main)


def test_comparisons_of_other_sources_do_not_replace_each_other(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.chdir(tmp_path)
  for name in 'abc':
    write_predictions(tmp_path / f'{name}.npz', TRUTH, Predictions(name, LABELS))

  def compared(*words: str) -> None:
    monkeypatch.setattr('sys.argv', ['compare', *words])
    command.main()

  for _ in range(2):
    compared('a.npz', 'b.npz')
  for words, theirs in (
    (('a.npz', 'c.npz'), f'{tmp_path}/b.npz'),
    (('a.npz', 'b.npz', '--tta', 'flip'), 'tta none'),
    (('a.npz', 'b.npz', '--config.data.seed=1'), 'other options'),
  ):
    text = message(lambda: compared(*words))  # noqa: B023
    assert text.endswith(f'comparison.json is of {theirs}: give another --out')
