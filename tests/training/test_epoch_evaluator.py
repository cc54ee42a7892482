"""The end of an epoch: the plateau's rate, the best epoch, and records of the test images."""

import dataclasses
import logging
import pathlib
import types
from typing import Any

import pytest

from cifar_jax.config.training import CheckpointSettings
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.report import summary
from cifar_jax.runs.results import best_by_test, read_records
from cifar_jax.training import epoch_evaluator
from cifar_jax.training.epoch_evaluator import EpochEvaluator
from tests.support.launcher import records_without_speed
from tests.support.sessions import Linear, last_state, run_session, stop_session
from tests.support.trainer import build_small

NUM_EPOCHS, STEPS = 5, [13, 25, 38, 50, 63]  # the last step of each epoch: 200 images, batch 16


def build(data_dir: pathlib.Path, *overrides: str) -> Experiment:
  """An experiment of a linear net that saves a checkpoint at the end of each epoch."""
  keys = (f'train.num_epochs={NUM_EPOCHS}', 'train.log_every_steps=1000', *overrides)
  experiment = build_small(data_dir, *(f'--config.{key}' for key in keys))
  settings = CheckpointSettings(every_epochs=1)
  return dataclasses.replace(experiment, model=Linear(), checkpoint_settings=settings)


@pytest.fixture
def evaluator(tiny_cifar: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
  """A function that judges validation accuracies by a threshold and returns which were the best."""

  def judge(accuracies: list[float], threshold: float) -> list[bool]:
    experiment = build(tiny_cifar, f'train.best_threshold={threshold}')
    left = list(accuracies)
    evaluate = lambda *_: ({'accuracy': left.pop(0), 'loss': 1.0}, None)  # noqa: E731
    monkeypatch.setattr(epoch_evaluator, 'evaluate_split', evaluate)
    silent: Any = types.SimpleNamespace(write=lambda *_: None)
    no_step: Any = None
    state: Any = None
    judged = EpochEvaluator(experiment, no_step, silent, None)
    scores = [judged.evaluate(state, i + 1, i, i + 1.0) for i in range(len(accuracies))]
    assert [score.accuracy for score in scores] == accuracies
    return [score.is_best for score in scores]

  return judge


def test_the_best_epoch_gains_more_than_the_threshold(evaluator: Any) -> None:
  accuracies = [0.0, 0.5, 0.5, 0.50004, 0.5001, 0.4]
  assert evaluator(accuracies, 1e-4) == [True, True, False, False, True, False]
  assert evaluator(accuracies, 0.0) == [True, True, False, True, True, False]


@pytest.mark.ci
@pytest.mark.parametrize(
  'monitor', ['validation_accuracy', pytest.param('training_loss', marks=pytest.mark.slow)]
)
def test_a_plateau_run_that_was_stopped_has_the_rates_and_bits_of_an_undisturbed_one(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, monitor: str
) -> None:
  # Patience 0 and a threshold that later epochs hardly ever pass: the rate falls again and again.
  keys = ('schedule.name=plateau', 'schedule.patience=0', 'schedule.threshold=0.9')
  experiment = build(tiny_cifar, *keys, f'schedule.monitor={monitor}')
  run_session(experiment, tmp_path / 'whole')
  records = records_without_speed(tmp_path / 'whole')
  train = [record for record in records if record['split'] == 'train']
  assert [record['step'] for record in train] == STEPS
  # At the end of an epoch the mean loss since the last record is that of the epoch's steps.
  scores = [record['accuracy'] for record in records if record['split'] == 'validation']
  if monitor == 'training_loss':
    scores = [-record['loss'] for record in train]
  rate, best, expected = 0.05, -1e30, []
  for score in scores:
    expected.append(rate)
    if score > best + 0.9 * abs(best):
      best = score
    else:
      rate *= 0.1
  assert expected[-1] < 0.05
  assert [record['learning_rate'] for record in train] == pytest.approx(expected)

  for stop_after in (20, 38):  # inside an epoch, and at the end of one
    run = tmp_path / f'stopped{stop_after}'
    stop_session(experiment, run, stop_after)
    assert last_state(experiment, run)[0] == stop_after
    run_session(experiment, run)
    assert last_state(experiment, run) == last_state(experiment, tmp_path / 'whole')
    assert records_without_speed(run) == records


@pytest.mark.ci
def test_a_run_that_looks_at_the_test_images_says_so_and_records_each_epoch_once(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  plain = build(tiny_cifar)
  result = run_session(plain, tmp_path / 'plain')
  assert 'best_by_test' not in result and 'looks at the test images' not in caplog.text

  experiment = build(tiny_cifar, 'train.test_each_epoch=true')
  run = tmp_path / 'run'
  with caplog.at_level(logging.WARNING):
    stop_session(experiment, run, 30)
  assert 'train.test_each_epoch: this run looks at the test images' in caplog.text
  watched = run_session(experiment, run)
  tests = [record for record in read_records(run) if record['split'] == 'test']
  assert [record['step'] for record in tests] == STEPS
  highest = max(record['accuracy'] for record in tests)
  best = watched['best_by_test']
  assert best == best_by_test(tests) and best['test']['accuracy'] == highest
  assert STEPS[best['epoch'] - 1] == best['step']
  # Looking changes nothing else.
  assert watched['test'] == result['test'] and watched['best'] == result['best']
  assert last_state(experiment, run) == last_state(plain, tmp_path / 'plain')


@pytest.mark.ci
def test_early_stopping_ends_a_run_that_has_no_better_epoch_for_the_patience(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  # No later epoch passes the threshold, so that the best is the first, and the run ends after 3.
  keys = ('train.patience=2', 'train.best_threshold=0.99', 'train.test_each_epoch=true')
  experiment = build(tiny_cifar, *keys)
  with caplog.at_level(logging.INFO):
    result = run_session(experiment, tmp_path / 'whole')
  assert 'no best validation accuracy for 2 epochs' in caplog.text
  assert (result['num_steps'], result['num_epochs'], result['planned_epochs']) == (38, 3, 5)
  assert result['best']['step'] == STEPS[0]
  records = records_without_speed(tmp_path / 'whole')
  for split in ('validation', 'test'):  # each epoch once
    assert [record['step'] for record in records if record['split'] == split] == STEPS[:3]
  run = tmp_path / 'stopped'
  for stop_after in (20, 18):  # inside an epoch, and after the last step
    stop_session(experiment, run, stop_after)
  assert last_state(experiment, run)[0] == 38
  assert run_session(experiment, run)['test'] == result['test']
  run_session(experiment, run)  # a session that was killed before the result was written
  assert last_state(experiment, run) == last_state(experiment, tmp_path / 'whole')
  assert records_without_speed(run) == records


def test_the_summary_calls_the_best_epoch_by_test_what_it_is() -> None:
  values = {'accuracy': 0.5}
  result = {'model': 'net', 'data': 'some', 'test': values}
  chosen = {'step': 3, 'epoch': 2, 'test': {'accuracy': 0.625}}
  outcome = summary._outcome(result | {'best_by_test': chosen})
  assert outcome.endswith('62.50 % at the best on these test images (epoch 2)')
