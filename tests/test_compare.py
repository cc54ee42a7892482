"""The command `compare` on predictions whose comparison can be computed by hand."""

import json

import numpy as np
import pytest
from data import fake_run
from fake_cifar import message

from cifar_jax import compare, predictions
from cifar_jax.predictions import Predictions, Truth

LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1], np.int32)
TRUTH = Truth(LABELS, ('cat', 'dog', 'eel'), np.zeros((8, 4, 4, 3), np.uint8))


def wrong_on(name: str, *indices: int) -> Predictions:
  predicted = LABELS.copy()
  predicted[list(indices)] = (predicted[list(indices)] + 1) % 3
  return Predictions(name, predicted)


MODELS = [wrong_on('poor', 0, 1, 2, 3), wrong_on('good', 0), wrong_on('fair', 0, 1)]


def test_a_comparison_by_hand():
  compared = compare.of(MODELS, TRUTH)
  assert [(row['name'], row['error_percent']) for row in compared['models']] == [
    ('good', 12.5), ('fair', 25.0), ('poor', 50.0),
  ]  # fmt: skip
  good_poor = compared['pairs'][1]
  assert (good_poor['first'], good_poor['second']) == ('good', 'poor')
  assert good_poor['agreement'] == 5 / 8
  # Alike on 5 of 8; right on 7/8 and 4/8, so by chance alike on 7/16 + 1/16.
  assert good_poor['error_consistency'] == pytest.approx((5 / 8 - 1 / 2) / (1 / 2))
  assert (good_poor['only_first_right'], good_poor['only_second_right']) == (3, 0)
  assert good_poor['mcnemar_p'] == pytest.approx(2 / 2**3)
  assert compared['all_fail'] == [0] and compared['num_images'] == 8
  told = '\n'.join(compare.lines(compared))
  assert 'good  error  12.50 %' in told and 'all fail on 1 of 8 images' in told
  assert 'good and poor: agreement 62.50 %, error consistency 0.250' in told


def test_many_pairs_are_summed_up():
  compared = compare.of([wrong_on(f'm{i}', i, 7) for i in range(6)], TRUTH)
  told = compare.lines(compared)
  assert len(compared['pairs']) == 15 and '15 pairs' in told[-2] and '15 differ by' in told[-2]


def test_two_without_errors_have_no_consistency_in_json(tmp_path):
  models = [wrong_on('a'), wrong_on('b')]
  compared = compare.of(models, TRUTH)
  assert compared['pairs'][0]['error_consistency'] is None
  assert 'undefined' in '\n'.join(compare.lines(compared))
  compare.write(tmp_path, compared, models, TRUTH)
  assert {path.name for path in tmp_path.iterdir()} == {'comparison.json', 'comparison.png'}


def test_a_run_beside_files_of_predictions(tiny_cifar, tmp_path, capsys, monkeypatch):
  run = fake_run.make(tmp_path / 'run', tiny_cifar)
  labels = (run.parent / 'labels.npz', 'net')
  truth = compare.evaluate.load_truth(
    'test', [f'--config.data.data_dir={tiny_cifar}', '--config.data.validation_size=40']
  )
  np.savez(tmp_path / 'published.npz', a=truth.labels, b=(truth.labels + 1) % 10)
  predictions.write(labels[0], truth, Predictions('a', truth.labels))
  sources = [str(run), str(tmp_path / 'published.npz'), str(labels[0])]
  arguments = ['compare', *sources, '--out', str(tmp_path / 'out')]
  monkeypatch.setattr('sys.argv', arguments)
  compare.main()
  compared = json.loads((tmp_path / 'out' / 'comparison.json').read_text())
  names = [row['name'] for row in compared['models']]
  assert names == ['a', 'a 2', 'run', 'b'] and compared['num_images'] == 48
  assert 'written' in capsys.readouterr().out
  short = tmp_path / 'short.npz'
  predictions.write(short, Truth(LABELS, truth.class_names), Predictions('s', LABELS))
  told = message(lambda: compare.collect([str(short), sources[2]], 'test', 'last', 'none', []))
  assert 'not of the same images' in told
  monkeypatch.setattr('sys.argv', ['compare', sources[2]])
  assert 'two or more' in message(compare.main)
