"""One step for any number of devices: the same metrics, the same checkpoints."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np
import pytest
from test_loop import session
from test_step import build, digest

from cifar_jax import checkpoint, experiment, sharding, workdir
from cifar_jax.errors import InputError
from cifar_jax.report import runs

BATCH_SIZE = 24  # which 1, 2, 3, 4 and 8 divide
NUM_STEPS = 9  # an epoch of 200 images


class Small(nn.Module):
  """A net that compiles soon, with statistics over the batch."""

  @nn.compact
  def __call__(self, images, train):
    values = nn.Conv(4, (3, 3), 4)(images)
    values = nn.relu(nn.BatchNorm(use_running_average=not train, name='norm')(values))
    return nn.Dense(10, name='head')(values.reshape(len(images), -1))


def parts_on(data_dir, devices):
  parts = build(
    data_dir,
    '--config.train.num_epochs=1',
    '--config.train.log_every_steps=1',
    f'--config.train.batch_size={BATCH_SIZE}',
    devices=devices,
  )
  return dataclasses.replace(parts, model=Small())


def assert_same_metrics(run, expected):
  for one, other in zip(runs.read_records(run), runs.read_records(expected), strict=True):
    assert (one['step'], one['split']) == (other['step'], other['split'])
    np.testing.assert_allclose(one['loss'], other['loss'], rtol=1e-5)
    assert one['accuracy'] == pytest.approx(other['accuracy'], abs=1e-6)


def latest(parts, run):
  folder = run / workdir.CHECKPOINTS
  with checkpoint.Checkpoints(folder, parts.checkpoints, read_only=True) as checkpoints:
    return checkpoints.restore(checkpoints.latest, experiment.abstract_state(parts))[0]


@pytest.fixture(scope='module')
def on_one(tiny_cifar, tmp_path_factory):
  run = tmp_path_factory.mktemp('runs') / 'one'
  assert session(parts_on(tiny_cifar, 1), run)['num_steps'] == NUM_STEPS
  return run


@pytest.mark.parametrize('devices', [*(pytest.param(n, marks=pytest.mark.slow) for n in (2, 4)), 8])
def test_any_number_of_devices_gives_the_metrics_of_one(tiny_cifar, on_one, tmp_path, devices):
  parts = parts_on(tiny_cifar, devices)
  assert parts.mesh.size == devices
  session(parts, tmp_path / 'run')
  assert_same_metrics(tmp_path / 'run', on_one)


@pytest.mark.slow
def test_a_run_goes_from_eight_devices_to_fewer_and_back(tiny_cifar, on_one, tmp_path):
  run = tmp_path / 'run'
  for devices in (8, 1, 2, 3):
    parts = parts_on(tiny_cifar, devices)
    if devices != 8:
      restored = latest(parts, run)
      assert digest(restored) == digest(latest(parts_on(tiny_cifar, 8), run))
      assert all(len(leaf.sharding.device_set) == devices for leaf in jax.tree.leaves(restored))
    assert session(parts, run, stop_after=2) is None
  assert session(parts_on(tiny_cifar, 8), run)['num_steps'] == NUM_STEPS
  assert_same_metrics(run, on_one)


def test_a_batch_that_does_not_divide_is_refused():
  mesh = sharding.make_mesh(num_devices=3)
  sharding.check_batch_size(BATCH_SIZE, mesh)
  with pytest.raises(InputError, match='multiple of the number of devices, 3'):
    sharding.check_batch_size(128, mesh)
