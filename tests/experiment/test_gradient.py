"""Parts of a batch, SAM and averages of the weights in the training step."""

import dataclasses
import functools
import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cifar_jax.config import loading
from cifar_jax.errors import InputError
from cifar_jax.evaluation import restore
from cifar_jax.experiment import gradient, randomness
from cifar_jax.experiment.eval_step import evaluate_split, make_eval_step, split_to_devices
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.experiment.seeds import select_seed
from cifar_jax.experiment.state import EmaState, LookaheadState, State, initial_state
from cifar_jax.experiment.train_step import make_skip_step
from cifar_jax.models import layers
from cifar_jax.runs.workdir import CONFIG
from tests.support.paths import ROOT
from tests.support.sessions import Linear, last_state, run_session, stop_session
from tests.support.trainer import Trainer, build_small

RANDOM = np.random.RandomState(0)
IMAGES = jnp.asarray(RANDOM.standard_normal((16, 8, 8, 3)), jnp.float32)
LABELS = jnp.asarray(RANDOM.randint(0, 10, 16))


class Normed(nn.Module):
  """A smooth net with batch statistics and dropout that compiles fast."""

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Maps images `[batch, height, width, channels]` to logits `[batch, 10]`."""
    values = nn.Dense(8, use_bias=False, name='dense1')(images.reshape(len(images), -1))
    values = jnp.tanh(layers.batch_norm(train, jnp.float32)(name='norm1')(values))
    return nn.Dense(10, name='head')(nn.Dropout(0.5, deterministic=not train)(values))


def build(
  data_dir: pathlib.Path, *overrides: str, model: nn.Module | None = None, devices: int = 1
) -> Experiment:
  """An experiment of two epochs; its net is `Normed` where none is given."""
  keys = ('train.num_epochs=2', 'train.log_every_steps=4', *overrides)
  experiment = build_small(data_dir, *(f'--config.{key}' for key in keys), devices=devices)
  return dataclasses.replace(experiment, model=model or Normed())


def gradient_of(experiment: Experiment, state: State) -> gradient.BatchGradient:
  """The gradient of `IMAGES` and `LABELS`."""
  of_batch = jax.jit(
    lambda params, stats: gradient.of_batch(
      experiment, params, stats, randomness.module_streams(experiment.key, 0), IMAGES, LABELS
    )
  )
  return of_batch(state.params, state.batch_stats)


def variables(model: nn.Module) -> State:
  """A state with the variables of a net for `IMAGES`."""
  init = jax.jit(functools.partial(model.init, train=False))
  made: Any = init(jax.random.key(1), IMAGES)
  fields: Any = dict.fromkeys(('step', 'opt_state', 'means', 'first_nonfinite'))
  return State(params=made['params'], batch_stats=made.get('batch_stats', {}), **fields)


def close(a: Any, b: Any) -> None:
  """Asserts that two trees are equal up to rounding."""
  jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), a, b)


@pytest.mark.parametrize('devices', [1, 4])
def test_the_mean_gradient_of_the_parts_is_that_of_the_batch(
  tiny_cifar: pathlib.Path, devices: int
) -> None:
  whole = build(tiny_cifar, model=Linear(), devices=devices)
  in_parts = build(tiny_cifar, 'train.accumulation=4', model=Linear(), devices=devices)
  state = variables(Linear())
  expected, got = gradient_of(whole, state), gradient_of(in_parts, state)
  close(got, expected)
  assert np.any(np.abs(expected.gradient['head']['kernel']) > 1e-3)


@pytest.mark.ci
def test_parts_have_their_own_statistics_and_random_numbers(tiny_cifar: pathlib.Path) -> None:
  experiment = build(tiny_cifar, 'train.accumulation=2')
  one = build(tiny_cifar)
  state = variables(experiment.model)
  got = gradient_of(experiment, state)
  streams = randomness.module_streams(experiment.key, 0)
  stats, gradients, losses = state.batch_stats, [], np.zeros(16)
  for index in range(2):
    part_streams = {name: jax.random.fold_in(key, index) for name, key in streams.items()}
    part = gradient.of_batch(
      one, state.params, stats, part_streams, IMAGES[index::2], LABELS[index::2]
    )
    stats, losses[index::2] = part.batch_stats, part.losses
    gradients.append(part.gradient)
  close(got.gradient, jax.tree.map(lambda a, b: (a + b) / 2, *gradients))
  close(got.batch_stats, stats)
  np.testing.assert_allclose(got.losses, losses, rtol=1e-4)
  np.testing.assert_allclose(got.loss, losses.mean(), rtol=1e-4)


def test_a_batch_that_does_not_divide_into_parts_is_refused(tiny_cifar: pathlib.Path) -> None:
  with pytest.raises(InputError, match=r'train\.batch_size is 16; .* times train\.accumulation, 3'):
    build(tiny_cifar, 'train.accumulation=3')


@pytest.mark.ci
@pytest.mark.parametrize('parts', [pytest.param(1, marks=pytest.mark.slow), 2])
def test_sam_takes_the_gradient_at_the_highest_point_with_the_same_random_numbers(
  tiny_cifar: pathlib.Path, parts: int
) -> None:
  keys = [f'train.accumulation={parts}']
  plain = build(tiny_cifar, *keys)
  experiment = build(tiny_cifar, *keys, 'optimizer.sam_radius=0.3')
  state = variables(experiment.model)
  first, got = gradient_of(plain, state), gradient_of(experiment, state)
  scale = 0.3 / optax.tree.norm(first.gradient)
  moved = jax.tree.map(lambda weight, slope: weight + scale * slope, state.params, first.gradient)
  close(got.gradient, gradient_of(plain, dataclasses.replace(state, params=moved)).gradient)
  difference = optax.tree.sub(got.gradient, first.gradient)
  assert optax.tree.norm(difference) > 0.01 * optax.tree.norm(first.gradient)
  close(got._replace(gradient=None), first._replace(gradient=None))


# Muon's state holds that of Adam too; the states of the other rules are parts of it.
EVERYTHING = (
  *('optimizer.name=muon', 'optimizer.ema_decay=0.9', 'optimizer.sam_radius=0.05'),
  *('train.accumulation=2', 'schedule.learning_rate=0.003'),
)


@pytest.mark.ci
def test_weights_and_statistics_are_averaged_over_the_steps_and_evaluated(
  tiny_cifar: pathlib.Path,
) -> None:
  trainer = Trainer(build(tiny_cifar, 'optimizer.ema_decay=0.15'))
  first = trainer.state
  assert isinstance(first, EmaState)
  expected = jax.tree.map(np.asarray, (first.params, first.batch_stats))
  for step in range(1, 4):
    trainer.run(1)
    decay = min(0.15, (1 + step) / (10 + step))
    expected = jax.tree.map(
      lambda old, new, share=decay: share * old + (1 - share) * np.asarray(new),
      expected,
      (trainer.state.params, trainer.state.batch_stats),
    )
  last: Any = trainer.state
  close((last.average_params, last.average_stats), expected)
  evaluated = last.to_evaluate
  assert type(evaluated) is State and evaluated.params is last.average_params
  split = split_to_devices(trainer.experiment.dataset.test, 16, trainer.experiment.mesh)
  eval_step = make_eval_step(trainer.experiment)
  of_averages, of_weights = (
    evaluate_split(eval_step, state, split)[0]['loss']
    for state in (last, dataclasses.replace(evaluated, params=last.params))
  )
  assert of_averages == evaluate_split(eval_step, evaluated, split)[0]['loss'] != of_weights


@pytest.mark.ci
def test_lookahead_sets_weights_and_statistics_to_their_average_and_after_a_skipped_step_too(
  tiny_cifar: pathlib.Path,
) -> None:
  experiment = build(tiny_cifar, 'optimizer.lookahead_steps=3', 'optimizer.lookahead_decay=0.5')
  trainer = Trainer(dataclasses.replace(experiment, num_steps=7))
  weights = lambda state: (state.params, state.batch_stats)  # noqa: E731
  start = jax.tree.map(np.asarray, weights(trainer.state))
  trainer.run(2)
  before = jax.device_get(trainer.state)
  assert isinstance(before, LookaheadState) and before.to_evaluate is before
  close((before.average_params, before.average_stats), start)
  after: Any = make_skip_step(trainer.experiment)(trainer.state)
  share = 0.5**3 * (3 / 7) ** 3
  mean = lambda old, new: share * old + (1 - share) * new  # noqa: E731
  close(weights(after), jax.tree.map(mean, start, weights(before)))
  close((after.average_params, after.average_stats), weights(after))


def test_a_state_without_averages_has_the_leaves_of_earlier_versions(
  tiny_cifar: pathlib.Path,
) -> None:
  assert type(initial_state(build(tiny_cifar))) is State


@pytest.mark.ci
def test_a_stopped_run_with_everything_on_resumes_to_the_bit_and_is_restored_with_its_averages(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  experiment = build(tiny_cifar, *EVERYTHING, 'train.seeds=2')
  result = run_session(experiment, tmp_path / 'whole')
  run = tmp_path / 'run'
  stop_session(experiment, run, 9)
  again = run_session(experiment, run)
  assert last_state(experiment, run) == last_state(experiment, tmp_path / 'whole')
  assert (again['test'], again['best']) == (result['test'], result['best'])

  (run / CONFIG).write_text(loading.to_json(loading.load(str(ROOT / 'configs/resnet.py'))))
  monkeypatch.setattr(restore, 'build', lambda config: experiment)
  restored = restore.restore_run(run, 'last', [], 1)
  split = split_to_devices(experiment.dataset.test, 16, experiment.mesh)
  values, _ = evaluate_split(make_eval_step(restored.experiment), restored.state, split)
  assert type(restored.state) is State
  assert values['accuracy'] == result['test']['each']['accuracy'][1]
  assert values['loss'] == pytest.approx(result['test']['each']['loss'][1], rel=1e-5)


@pytest.mark.slow
def test_each_seed_is_what_it_would_be_alone_and_devices_change_nothing(
  tiny_cifar: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')  # chooses vmap; CPUs loop
  together = Trainer(build(tiny_cifar, *EVERYTHING, 'train.seeds=2', devices=4))
  together.run(2)
  alone = Trainer(build(tiny_cifar, *EVERYTHING, 'seed=1'))
  alone.run(2)
  states: list[Any] = [select_seed(together.state, 1), alone.state]
  got, expected = ((state.average_params, state.average_stats) for state in states)
  # The first steps of Adam follow the sign of a gradient, which near zero is rounding.
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), got, expected)
