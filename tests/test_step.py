"""The jitted step: deterministic, the same on any number of devices, compiled once."""

import dataclasses
import hashlib
import os
import pathlib
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax import config as configs
from cifar_jax import experiment, keys, metrics, order, placed, sharding
from cifar_jax import state as states
from cifar_jax import step as steps

ROOT = pathlib.Path(__file__).parent.parent


def build(data_dir, *overrides, devices=1, dtype='float32'):
  config = configs.load(str(ROOT / 'configs/resnet.py') + ':depth=8,schedule=cosine,epochs=8')
  configs.override(
    config,
    [
      f'--config.data.data_dir={data_dir}',
      '--config.data.validation_size=40',
      '--config.train.batch_size=16',
      '--config.schedule.learning_rate=0.05',
      '--config.augment.cutout=8',
      f'--config.sharding.num_devices={devices}',
      f'--config.model.dtype={dtype}',
      *overrides,
    ],
  )
  return experiment.build(config)


class Trainer:
  """A step and what it needs, for as many steps as a test likes."""

  def __init__(self, parts, step=None):
    self.parts = parts
    self.step = step or experiment.train_step(parts)
    self.state = experiment.initial_state(parts)
    train = parts.dataset.train
    self.data = sharding.replicate((train.images, train.labels), parts.mesh)
    self.key = jax.device_put(parts.key, sharding.replicated(parts.mesh))

  def run(self, num_steps):
    losses = []
    for _ in range(num_steps):
      count = self.state.num_steps
      epoch = order.epoch_of(count, 16, len(self.parts.dataset.train))
      epoch_order = order.of_epoch(self.key, jnp.int32(epoch), len(self.parts.dataset.train))
      before = metrics.read(self.state.means)['loss'] if count else 0.0
      self.state = self.step(self.state, self.key, *self.data, epoch_order)
      losses.append(metrics.read(self.state.means)['loss'] * (count + 1) - before * count)
    return np.array(losses)


@pytest.fixture(scope='module')
def compiled(tiny_cifar):
  """The parts of the plain configuration, and its step, compiled once for several tests."""
  parts = build(tiny_cifar)
  return parts, experiment.train_step(parts)


def digest(state) -> str:
  """Of every bit of a state."""
  sha = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(state):
    sha.update(f'{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}'.encode())
    sha.update(np.asarray(leaf).tobytes())
  return sha.hexdigest()


@pytest.mark.usefixtures('compiled_afresh')
def test_same_bits_again_and_compiled_afresh(compiled):
  first, second = Trainer(*compiled), Trainer(*compiled)
  first.run(3)
  second.run(2)
  second.step = experiment.train_step(second.parts)
  second.run(1)
  assert second.step._cache_size() == 1
  assert digest(first.state) == digest(second.state)


@pytest.mark.usefixtures('compiled_afresh')
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_same_bits_in_another_process(tiny_cifar, compiled, dtype):
  environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(ROOT), str(ROOT / 'tests')])}
  code = (
    'import sys, test_step as t; '
    't_ = t.Trainer(t.build(sys.argv[1], dtype=sys.argv[2])); t_.run(2); print(t.digest(t_.state))'
  )
  command = [sys.executable, '-c', code, str(tiny_cifar), dtype]
  other = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
  here = Trainer(*compiled) if dtype == 'float32' else Trainer(build(tiny_cifar, dtype=dtype))
  here.run(2)
  assert other.stdout.strip() == digest(here.state)


def test_another_seed_gives_another_run(tiny_cifar, compiled):
  other = Trainer(build(tiny_cifar, '--config.seed=1'))
  assert digest(Trainer(*compiled).state) != digest(other.state)


class Drawing(nn.Module):
  """A net whose statistics are what it drew in the last step."""

  @nn.compact
  def __call__(self, images, train):
    for stream in keys.MODULE_STREAMS:
      drawn = self.variable('batch_stats', stream, jnp.zeros, ())
      if train:
        drawn.value = jax.random.uniform(self.make_rng(stream))
    return nn.Dense(10, name='head')(jnp.mean(images, (1, 2)))


def test_every_step_and_stream_draws_anew(tiny_cifar):
  trainer = Trainer(dataclasses.replace(build(tiny_cifar), model=Drawing()))
  drawn = []
  for _ in range(3):
    trainer.run(1)
    drawn += [float(value) for value in trainer.state.batch_stats.values()]
  assert len(set(drawn)) == 3 * len(keys.MODULE_STREAMS)


