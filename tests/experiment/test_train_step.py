"""The jitted step: deterministic, equal on any number of devices, and compiled once."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.experiment.epoch_order import order_of_epoch
from cifar_jax.experiment.eval_step import evaluate_split, make_eval_step, split_to_devices
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.state import NEVER, initial_state
from cifar_jax.experiment.train_step import TrainStep, make_skip_step, make_train_step
from cifar_jax.models.classifier import STREAMS
from tests.support import sessions
from tests.support.paths import ROOT
from tests.support.trainer import Trainer, build_small, digest


@pytest.fixture(scope='module')
def compiled(tiny_cifar: pathlib.Path) -> tuple[Experiment, TrainStep]:
  """The experiment without overrides, and its step, compiled once for several tests."""
  experiment = build_small(tiny_cifar)
  return experiment, make_train_step(experiment)


@pytest.mark.usefixtures('compiled_afresh')
def test_a_repeated_run_and_a_recompiled_step_have_the_same_bits(
  compiled: tuple[Experiment, TrainStep],
) -> None:
  first, second = Trainer(*compiled), Trainer(*compiled)
  first.run(3)
  second.run(2)
  second.step = make_train_step(second.experiment)
  second.run(1)
  assert second.step._cache_size() == 1
  assert digest(first.state) == digest(second.state)


@pytest.mark.ci
@pytest.mark.usefixtures('compiled_afresh')
def test_another_process_computes_the_same_bits(
  tiny_cifar: pathlib.Path, compiled: tuple[Experiment, TrainStep]
) -> None:
  code = """
import sys
from tests.support.trainer import Trainer, build_small, digest
for dtype in ('float32', 'bfloat16'):
  trainer = Trainer(build_small(sys.argv[1], dtype=dtype))
  trainer.run(2)
  print(digest(trainer.state))
"""
  environment = os.environ | {'PYTHONPATH': str(ROOT)}
  command = [sys.executable, '-c', code, str(tiny_cifar)]
  other = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
  here = [Trainer(*compiled), Trainer(build_small(tiny_cifar, dtype='bfloat16'))]
  for trainer in here:
    trainer.run(2)
  assert other.stdout.split() == [digest(trainer.state) for trainer in here]


def test_another_seed_makes_another_initial_state(
  tiny_cifar: pathlib.Path, compiled: tuple[Experiment, TrainStep]
) -> None:
  other = Trainer(build_small(tiny_cifar, '--config.seed=1'))
  assert digest(Trainer(*compiled).state) != digest(other.state)


def test_three_steps_are_those_of_the_formulas(tiny_cifar: pathlib.Path) -> None:
  """Softmax regression by Nesterov's momentum, decay and a cosine, as in Torch, in NumPy."""
  off = [f'--config.augment.{word}' for word in ('flip=false', 'pad=0', 'cutout=0')]
  off.append('--config.optimizer.weight_decay=0.1')  # so that its place in the step matters
  experiment = dataclasses.replace(build_small(tiny_cifar, *off), model=sessions.Linear())
  trainer = Trainer(experiment)
  head = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), trainer.state.params['head'])
  velocity = jax.tree.map(np.zeros_like, head)
  settings, train = experiment.optimizer_settings, experiment.dataset.train
  order = np.asarray(order_of_epoch(experiment.key, jnp.int32(0), len(train)).indices)
  for step in range(3):
    batch = order[step * 16 : (step + 1) * 16]
    pixels = (train.images[batch] / 255 - experiment.dataset.mean) / experiment.dataset.std
    x = pixels.reshape(16, -1)
    odds = np.exp(x @ head['kernel'] + head['bias'])
    error = (odds / odds.sum(axis=1, keepdims=True) - np.eye(10)[train.labels[batch]]) / 16
    rate = 0.05 * (1 + np.cos(np.pi * step / experiment.num_steps)) / 2
    for name, gradient in (('kernel', x.T @ error), ('bias', error.sum(axis=0))):
      gradient = gradient + settings.weight_decay * head[name]
      velocity[name] = settings.momentum * velocity[name] + gradient
      ahead = gradient + settings.momentum * velocity[name] if settings.nesterov else velocity[name]
      head[name] = head[name] - rate * ahead
  trainer.run(3)
  for name, expected in head.items():
    np.testing.assert_allclose(trainer.state.params['head'][name], expected, rtol=1e-3, atol=1e-5)


