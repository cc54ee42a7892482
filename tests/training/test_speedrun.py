"""The recipe of the speed run: its numbers, its whitening, its flips, and a short run of it."""

import dataclasses
import json
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks.random_images import make_experiment
from cifar_jax.config import loading
from cifar_jax.config.augmentation import AugmentSettings
from cifar_jax.config.command_line import override
from cifar_jax.experiment.epoch_order import epoch_of_step, order_of_epoch
from cifar_jax.experiment.experiment import Experiment, build
from cifar_jax.experiment.state import create_state, initial_state
from cifar_jax.experiment.train_step import make_train_step
from cifar_jax.models import speed_net
from cifar_jax.report import summary
from cifar_jax.runs.results import read_records
from cifar_jax.runtime.devices import replicate
from tests.support.paths import ROOT
from tests.support.sessions import last_state, run_session, stop_session

CONFIG = str(ROOT / 'configs/speedrun.py')
NUM_STEPS = 23  # one epoch and a half of 240 images in batches of 16


@pytest.fixture(scope='module')
def experiment(tiny_cifar: pathlib.Path) -> Experiment:
  """The speed run with a small net, over one epoch and a half."""
  config = loading.load(f'{CONFIG}:widths=4_4_4,epochs=1.5,batch_size=16,rate=4')
  override(
    config,
    [
      f'--config.data.data_dir={tiny_cifar}',
      '--config.sharding.num_devices=1',
      '--config.train.log_every_steps=5',
      '--config.optimizer.whitening_until=0.5',
    ],
  )
  return build(config)


def test_the_learning_rate_and_weight_decay_are_those_of_airbench() -> None:
  # From legacy/airbench94.py: 11.5 / (1024 * (1 + 1 / 0.15)) for the sum over 1024 images, and
  # 0.0153 * 1024 / (1024 * (1 + 1 / 0.15)) as the decay of each step at the full rate.
  config = loading.load(CONFIG)
  rate = 11.5 / (1024 * (1 + 1 / 0.15)) * 1024
  assert config.schedule.learning_rate == pytest.approx(rate) == pytest.approx(1.5)
  decay = 0.0153 * 1024 / (1024 * (1 + 1 / 0.15))
  assert rate * config.optimizer.weight_decay == pytest.approx(decay)
  assert config.optimizer.whitening_until * config.train.num_epochs == pytest.approx(3)
  half = loading.load(f'{CONFIG}:batch_size=512')
  assert half.schedule.learning_rate == pytest.approx(0.75)
  assert half.optimizer.weight_decay == config.optimizer.weight_decay


@pytest.mark.slow
def test_a_resumed_run_equals_an_undisturbed_one_to_the_bit_and_reports_its_views(
  experiment: Experiment, tmp_path: pathlib.Path
) -> None:
  assert experiment.num_steps == NUM_STEPS
  result = run_session(experiment, tmp_path / 'whole')
  assert result['num_epochs'] == 1.5 and result['num_steps'] == NUM_STEPS
  assert result['tta']['views'] == 'flip_shift'
  assert result['tta']['test']['loss'] != result['test']['loss']
  assert read_records(tmp_path / 'whole')[-1]['epoch'] == pytest.approx(1.5, abs=0.05)
  stop_session(experiment, tmp_path / 'stopped', 8)  # between two steps of Lookahead
  resumed = run_session(experiment, tmp_path / 'stopped')
  assert resumed['test'] == result['test'] and resumed['tta'] == result['tta']
  assert last_state(experiment, tmp_path / 'stopped') == last_state(experiment, tmp_path / 'whole')
  details = {'model': 'net', 'seed': 0, 'data': 'cifar10', 'device': 'cpu'}
  (tmp_path / 'result.json').write_text(json.dumps(result | details))
  outcome, effort, _ = summary.lines(tmp_path)
  accuracy = 100 * result['tta']['test']['accuracy']
  assert f'{accuracy:.2f} % over the views flip_shift' in outcome and '1.5 epochs' in effort


@pytest.mark.slow
def test_the_whitening_is_fitted_to_the_images_and_never_changes(
  experiment: Experiment,
) -> None:
  state = initial_state(experiment)
  images = experiment.normalize(jnp.asarray(experiment.dataset.train.images))
  expected = jax.jit(speed_net.whitening_kernel)(images)
  before = np.asarray(state.batch_stats['whitening']['kernel'])
  np.testing.assert_allclose(before, expected, rtol=1e-3, atol=1e-4)
  train = experiment.dataset.train
  train_images, labels = replicate((train.images, train.labels), experiment.mesh)
  epoch_order = order_of_epoch(experiment.key, jnp.int32(0), len(train))
  train_step = make_train_step(experiment)
  for _ in range(3):
    state = train_step(state, experiment.key, train_images, labels, epoch_order)
  np.testing.assert_array_equal(state.batch_stats['whitening']['kernel'], before)
  assert np.any(state.params['whitening']['bias'])


class Sides(nn.Module):
  """A net whose gradient counts how often each value stands in the first and last column."""

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Maps images `[batch, 2, 2, 3]` with values from 0 to 8 to logits `[batch, 1]`."""
    weights = self.param('weights', nn.initializers.zeros, (2, 9))
    left, right = (jax.nn.one_hot(images[:, 0, i, 0].astype(int), 9) for i in (0, -1))
    return jnp.stack([left, right], axis=1).reshape(-1, 18) @ weights.reshape(18, 1)


def test_each_image_is_flipped_in_every_other_epoch() -> None:
  # Eight images, each with its number, from 1, in the first column and 0 in the last.
  images = np.zeros((8, 2, 2, 3), np.uint8)
  images[:, :, 0] = np.arange(1, 9)[:, None, None]
  experiment = dataclasses.replace(
    make_experiment(Sides(), batch_size=3),  # the third batch has images of two epochs
    tx=optax.with_extra_args_support(optax.sgd(1.0)),
    loss_fn=lambda logits, labels: logits[:, 0],
    augmentation=AugmentSettings(flip=False, alternating_flip=True),
    augment_fn=lambda key, images, labels: (images.astype(jnp.float32), labels),
  )
  train_step = make_train_step(experiment)
  key = jax.random.key(5)
  state = create_state(experiment.model, experiment.tx, key, (2, 2, 3))
  arrays = (state, images, np.zeros(8, np.int32))
  state, device_images, labels = replicate(arrays, experiment.mesh)
  seen = []
  for step in range(16):  # six epochs
    epoch = epoch_of_step(step, 3, 8)
    order = order_of_epoch(key, jnp.int32(epoch), 8)
    state = train_step(state, key, device_images, labels, order)
    seen.append(np.round(-3 * np.asarray(state.params['weights'])).astype(int)[:, 1:])
  assert seen[-1].tolist() == [[3] * 8, [3] * 8]
  after_two_batches = seen[1]
  assert after_two_batches.sum() == 6 and after_two_batches.sum(axis=0).max() == 1
  assert 0 < after_two_batches[0].sum() < 6  # some are flipped, some are not
