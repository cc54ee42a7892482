"""Runs on any number of devices have the same metrics and can exchange checkpoints."""

import dataclasses
import pathlib

import flax.linen as nn
import jax
import numpy as np
import pytest

from cifar_jax.errors import InputError
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import State, abstract_state
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.results import read_records
from cifar_jax.runs.workdir import CHECKPOINTS
from cifar_jax.runtime.devices import check_batch_size, make_mesh
from tests.support.sessions import run_session, stop_session
from tests.support.trainer import build_small, digest

BATCH_SIZE = 24  # divisible by 1, 2, 3, 4 and 8
NUM_STEPS = 9  # an epoch of 200 images


class Small(nn.Module):
  """A net that compiles fast, with batch normalisation."""

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Maps images `[batch, height, width, channels]` to logits `[batch, 10]`."""
    values = nn.Conv(4, (3, 3), 4)(images)
    values = nn.relu(nn.BatchNorm(use_running_average=not train, name='norm')(values))
    return nn.Dense(10, name='head')(values.reshape(len(images), -1))


def experiment_on(data_dir: pathlib.Path, devices: int) -> Experiment:
  experiment = build_small(
    data_dir,
    '--config.train.num_epochs=1',
    '--config.train.log_every_steps=1',
    f'--config.train.batch_size={BATCH_SIZE}',
    devices=devices,
  )
  return dataclasses.replace(experiment, model=Small())


def assert_same_metrics(run: pathlib.Path, expected_run: pathlib.Path) -> None:
  for record, expected in zip(read_records(run), read_records(expected_run), strict=True):
    assert (record['step'], record['split']) == (expected['step'], expected['split'])
    np.testing.assert_allclose(record['loss'], expected['loss'], rtol=1e-5)
    assert record['accuracy'] == pytest.approx(expected['accuracy'], abs=1e-6)


def latest_state(experiment: Experiment, run: pathlib.Path) -> State:
  folder = run / CHECKPOINTS
  with Checkpoints(folder, experiment.checkpoint_settings, read_only=True) as checkpoints:
    assert checkpoints.latest is not None
    return checkpoints.restore(checkpoints.latest, abstract_state(experiment))[0]


@pytest.fixture(scope='module')
def on_one(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run on one device."""
  run = tmp_path_factory.mktemp('runs') / 'one'
  assert run_session(experiment_on(tiny_cifar, 1), run)['num_steps'] == NUM_STEPS
  return run


@pytest.mark.ci
@pytest.mark.parametrize('devices', [*(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4)), 8])
def test_any_number_of_devices_gives_the_metrics_of_one(
  tiny_cifar: pathlib.Path, on_one: pathlib.Path, tmp_path: pathlib.Path, devices: int
) -> None:
  experiment = experiment_on(tiny_cifar, devices)
  assert experiment.mesh.size == devices
  run_session(experiment, tmp_path / 'run')
  assert_same_metrics(tmp_path / 'run', on_one)


@pytest.mark.slow
def test_a_run_resumes_on_fewer_devices_and_then_on_more(
  tiny_cifar: pathlib.Path, on_one: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = tmp_path / 'run'
  for devices in (8, 1, 2, 3):
    experiment = experiment_on(tiny_cifar, devices)
    if devices != 8:
      restored = latest_state(experiment, run)
      assert digest(restored) == digest(latest_state(experiment_on(tiny_cifar, 8), run))
      assert all(len(leaf.sharding.device_set) == devices for leaf in jax.tree.leaves(restored))
    stop_session(experiment, run, num_dispatches=2)
  assert run_session(experiment_on(tiny_cifar, 8), run)['num_steps'] == NUM_STEPS
  assert_same_metrics(run, on_one)


def test_a_batch_that_does_not_divide_over_the_devices_is_refused() -> None:
  mesh = make_mesh(num_devices=3)
  check_batch_size(BATCH_SIZE, mesh)
  with pytest.raises(InputError, match='multiple of the number of devices, 3'):
    check_batch_size(128, mesh)