@pytest.mark.slow
def test_eight_devices_give_the_metrics_of_one(tiny_cifar):
  # A low rate: at a high one training itself multiplies the rounding from step to step.
  # Images are mixed, which takes them and their labels from one device to the next.
  options = ['--config.schedule.learning_rate=0.005', '--config.augment.cutmix=1.0']
  one, eight = Trainer(build(tiny_cifar, *options)), Trainer(build(tiny_cifar, *options, devices=8))
  assert eight.parts.mesh.size == 8
  # Normalising 16 images at a time does so too: seen are 1e-7 at the first step, 2e-4 at the last.
  np.testing.assert_allclose(one.run(20), eight.run(20), rtol=1e-3)
  split = placed.place(one.parts.dataset.validation, 16, one.parts.mesh)
  values, _ = placed.evaluate(experiment.eval_step(one.parts), one.state, split)
  split = placed.place(eight.parts.dataset.validation, 16, eight.parts.mesh)
  spread, _ = placed.evaluate(experiment.eval_step(eight.parts), eight.state, split)
  np.testing.assert_allclose(values['loss'], spread['loss'], rtol=1e-3)
  for leaf in jax.tree.leaves(eight.state):
    assert leaf.sharding.is_fully_replicated


def test_the_loss_falls_statistics_move_and_nothing_compiles_twice(compiled):
  trainer = Trainer(*compiled)
  before = jax.tree.map(np.asarray, trainer.state.batch_stats)
  losses = trainer.run(60)
  assert losses[-10:].mean() < 0.7 * losses[:10].mean()
  assert trainer.step._cache_size() == 1
  moved = jax.tree.map(lambda a, b: np.any(a != b), before, trainer.state.batch_stats)
  assert all(jax.tree.leaves(moved))
  assert {leaf.dtype for leaf in jax.tree.leaves(trainer.state.params)} == {np.dtype('float32')}
  eval_step = experiment.eval_step(trainer.parts)
  split = placed.place(trainer.parts.dataset.test, 16, trainer.parts.mesh)
  placed.evaluate(eval_step, trainer.state, split)
  placed.evaluate(eval_step, trainer.state, split)
  assert eval_step._cache_size() == 1


def test_the_compiler_leaves_the_barriers_of_the_convolutions(compiled):
  trainer = Trainer(*compiled)
  first = order.of_epoch(trainer.key, jnp.int32(0), len(trainer.parts.dataset.train))
  lowered = trainer.step.lower(trainer.state, trainer.key, *trainer.data, first)
  assert lowered.compile().as_text().count(' opt-barrier(') >= 7  # a ResNet-8's convolutions


@pytest.mark.parametrize('batch_size', [20, 48])
def test_evaluation_counts_every_image_once(tiny_cifar, batch_size):
  parts = build(tiny_cifar, f'--config.train.batch_size={batch_size}')
  state = experiment.initial_state(parts)
  split = parts.dataset.test
  values, found = placed.evaluate(
    experiment.eval_step(parts), state, placed.place(split, batch_size, parts.mesh)
  )
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  logits = parts.model.apply(variables, parts.normalize(jnp.asarray(split.images)), train=False)
  np.testing.assert_allclose(found, logits, rtol=1e-4, atol=1e-5)
  assert values['accuracy'] == pytest.approx(np.mean(np.argmax(logits, axis=1) == split.labels))
  losses = parts.loss_fn(logits, jnp.asarray(split.labels))
  assert values['loss'] == pytest.approx(float(jnp.mean(losses)), rel=1e-4)


def test_a_step_that_is_not_finite_is_remembered(compiled):
  trainer = Trainer(*compiled)
  trainer.run(2)
  assert int(trainer.state.first_nonfinite) == states.NEVER
  head = trainer.state.params['head'] | {'bias': trainer.state.params['head']['bias'] * np.nan}
  trainer.state = trainer.state.replace(params=trainer.state.params | {'head': head})
  trainer.run(2)
  assert int(trainer.state.first_nonfinite) == 2 * 2  # of step 2, the loss


def test_a_gradient_that_is_not_finite_is_told_from_a_loss(tiny_cifar):
  trainer = Trainer(build(tiny_cifar))
  # A loss without a value's flaw and with a slope's: the root's at its minimum, times zero.
  trainer.step = experiment.train_step(
    dataclasses.replace(trainer.parts, loss_fn=lambda logits, _: jnp.sqrt(0.0 * logits[:, 0]))
  )
  trainer.run(1)
  assert int(trainer.state.first_nonfinite) == 2 * 0 + 1


def test_a_skipped_step_moves_only_the_counters(compiled):
  trainer = Trainer(*compiled)
  trainer.run(1)
  before = jax.device_get(trainer.state)
  after = steps.make_skip_step(trainer.parts.mesh)(trainer.state)
  assert int(after.step) == 2
  changed = {
    jax.tree_util.keystr(path)
    for (path, old), new in zip(
      jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True
    )
    if not np.array_equal(old, new)
  }
  assert len(changed) == 2 and '.step' in changed and any('count' in name for name in changed)
