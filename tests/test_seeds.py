"""Several seeds at once: each is its run alone, and what is told of them is right."""

import dataclasses
import json
import statistics

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fake_cifar import message
from test_loop import Linear, last_state, session
from test_step import Trainer, build

from cifar_jax import checkpoint, experiment, keys, memory, metrics, placed, restore, seeds, workdir
from cifar_jax import config as configs
from cifar_jax.errors import DivergedError
from cifar_jax.models import layers
from cifar_jax.report import page, runs, summary

SEEDS = (5, 6, 7)


class Small(nn.Module):
  """Convolution, statistics and randomness in a net that compiles soon."""

  @nn.compact
  def __call__(self, images, train):
    values = layers.conv(8, 3, 2, name='conv1')(images)
    values = nn.relu(layers.batch_norm(train, jnp.float32)(name='norm')(values))
    values = nn.Dropout(0.5, deterministic=not train)(layers.conv(8, 3, 2, name='conv2')(values))
    return layers.head(values, 10)


def parts_of(data_dir, *overrides, model=None, **more):
  words = [f'--config.{word}' for word in ('augment.cutmix=1.0', 'train.num_epochs=1', *overrides)]
  return dataclasses.replace(build(data_dir, *words, **more), model=model or Small())


def evaluated(parts, state):
  split = placed.place(parts.dataset.validation, 16, parts.mesh)
  return placed.evaluate(experiment.eval_step(parts), state, split)


@pytest.fixture(scope='module')
def alone(tiny_cifar):
  """Of each seed, run by itself: the state after some steps, and its evaluation."""
  found = []
  for seed in SEEDS:
    trainer = Trainer(parts_of(tiny_cifar, f'seed={seed}'))
    trainer.run(4)
    found.append((trainer.state, *evaluated(trainer.parts, trainer.state)))
  return found


@pytest.mark.parametrize(
  'platform,devices,per_call', [('cpu', 1, 1), ('gpu', 1, 1), ('cpu', 1, 2), ('gpu', 4, 2)]
)
def test_each_seed_of_a_stack_is_its_run_alone(
  tiny_cifar, alone, monkeypatch, platform, devices, per_call
):
  parts = parts_of(tiny_cifar, 'seed=5', 'train.seeds=3', devices=devices)
  monkeypatch.setattr(jax, 'default_backend', lambda: platform)  # chooses loop or vmap
  trainer = Trainer(parts)
  trainer.step = experiment.train_step(parts, per_call)
  trainer.run(4 // per_call)
  values, logits = evaluated(parts, trainer.state)
  assert trainer.state.step.tolist() == [4, 4, 4] and parts.seeds == SEEDS
  for index, (state, own_values, own_logits) in enumerate(alone):
    stacked = jax.tree_util.tree_leaves_with_path(seeds.take(trainer.state, index))
    for (path, leaf), expected in zip(stacked, jax.tree.leaves(state), strict=True):
      np.testing.assert_allclose(leaf, expected, rtol=1e-4, atol=1e-5, err_msg=str(path))
    np.testing.assert_allclose(logits[index], own_logits, rtol=1e-4, atol=1e-4)
    assert values['each']['loss'][index] == pytest.approx(own_values['loss'], rel=1e-4)
  assert len({round(loss, 6) for loss in values['each']['loss']}) == 3


def test_mean_and_deviation_are_those_of_the_values():
  shape = (4,)
  means = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape), metrics.Means.empty())
  means = means.replace(
    loss=means.loss.replace(total=jnp.array([2.0, 4.0, 6.0, 8.0]), count=jnp.full(shape, 2.0)),
    accuracy=means.accuracy.replace(total=jnp.array([1.0, 1, 2, 4]), count=jnp.full(shape, 4.0)),
    top5_accuracy=means.top5_accuracy.replace(total=jnp.ones(shape), count=jnp.ones(shape)),
  )
  told = metrics.read(means)
  assert told['loss'] == 2.5 and told['each']['loss'] == [1.0, 2.0, 3.0, 4.0]
  assert told['deviation']['loss'] == pytest.approx(np.sqrt(5 / 3))
  assert told['accuracy'] == 0.5 and told['each']['accuracy'] == [0.25, 0.25, 0.5, 1.0]
  assert told['deviation']['top5_accuracy'] == 0.0


def small_run(data_dir, *overrides):
  words = ('seed=5', 'train.seeds=3', 'train.log_every_steps=4', *overrides)
  parts = parts_of(data_dir, *words, model=Linear())
  return dataclasses.replace(parts, checkpoints=checkpoint.Policy(every_steps=5, keep_last=3))


@pytest.fixture(scope='module')
def finished(tiny_cifar, tmp_path_factory):
  """A run of three seeds, and its result."""
  run = tmp_path_factory.mktemp('runs') / 'three'
  parts = small_run(tiny_cifar)
  result = session(parts, run)
  settings = configs.load('configs/resnet.py:depth=8')
  result |= {'model': 'linear', 'data': 'cifar10', 'device': '1 x cpu'}
  (run / 'result.json').write_text(json.dumps(result))
  (run / workdir.CONFIG).write_text(configs.to_json(settings))
  return run, result, parts


