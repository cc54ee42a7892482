"""What the loop does about a step that is not finite, and about too little memory."""

import dataclasses
import json
import logging
import signal

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from bad_input import RESNET
from test_step import build, digest

from cifar_jax import checkpoint, experiment, keys, loop, memory, signals, train, workdir
from cifar_jax import config as configs
from cifar_jax.errors import DivergedError, ShortageError
from cifar_jax.report import runs

POISONED = 7  # the step whose images are no numbers
NUM_STEPS = 25  # two epochs of 200 images in batches of 16


class Linear(nn.Module):
  """A net that compiles at once."""

  @nn.compact
  def __call__(self, images, train):
    return nn.Dense(10, name='head')(images.reshape(len(images), -1))


def make(data_dir, nonfinite, poisoned=(POISONED,)):
  parts = build(data_dir, '--config.train.num_epochs=2', '--config.train.log_every_steps=4')

  def augment(key, images, labels):
    wrong = jnp.bool_(False)
    for step in poisoned:
      wrong |= jnp.all(
        jax.random.key_data(key) == jax.random.key_data(keys.stream(parts.key, 'augment', step))
      )
    return jnp.where(wrong, jnp.nan, images.astype(jnp.float32)), labels

  return dataclasses.replace(
    parts,
    model=Linear(),
    augment_fn=augment,
    plan=dataclasses.replace(parts.plan, nonfinite=nonfinite),
    checkpoints=checkpoint.Policy(every_steps=3, keep_last=3),
  )


class Stop(signals.StopRequest):
  """A request that comes when it has been asked for so often."""

  def __init__(self, after):
    self.after, self.unsaved, self.agreed = after, False, None

  @property
  def received(self):
    self.after -= 1
    return signal.SIGTERM if self.after <= 0 else None


def session(parts, run, stop_after=10**6):
  run.mkdir(exist_ok=True)
  return train._session(parts, run, Stop(stop_after), 'linear', 'commit')


def last_state(parts, run):
  with checkpoint.Checkpoints(run / workdir.CHECKPOINTS, parts.checkpoints) as checkpoints:
    step = checkpoints.latest
    state, told = checkpoints.restore(step, experiment.abstract_state(parts))
  return step, digest(state), told['skipped']


def test_it_stops_names_step_and_metric_and_keeps_the_last_good_checkpoint(tiny_cifar, tmp_path):
  parts = make(tiny_cifar, 'stop')
  with pytest.raises(DivergedError, match=r'the loss of step 7 is not finite.*step 6') as info:
    session(parts, tmp_path / 'run')
  assert (info.value.step, info.value.metric) == (POISONED, 'loss')
  step, _, skipped = last_state(parts, tmp_path / 'run')
  assert (step, skipped) == (6, [])


@pytest.mark.slow
def test_it_goes_back_and_skips_the_batch_the_same_after_a_resume(tiny_cifar, tmp_path, caplog):
  parts = make(tiny_cifar, 'skip')
  with caplog.at_level(logging.INFO):
    result = session(parts, tmp_path / 'whole')
  assert 'the loss of step 7 is not finite: back to step 6, and on without' in caplog.text
  assert result['skipped_steps'] == [POISONED]
  steps = [(r['step'], r['split']) for r in runs.read_records(tmp_path / 'whole')]
  assert len(steps) == len(set(steps)) and (NUM_STEPS, 'test') in steps
  assert [step for step, split in steps if split == 'train'] == [4, 8, 12, 13, 16, 20, 24, 25]
  expected = last_state(parts, tmp_path / 'whole')
  assert expected[0] == NUM_STEPS and expected[2] == [POISONED]

  for stop_after in (5, 20):  # before and after the step that is skipped
    run = tmp_path / f'stopped{stop_after}'
    assert session(parts, run, stop_after) is None
    stopped = last_state(parts, run)
    assert stopped[0] < NUM_STEPS
    again = session(parts, run)
    assert again['skipped_steps'] == [POISONED] and again['test'] == result['test']
    assert last_state(parts, run) == expected
    records = [json.dumps([r['step'], r['split'], r['loss']]) for r in runs.read_records(run)]
    whole = runs.read_records(tmp_path / 'whole')
    assert records == [json.dumps([r['step'], r['split'], r['loss']]) for r in whole]


def test_a_signal_waits_for_no_more_than_the_step_under_way(tiny_cifar, tmp_path, monkeypatch):
  make_step, last, ready = experiment.train_step, [], []

  def watched_step(parts, num_steps):
    step = make_step(parts, num_steps)

    def call(*arguments):
      state = step(*arguments)
      last[:] = [state.step]
      return state

    return call

  class Watch(Stop):
    @property
    def received(self):
      ready.append(last[0].is_ready())
      return super().received

  def slow(key, images, labels):  # a computation that a CPU would not run within the call
    images = images.astype(jnp.float32)
    long = jax.lax.fori_loop(0, 200, lambda _, x: jnp.sin(x), images)
    return images + 0.0 * long, labels

  monkeypatch.setattr(experiment, 'train_step', watched_step)
  parts = dataclasses.replace(make(tiny_cifar, 'stop'), augment_fn=slow)
  run = tmp_path / 'run'
  run.mkdir()
  assert train._session(parts, run, Watch(6), 'linear', 'commit') is None
  assert ready == [True] * 6


def test_batches_that_are_all_wrong_are_not_skipped_for_ever(tiny_cifar, tmp_path):
  parts = make(tiny_cifar, 'skip', poisoned=range(7, 25))
  with pytest.raises(DivergedError, match='not finite'):
    session(parts, tmp_path / 'run')
  step, _, skipped = last_state(parts, tmp_path / 'run')
  assert step < NUM_STEPS and len(skipped) <= loop.MOST_SKIPPED


def test_too_large_a_batch_is_answered_with_one_that_fits(tiny_cifar, monkeypatch, tmp_path):
  parts = make(tiny_cifar, 'stop')
  parts = dataclasses.replace(parts, plan=dataclasses.replace(parts.plan, batch_size=160))
  need = {size: memory.step_bytes(parts, size) for size in (160, 80, 40)}
  assert need[160] > need[80] > need[40] > 40 * 32 * 32 * 3 * 4
  monkeypatch.setattr(memory, 'limit_bytes', lambda _: need[40])
  assert 'train.batch_size is 160; 40 would fit' in memory.advice(parts)
  monkeypatch.setattr(memory, 'step_bytes', lambda _, size: size)
  monkeypatch.setattr(memory, 'limit_bytes', lambda _: 0)
  assert 'not even 5 would fit' in memory.advice(parts)
  monkeypatch.setattr(memory, 'limit_bytes', lambda _: 100)

  def no_memory(*_):
    raise RuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.')

  monkeypatch.setattr(train, '_session', no_memory)
  monkeypatch.setattr(experiment, 'build', lambda _: parts)
  with pytest.raises(ShortageError, match=r'out of memory: train\.batch_size is 160; 80 would'):
    train.run(configs.load(RESNET), tmp_path / 'run')
