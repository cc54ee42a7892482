"""Sessions that find lost checkpoints, lost records or other data."""

import dataclasses
import logging
import math
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import pytest

from cifar_jax import own_files
from cifar_jax.data.dataset import Split
from cifar_jax.errors import DivergedError, InputError
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.results import METRICS
from cifar_jax.runs.workdir import CHECKPOINTS
from cifar_jax.training import finish
from tests.support.sessions import NUM_STEPS, make_poisoned, run_session, stop_session

STOPPED_AFTER = 9  # steps; there are checkpoints at 3, 6 and 9, and records at 4 and 8


@pytest.fixture(scope='module')
def experiment(tiny_cifar: pathlib.Path) -> Experiment:
  """An experiment that compiles at once, without a step that diverges."""
  return make_poisoned(tiny_cifar, 'stop', poisoned=())


@pytest.fixture(scope='module')
def stopped(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run that a signal stopped."""
  run = tmp_path_factory.mktemp('runs') / 'run'
  stop_session(experiment, run, STOPPED_AFTER)
  return run


@pytest.fixture
def run(stopped: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
  """A copy of the stopped run."""
  return pathlib.Path(shutil.copytree(stopped, tmp_path / 'run'))


@pytest.mark.parametrize('loss', ['emptied', 'not mounted', 'removed'])
def test_a_run_whose_checkpoints_are_gone_does_not_begin_again(
  experiment: Experiment, run: pathlib.Path, loss: str
) -> None:
  records = (run / METRICS).read_text()
  shutil.rmtree(run / CHECKPOINTS)
  if loss == 'emptied':
    (run / CHECKPOINTS).mkdir()
  elif loss == 'not mounted':
    (run / CHECKPOINTS).symlink_to(run / 'nowhere')
  with pytest.raises(InputError, match=r'the checkpoints that the run saved in .* are gone'):
    run_session(experiment, run)
  assert records and (run / METRICS).read_text() == records


def test_a_run_killed_before_its_first_checkpoint_was_noted_notes_it_the_next_time(
  experiment: Experiment, run: pathlib.Path
) -> None:
  (run / 'checkpoints.saved').unlink()
  stop_session(experiment, run, 1)
  assert (run / 'checkpoints.saved').exists()


def test_a_run_does_not_go_on_with_other_random_numbers(
  experiment: Experiment, run: pathlib.Path
) -> None:
  with (
    jax.default_prng_impl('rbg'),
    pytest.raises(InputError, match=r'jax_default_prng_impl was threefry2x32 and is now rbg; set'),
  ):
    run_session(experiment, run)
  stop_session(experiment, run, 1)  # nothing was changed


@pytest.mark.parametrize(('lines', 'warns'), [(2, False), (1, True), (0, True)])
def test_lost_records_are_a_warning(
  experiment: Experiment,
  run: pathlib.Path,
  caplog: pytest.LogCaptureFixture,
  lines: int,
  warns: bool,
) -> None:
  records = (run / METRICS).read_text().splitlines(keepends=True)
  assert len(records) == 2
  (run / METRICS).write_text(''.join(records[:lines]))
  with caplog.at_level(logging.WARNING):
    stop_session(experiment, run, 1)
  assert (f'{METRICS} has {lines} of the 2 records' in caplog.text) == warns


def test_records_that_stand_there_twice_are_a_warning(
  experiment: Experiment, run: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  (run / METRICS).write_text(2 * (run / METRICS).read_text())
  with caplog.at_level(logging.WARNING):
    stop_session(experiment, run, 1)
  assert f'{METRICS} has records twice' in caplog.text


@pytest.mark.parametrize(
  ('before', 'now'),
  [(4, 0), (0, 4), pytest.param(4, STOPPED_AFTER, id='a new leg')],
)
def test_a_schedule_that_would_begin_elsewhere_is_refused(
  experiment: Experiment, tmp_path: pathlib.Path, before: int, now: int
) -> None:
  of_leg, resumed = (dataclasses.replace(experiment, schedule_start=at) for at in (before, now))
  stop_session(of_leg, tmp_path / 'run', STOPPED_AFTER)
  if now == STOPPED_AFTER:
    stop_session(resumed, tmp_path / 'run', 1)
  else:
    expected = f'began at step {before}, at the end of an earlier leg, .* begin at step {now}: '
    with pytest.raises(InputError, match=expected):
      stop_session(resumed, tmp_path / 'run', 1)


def test_a_net_without_a_finite_test_loss_has_diverged(
  experiment: Experiment, run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(finish, 'evaluate_split', lambda *_: ({'loss': math.nan}, None))
  with pytest.raises(DivergedError, match=rf'the test loss of step {NUM_STEPS - 1} is not finite'):
    run_session(experiment, run)


def test_a_run_stops_when_its_workdir_is_renamed_and_resumes_under_the_new_name(
  experiment: Experiment, run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  moved = run.with_name('moved')

  def save(checkpoints: Checkpoints, step: int, *values: Any, **named: Any) -> None:
    if step == 15 and run.exists():
      checkpoints.wait()
      run.rename(moved)
    original(checkpoints, step, *values, **named)

  claimed = own_files.open_own(run / 'lock')
  original = Checkpoints.save
  monkeypatch.setattr(Checkpoints, 'save', save)
  with (
    claimed,
    pytest.raises(InputError, match=r'the workdir was renamed .* resumes it with the new name'),
    own_files.hold(claimed),
  ):
    run_session(experiment, run)
  assert not run.exists()
  assert run_session(experiment, moved)['num_steps'] == NUM_STEPS


@pytest.mark.parametrize('split', ['train', 'validation', 'test'])
def test_a_run_does_not_go_on_with_other_images_of_the_same_labels(
  experiment: Experiment, run: pathlib.Path, split: str
) -> None:
  dataset = experiment.dataset
  images = getattr(dataset, split).images.copy()
  images[0] = np.flip(images[0], axis=1)  # the mean and the deviation stay
  other: Any = {split: Split(images, getattr(dataset, split).labels)}
  changed = dataclasses.replace(dataset, **other)
  with pytest.raises(InputError, match=r'other data than the run was trained on: images_crc32 \['):
    run_session(dataclasses.replace(experiment, dataset=changed), run)
