"""The loop at a step that is not finite, at a signal, and without enough memory."""

import dataclasses
import json
import logging
import pathlib
import shutil
import signal
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import optax
import pytest

from cifar_jax.config import loading
from cifar_jax.errors import DivergedError, ShortageError
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import State
from cifar_jax.experiment.train_step import TrainStep, make_train_step
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.results import read_records
from cifar_jax.runs.workdir import CHECKPOINTS
from cifar_jax.training import epoch_evaluator, loop, out_of_memory, session
from tests.support.bad_input import RESNET
from tests.support.sessions import (
  NUM_STEPS,
  POISONED,
  StopAfter,
  last_state,
  make_poisoned,
  run_session,
  stop_session,
)


def test_a_nonfinite_loss_stops_the_run_names_the_step_and_leaves_the_last_good_checkpoint(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  experiment = make_poisoned(tiny_cifar, 'stop')
  with pytest.raises(DivergedError, match=r'the loss of step 7 is not finite.*step 6') as info:
    run_session(experiment, tmp_path / 'run')
  assert (info.value.step, info.value.metric) == (POISONED, 'loss')
  step, _, skipped = last_state(experiment, tmp_path / 'run')
  assert (step, skipped) == (6, [])


def test_weights_that_the_last_update_spoiled_are_not_saved(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  experiment = make_poisoned(tiny_cifar, 'stop', poisoned=())
  # The update of step 5, after which a checkpoint is due.
  spoil = optax.scale_by_schedule(lambda step: jnp.where(step == 5, jnp.inf, 1.0))
  experiment = dataclasses.replace(experiment, tx=optax.chain(experiment.tx, spoil))
  with pytest.raises(DivergedError, match='the update of step 5 is not finite'):
    run_session(experiment, tmp_path / 'run')
  assert last_state(experiment, tmp_path / 'run')[0] == 3


def test_a_validation_loss_that_is_not_finite_ends_the_run_before_anything_is_written(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  spoiled = lambda *_: ({'loss': float('nan'), 'accuracy': 0.1}, None)  # noqa: E731
  monkeypatch.setattr(epoch_evaluator, 'evaluate_split', spoiled)
  with pytest.raises(DivergedError, match=r'the validation loss of step \d+ is not finite'):
    run_session(make_poisoned(tiny_cifar, 'stop', poisoned=()), tmp_path / 'run')
  assert not any(r['split'] == 'validation' for r in read_records(tmp_path / 'run'))


def test_a_best_checkpoint_that_is_lost_is_missing_in_the_result(
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  accuracies = iter([0.5, 0.4, 0.4])
  evaluate = lambda *_: ({'loss': 1.0, 'accuracy': next(accuracies)}, None)  # noqa: E731
  monkeypatch.setattr(epoch_evaluator, 'evaluate_split', evaluate)
  experiment = make_poisoned(tiny_cifar, 'stop', poisoned=())
  assert run_session(experiment, tmp_path / 'whole')['best']['validation_accuracy'] == 0.5
  accuracies, run = iter([0.5, 0.4, 0.4]), tmp_path / 'run'
  stop_session(experiment, run, NUM_STEPS - 1)
  with Checkpoints(run / CHECKPOINTS, experiment.checkpoint_settings) as checkpoints:
    best = checkpoints.best
  shutil.rmtree(run / CHECKPOINTS / str(best))
  with caplog.at_level(logging.WARNING):
    assert 'best' not in run_session(experiment, run)
  assert f'checkpoint {best}, the best by validation, is damaged or lost' in caplog.text


@pytest.mark.slow
def test_a_nonfinite_batch_is_skipped_in_the_same_way_after_a_resume(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  experiment = make_poisoned(tiny_cifar, 'skip')
  with caplog.at_level(logging.INFO):
    result = run_session(experiment, tmp_path / 'whole')
  assert 'the loss of step 7 is not finite: back to step 6, and on without' in caplog.text
  assert result['skipped_steps'] == [POISONED]
  steps = [(r['step'], r['split']) for r in read_records(tmp_path / 'whole')]
  assert len(steps) == len(set(steps)) and (NUM_STEPS, 'test') in steps
  assert [step for step, split in steps if split == 'train'] == [4, 8, 12, 13, 16, 20, 24, 25]
  expected = last_state(experiment, tmp_path / 'whole')
  assert expected[0] == NUM_STEPS and expected[2] == [POISONED]

  for stop_after in (5, 20):  # before and after the step that is skipped
    run = tmp_path / f'stopped{stop_after}'
    stop_session(experiment, run, stop_after)
    stopped_step, *_ = last_state(experiment, run)
    assert stopped_step < NUM_STEPS
    resumed = run_session(experiment, run)
    assert resumed['skipped_steps'] == [POISONED] and resumed['test'] == result['test']
    assert last_state(experiment, run) == expected
    records = [json.dumps([r['step'], r['split'], r['loss']]) for r in read_records(run)]
    whole = read_records(tmp_path / 'whole')
    assert records == [json.dumps([r['step'], r['split'], r['loss']]) for r in whole]


def test_a_signal_waits_for_at_most_the_current_step(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  last_outputs: list[Any] = []  # the step of the last state
  was_computed: list[bool] = []

  def make_watched_step(experiment: Experiment, num_steps: int) -> TrainStep:
    step = make_train_step(experiment, num_steps)

    def watched_step(*arguments: Any) -> State:
      state = step(*arguments)
      last_outputs[:] = [state.step]
      return state

    return watched_step

  class Watch(StopAfter):
    @property
    def received_signal(self) -> signal.Signals | None:  # type: ignore[override]
      was_computed.append(last_outputs[0].is_ready())
      return super().received_signal

  def slow_augment(
    key: jax.Array, images: jax.Array, labels: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    # Takes so long that a CPU does not finish it within the call.
    images = images.astype(jnp.float32)
    long = jax.lax.fori_loop(0, 200, lambda _, x: jnp.sin(x), images)
    return images + 0.0 * long, labels

  monkeypatch.setattr(loop, 'make_train_step', make_watched_step)
  experiment = dataclasses.replace(make_poisoned(tiny_cifar, 'stop'), augment_fn=slow_augment)
  run = tmp_path / 'run'
  run.mkdir()
  assert session.run_session(experiment, run, Watch(6), 'commit') is None
  assert was_computed == [True] * 6


def test_a_signal_during_the_last_validation_stops_the_run(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  experiment, run = make_poisoned(tiny_cifar, 'stop', poisoned=()), tmp_path / 'run'
  stop_session(experiment, run, NUM_STEPS + 1)  # the signal is there only after the last step
  assert last_state(experiment, run)[0] == NUM_STEPS
  assert not any(record['split'] == 'test' for record in read_records(run))
  assert run_session(experiment, run)['num_steps'] == NUM_STEPS


@pytest.mark.slow
def test_the_run_stops_after_too_many_skipped_batches(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  experiment = make_poisoned(tiny_cifar, 'skip', poisoned=range(7, 25))
  with pytest.raises(DivergedError, match='not finite'):
    run_session(experiment, tmp_path / 'run')
  step, _, skipped = last_state(experiment, tmp_path / 'run')
  assert step < NUM_STEPS and len(skipped) <= loop.MAX_SKIPPED


@pytest.mark.ci
def test_advice_on_too_large_a_batch_names_one_that_fits(
  tiny_cifar: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  experiment = make_poisoned(tiny_cifar, 'stop')
  experiment = dataclasses.replace(
    experiment, train_settings=dataclasses.replace(experiment.train_settings, batch_size=160)
  )
  needed = {size: out_of_memory.step_bytes(experiment, size) for size in (160, 80, 40)}
  assert needed[160] > needed[80] > needed[40] > 40 * 32 * 32 * 3 * 4
  monkeypatch.setattr(out_of_memory, 'limit_bytes', lambda _: needed[40])
  assert 'train.batch_size is 160; 40 would fit' in out_of_memory.advice(experiment)
  monkeypatch.setattr(out_of_memory, 'step_bytes', lambda _, size: size)
  monkeypatch.setattr(out_of_memory, 'limit_bytes', lambda _: 0)
  assert 'not even 1 would fit; take a larger' in out_of_memory.advice(experiment)
  settings = dataclasses.replace(experiment.train_settings, batch_size=125)
  odd = dataclasses.replace(experiment, train_settings=settings)
  monkeypatch.setattr(out_of_memory, 'limit_bytes', lambda _: 70)
  assert 'train.batch_size is 125; 62 would fit' in out_of_memory.advice(odd)
  monkeypatch.setattr(out_of_memory, 'limit_bytes', lambda _: 100)

  def no_memory(*_: object, **__: object) -> NoReturn:
    raise RuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.')

  monkeypatch.setattr(session, 'run_session', no_memory)
  monkeypatch.setattr(session, 'build', lambda _: experiment)
  with pytest.raises(ShortageError, match=r'out of memory: train\.batch_size is 160; 80 would'):
    session.run(loading.load(RESNET), tmp_path / 'run')