class RandomNet(nn.Module):
  """A net whose batch statistics are its random numbers of the last step, one for each stream."""

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Maps images `[batch, height, width, channels]` to logits `[batch, 10]`."""
    for stream in STREAMS:
      number = self.variable('batch_stats', stream, jnp.zeros, ())
      if train:
        number.value = jax.random.uniform(self.make_rng(stream))
    return nn.Dense(10, name='head')(jnp.mean(images, (1, 2)))


def test_every_step_and_stream_has_other_random_numbers(tiny_cifar: pathlib.Path) -> None:
  trainer = Trainer(dataclasses.replace(build_small(tiny_cifar), model=RandomNet()))
  numbers = []
  for _ in range(3):
    trainer.run(1)
    numbers += [float(value) for value in trainer.state.batch_stats.values()]
  assert len(set(numbers)) == 3 * len(STREAMS)


@pytest.mark.slow
def test_eight_devices_compute_the_metrics_of_one(tiny_cifar: pathlib.Path) -> None:
  # The rate is low, because at a high rate training itself multiplies rounding errors at each step.
  # CutMix moves images and labels from one device to the next.
  options = ['--config.schedule.learning_rate=0.005', '--config.augment.cutmix=1.0']
  one, eight = (
    Trainer(build_small(tiny_cifar, *options)),
    Trainer(build_small(tiny_cifar, *options, devices=8)),
  )
  assert eight.experiment.mesh.size == 8
  # Normalising 16 images at a time multiplies them too: from 1e-7 at the first step to 2e-4.
  np.testing.assert_allclose(one.run(20), eight.run(20), rtol=1e-3)
  split = split_to_devices(one.experiment.dataset.validation, 16, one.experiment.mesh)
  values_of_one, _ = evaluate_split(make_eval_step(one.experiment), one.state, split)
  split = split_to_devices(eight.experiment.dataset.validation, 16, eight.experiment.mesh)
  values_of_eight, _ = evaluate_split(make_eval_step(eight.experiment), eight.state, split)
  np.testing.assert_allclose(values_of_one['loss'], values_of_eight['loss'], rtol=1e-3)
  for leaf in jax.tree.leaves(eight.state):
    assert leaf.sharding.is_fully_replicated


def test_the_loss_falls_statistics_change_and_nothing_compiles_twice(
  compiled: tuple[Experiment, TrainStep],
) -> None:
  trainer = Trainer(*compiled)
  before = jax.tree.map(np.asarray, trainer.state.batch_stats)
  losses = trainer.run(60)
  assert losses[-10:].mean() < 0.7 * losses[:10].mean()
  assert trainer.step._cache_size() == 1
  changed = jax.tree.map(lambda a, b: np.any(a != b), before, trainer.state.batch_stats)
  assert all(jax.tree.leaves(changed))
  assert {leaf.dtype for leaf in jax.tree.leaves(trainer.state.params)} == {np.dtype('float32')}
  eval_step: Any = make_eval_step(trainer.experiment)
  split = split_to_devices(trainer.experiment.dataset.test, 16, trainer.experiment.mesh)
  evaluate_split(eval_step, trainer.state, split)
  evaluate_split(eval_step, trainer.state, split)
  assert eval_step._cache_size() == 1


def test_the_compiler_keeps_the_barriers_of_residual_sums(
  compiled: tuple[Experiment, TrainStep],
) -> None:
  trainer = Trainer(*compiled)
  first = order_of_epoch(trainer.key, jnp.int32(0), len(trainer.experiment.dataset.train))
  lowered = trainer.step.lower(trainer.state, trainer.key, *trainer.data, first)
  assert lowered.compile().as_text().count(' opt-barrier(') >= 6  # three sums and their gradients


@pytest.mark.parametrize('batch_size', [20, 48])
def test_evaluation_counts_every_image_once(tiny_cifar: pathlib.Path, batch_size: int) -> None:
  smoothing = '--config.loss.label_smoothing=0.2'  # of the training loss alone
  experiment = build_small(tiny_cifar, f'--config.train.batch_size={batch_size}', smoothing)
  state = initial_state(experiment)
  split = experiment.dataset.test
  values, evaluated_logits = evaluate_split(
    make_eval_step(experiment), state, split_to_devices(split, batch_size, experiment.mesh)
  )
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  classify = jax.jit(functools.partial(experiment.model.apply, train=False))
  logits: Any = classify(variables, experiment.normalize(jnp.asarray(split.images)))
  np.testing.assert_allclose(evaluated_logits, logits, rtol=1e-4, atol=1e-5)
  assert values['accuracy'] == pytest.approx(np.mean(np.argmax(logits, axis=1) == split.labels))
  log_probabilities = np.asarray(jax.nn.log_softmax(logits))[np.arange(len(split)), split.labels]
  assert values['loss'] == pytest.approx(-float(np.mean(log_probabilities)), rel=1e-4)


def test_the_first_step_with_a_loss_that_is_not_finite_is_recorded(
  compiled: tuple[Experiment, TrainStep],
) -> None:
  trainer = Trainer(*compiled)
  trainer.run(2)
  assert int(trainer.state.first_nonfinite) == NEVER
  head = trainer.state.params['head'] | {'bias': trainer.state.params['head']['bias'] * np.nan}
  params = trainer.state.params | {'head': head}
  trainer.state = dataclasses.replace(trainer.state, params=params)
  trainer.run(2)
  assert int(trainer.state.first_nonfinite) == 2 * 2  # the loss of step 2


@pytest.mark.ci
def test_a_nonfinite_gradient_is_distinguished_from_a_nonfinite_loss(
  tiny_cifar: pathlib.Path,
) -> None:
  trainer = Trainer(build_small(tiny_cifar))
  # The loss is finite, but its gradient is not: the root of zero has an infinite slope, times zero.
  trainer.step = make_train_step(
    dataclasses.replace(trainer.experiment, loss_fn=lambda logits, _: jnp.sqrt(0.0 * logits[:, 0]))
  )
  trainer.run(1)
  assert int(trainer.state.first_nonfinite) == 2 * 0 + 1  # the gradient of step 0


def test_a_skipped_step_changes_only_the_counters(compiled: tuple[Experiment, TrainStep]) -> None:
  trainer = Trainer(*compiled)
  trainer.run(1)
  before = jax.device_get(trainer.state)
  after = make_skip_step(trainer.experiment)(trainer.state)
  assert int(after.step) == 2
  changed = {
    jax.tree_util.keystr(path)
    for (path, old), new in zip(
      jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True
    )
    if not np.array_equal(old, new)
  }
  assert len(changed) == 2 and '.step' in changed and any('count' in name for name in changed)