def test_records_and_result_hold_mean_deviation_and_each(finished):
  run, result, _ = finished
  assert result['seeds'] == [5, 6, 7] and result['num_params'] == 32 * 32 * 3 * 10 + 10
  for record in runs.read_records(run):
    for name in ('loss', 'accuracy', 'top5_accuracy'):
      assert record[name] == pytest.approx(statistics.fmean(record['each'][name]))
      assert record['deviation'][name] == pytest.approx(statistics.stdev(record['each'][name]))
  test = [record for record in runs.read_records(run) if record['split'] == 'test']
  assert [record['each'] for record in test] == [result['test']['each']]
  validation = [r for r in runs.read_records(run) if r['split'] == 'validation']
  assert result['best']['validation_accuracy'] == max(r['accuracy'] for r in validation)
  assert len(result['best']['test']['each']['accuracy']) == 3
  speed = 13 * 16 * 3 / result['seconds']
  assert result['images_per_second'] == pytest.approx(speed, rel=0.05)


def test_what_is_said_of_several_seeds(finished):
  run, result, _ = finished
  each = ', '.join(f'{100 * value:.2f}' for value in result['test']['each']['accuracy'])
  outcome, effort, _ = summary.lines(run)
  mean = 100 * result['test']['accuracy']
  deviation = 100 * result['test']['deviation']['accuracy']
  assert f'test accuracy {mean:.2f} ± {deviation:.2f} % (3 seeds: {each}) at the last' in outcome
  assert 'images/s of all seeds together' in effort
  page.write([run], run / 'report.html')
  shown = (run / 'report.html').read_text()
  assert f'last epoch, mean of 3 seeds, deviation {deviation:.2f}' in shown
  assert (run / 'evaluation' / 'test_last_seed5.json').exists()


def test_a_resumed_run_is_the_same_to_the_bit(tiny_cifar, finished, tmp_path):
  run, result, parts = finished
  assert session(parts, tmp_path / 'run', stop_after=7) is None
  again = session(parts, tmp_path / 'run')
  assert again['test'] == result['test'] and again['best'] == result['best']
  assert last_state(parts, tmp_path / 'run') == last_state(parts, run)
  told = [
    [(r['step'], r['split'], r['each']) for r in runs.read_records(path)]
    for path in (run, tmp_path / 'run')
  ]
  assert told[0] == told[1]


def test_one_seed_is_taken_out_of_a_run(finished, monkeypatch, caplog):
  run, result, parts = finished
  monkeypatch.setattr(experiment, 'build', lambda settings: parts)
  for index in range(3):
    restored = restore.restore(run, 'last', [], index)
    assert restored.parts.seeds == (SEEDS[index],) and restored.is_of_several
    split = placed.place(parts.dataset.test, 16, parts.mesh)
    values, _ = placed.evaluate(experiment.eval_step(restored.parts), restored.state, split)
    assert values['accuracy'] == result['test']['each']['accuracy'][index]
    assert f'this is seed {SEEDS[index]}' in caplog.text
  assert 'has 3 seeds' in message(lambda: restore.restore(run, 'last', [], 3))


@pytest.mark.parametrize('nonfinite', ['stop', 'skip'])
def test_a_seed_that_diverges_is_named(tiny_cifar, tmp_path, caplog, nonfinite):
  parts = small_run(tiny_cifar, f'train.nonfinite={nonfinite}')
  wrong_key = jax.random.key_data(keys.stream(seeds.take(parts.key, 1), 'augment', 7))

  def augment(key, images, labels):
    wrong = jnp.all(jax.random.key_data(key) == wrong_key)
    return jnp.where(wrong, jnp.nan, images.astype(jnp.float32) / 255), labels

  parts = dataclasses.replace(parts, augment_fn=augment)
  if nonfinite == 'stop':
    with pytest.raises(DivergedError, match='the loss of step 7 of seed 6 is not finite'):
      session(parts, tmp_path / 'run')
  else:
    assert session(parts, tmp_path / 'run')['skipped_steps'] == [7]
    assert 'the loss of step 7 of seed 6 is not finite: back to step 5' in caplog.text


def test_memory_is_that_of_all_seeds(tiny_cifar, monkeypatch):
  parts = small_run(tiny_cifar)
  one = memory.step_bytes(experiment.of_seed(parts, 0), 16)
  assert memory.step_bytes(parts, 16) > one + 2 * 2 * (32 * 32 * 3 * 10) * 4  # with momentum
  monkeypatch.setattr(memory, 'step_bytes', lambda *_: 0)
  assert 'train.batch_size is 16 and train.seeds 3; 8 would fit' in memory.advice(parts)
  assert 'fewer train.seeds' in memory.advice(parts)
