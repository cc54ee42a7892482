"""The speed run's recipe, whole and short: what its run trains, shows, resumes and reports."""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from test_loop import last_state, session

from cifar_jax import config as configs
from cifar_jax import experiment, order, sharding
from cifar_jax import state as states
from cifar_jax import step as steps
from cifar_jax.models import speed_net
from cifar_jax.report import runs, summary

CONFIG = str(pathlib.Path(__file__).parent.parent / 'configs/speedrun.py')
NUM_STEPS = 23  # one epoch and a half of 240 images in batches of 16


@pytest.fixture(scope='module')
def parts(tiny_cifar):
  config = configs.load(f'{CONFIG}:widths=4_4_4,epochs=1.5,batch_size=16,rate=4')
  configs.override(
    config,
    [
      f'--config.data.data_dir={tiny_cifar}',
      '--config.sharding.num_devices=1',
      '--config.train.log_every_steps=5',
      '--config.optimizer.whitening_until=0.5',
    ],
  )
  return experiment.build(config)


def test_its_numbers_are_airbenchs():
  # From legacy/airbench94.py: 11.5 / (1024 * (1 + 1 / 0.15)) for the sum over 1024 images, and
  # 0.0153 * 1024 / (1024 * (1 + 1 / 0.15)) as the decay of each step at the full rate.
  config = configs.load(CONFIG)
  rate = 11.5 / (1024 * (1 + 1 / 0.15)) * 1024
  assert config.schedule.learning_rate == pytest.approx(rate) == pytest.approx(1.5)
  decay = 0.0153 * 1024 / (1024 * (1 + 1 / 0.15))
  assert rate * config.optimizer.weight_decay == pytest.approx(decay)
  assert config.optimizer.whitening_until * config.train.num_epochs == pytest.approx(3)
  half = configs.load(f'{CONFIG}:batch_size=512')
  assert half.schedule.learning_rate == pytest.approx(0.75)
  assert half.optimizer.weight_decay == config.optimizer.weight_decay


@pytest.mark.slow
def test_a_run_resumes_to_the_bit_and_reports_its_views(parts, tmp_path):
  assert parts.num_steps == NUM_STEPS
  result = session(parts, tmp_path / 'whole')
  assert result['num_epochs'] == 1.5 and result['num_steps'] == NUM_STEPS
  assert result['tta']['views'] == 'flip_shift'
  assert result['tta']['test']['loss'] != result['test']['loss']
  assert runs.read_records(tmp_path / 'whole')[-1]['epoch'] == pytest.approx(1.5, abs=0.05)
  assert session(parts, tmp_path / 'stopped', 8) is None  # between two meetings with the average
  again = session(parts, tmp_path / 'stopped')
  assert again['test'] == result['test'] and again['tta'] == result['tta']
  assert last_state(parts, tmp_path / 'stopped') == last_state(parts, tmp_path / 'whole')
  told = result | {'model': 'net', 'data': 'cifar10', 'device': 'cpu'}
  words = summary._lines(told)
  accuracy = 100 * result['tta']['test']['accuracy']
  assert f'{accuracy:.2f} % over the views flip_shift' in words[0] and '1.5 epochs' in words[1]


def test_the_whitening_is_of_the_training_images_and_never_moves(parts):
  state = experiment.initial_state(parts)
  images = parts.normalize(jnp.asarray(parts.dataset.train.images))
  expected = jax.jit(speed_net.whitening_kernel)(images)
  before = np.asarray(state.batch_stats['whitening']['kernel'])
  np.testing.assert_allclose(before, expected, rtol=1e-3, atol=1e-4)
  train = parts.dataset.train
  data = sharding.replicate((train.images, train.labels), parts.mesh)
  epoch_order = order.of_epoch(parts.key, jnp.int32(0), len(train))
  train_step = experiment.train_step(parts)
  for _ in range(3):
    state = train_step(state, parts.key, *data, epoch_order)
  np.testing.assert_array_equal(state.batch_stats['whitening']['kernel'], before)
  assert np.any(state.params['whitening']['bias'])


class Sides(nn.Module):
  """Counts, in the gradient of its weights, the values in the first and the last column."""

  @nn.compact
  def __call__(self, images, train):
    weights = self.param('weights', nn.initializers.zeros, (2, 9))
    left, right = (jax.nn.one_hot(images[:, 0, i, 0].astype(int), 9) for i in (0, -1))
    return jnp.stack([left, right], axis=1).reshape(-1, 18) @ weights.reshape(18, 1)


def test_a_step_shows_each_image_from_the_other_side_in_the_next_epoch():
  # Eight images: the number of each stands in its first column, nought in its last.
  images = np.zeros((8, 2, 2, 3), np.uint8)
  images[:, :, 0] = np.arange(1, 9)[:, None, None]
  mesh = sharding.make_mesh(num_devices=1)
  model, tx = Sides(), optax.with_extra_args_support(optax.sgd(1.0))
  train_step = steps.make_train_step(
    model=model,
    tx=tx,
    loss_fn=lambda logits, labels: logits[:, 0],
    augment_fn=lambda key, images, labels: (images.astype(jnp.float32), labels),
    batch_size=3,  # the third batch is of both epochs
    mesh=mesh,
    alternating_flip=True,
  )
  key = jax.random.key(5)
  state = sharding.replicate(states.create(model, tx, key, (2, 2, 3)), mesh)
  data = sharding.replicate((images, np.zeros(8, np.int32)), mesh)
  seen = []
  for step in range(16):  # six epochs
    epoch = order.epoch_of(step, 3, 8)
    state = train_step(state, key, *data, order.of_epoch(key, jnp.int32(epoch), 8))
    seen.append(np.round(-3 * np.asarray(state.params['weights'])).astype(int)[:, 1:])
  assert seen[-1].tolist() == [[3] * 8, [3] * 8]
  after_two_batches = seen[1]
  assert after_two_batches.sum() == 6 and after_two_batches.sum(axis=0).max() == 1
  assert 0 < after_two_batches[0].sum() < 6  # some from one side, some from the other
