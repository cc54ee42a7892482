"""Several seeds at once: each equals its run alone, and records and reports describe all seeds."""

import dataclasses
import json
import pathlib
import statistics
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cifar_jax.config import loading
from cifar_jax.config.training import CheckpointSettings
from cifar_jax.errors import DivergedError
from cifar_jax.evaluation import restore
from cifar_jax.experiment import metrics, randomness
from cifar_jax.experiment.eval_step import evaluate_split, make_eval_step, split_to_devices
from cifar_jax.experiment.experiment import Experiment, for_one_seed
from cifar_jax.experiment.seeds import select_seed
from cifar_jax.experiment.state import State
from cifar_jax.experiment.train_step import make_train_step
from cifar_jax.models import layers
from cifar_jax.report import page, summary
from cifar_jax.runs.results import read_records
from cifar_jax.runs.workdir import CONFIG
from cifar_jax.training import out_of_memory
from tests.support.fake_cifar import message
from tests.support.paths import ROOT
from tests.support.sessions import Linear, last_state, run_session, stop_session
from tests.support.trainer import Trainer, build_small

SEEDS = (5, 6, 7)


class Small(nn.Module):
  """A net with convolutions, batch statistics and randomness that compiles fast."""

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    """Maps images `[batch, height, width, channels]` to logits `[batch, 10]`."""
    values = layers.conv(8, 3, 2, name='conv1')(images)
    values = nn.relu(layers.batch_norm(train, jnp.float32)(name='norm')(values))
    values = nn.Dropout(0.5, deterministic=not train)(layers.conv(8, 3, 2, name='conv2')(values))
    return layers.head(values, 10)


def build_with(
  data_dir: pathlib.Path, *overrides: str, model: nn.Module | None = None, devices: int = 1
) -> Experiment:
  """An experiment of one epoch with CutMix.

  Args:
    data_dir: the directory of the small CIFAR-10.
    *overrides: overrides without `--config.`.
    model: the net; None for `Small`.
    devices: number of devices.
  """
  keys = ('augment.cutmix=1.0', 'train.num_epochs=1', *overrides)
  experiment = build_small(data_dir, *(f'--config.{key}' for key in keys), devices=devices)
  return dataclasses.replace(experiment, model=model or Small())


def evaluate(experiment: Experiment, state: State) -> tuple[dict[str, Any], np.ndarray]:
  """The metrics and the logits of the validation split."""
  split = split_to_devices(experiment.dataset.validation, 16, experiment.mesh)
  return evaluate_split(make_eval_step(experiment), state, split)


@pytest.fixture(scope='module')
def alone(tiny_cifar: pathlib.Path) -> list[tuple[State, dict[str, Any], np.ndarray]]:
  """The state after four steps of each seed alone, with its metrics and logits."""
  results, step = [], None  # the seed is no part of the compiled step
  for seed in SEEDS:
    trainer = Trainer(build_with(tiny_cifar, f'seed={seed}'), step)
    trainer.run(4)
    step = trainer.step
    results.append((trainer.state, *evaluate(trainer.experiment, trainer.state)))
  return results


@pytest.mark.ci
@pytest.mark.parametrize(
  'platform,devices,per_call', [('cpu', 1, 2), pytest.param('gpu', 4, 1, marks=pytest.mark.slow)]
)
def test_each_of_several_seeds_equals_its_run_alone(
  tiny_cifar: pathlib.Path,
  alone: list[tuple[State, dict[str, Any], np.ndarray]],
  monkeypatch: pytest.MonkeyPatch,
  platform: str,
  devices: int,
  per_call: int,
) -> None:
  experiment = build_with(tiny_cifar, 'seed=5', 'train.seeds=3', devices=devices)
  monkeypatch.setattr(jax, 'default_backend', lambda: platform)  # chooses loop or vmap
  trainer = Trainer(experiment)
  trainer.step = make_train_step(experiment, per_call)
  trainer.run(4 // per_call)
  values, logits = evaluate(experiment, trainer.state)
  assert trainer.state.step.tolist() == [4, 4, 4] and experiment.seeds == SEEDS
  for index, (state, values_alone, logits_alone) in enumerate(alone):
    stacked = jax.tree_util.tree_leaves_with_path(select_seed(trainer.state, index))
    for (path, leaf), expected in zip(stacked, jax.tree.leaves(state), strict=True):
      np.testing.assert_allclose(leaf, expected, rtol=1e-4, atol=1e-5, err_msg=str(path))
    np.testing.assert_allclose(logits[index], logits_alone, rtol=1e-4, atol=1e-4)
    assert values['each']['loss'][index] == pytest.approx(values_alone['loss'], rel=1e-4)
  assert len({round(loss, 6) for loss in values['each']['loss']}) == 3


def test_read_returns_mean_deviation_and_the_values_of_all_seeds() -> None:
  shape = (4,)
  means = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape), metrics.Means.empty())
  means = means.replace(
    loss=means.loss.replace(total=jnp.array([2.0, 4.0, 6.0, 8.0]), count=jnp.full(shape, 2.0)),
    accuracy=means.accuracy.replace(total=jnp.array([1.0, 1, 2, 4]), count=jnp.full(shape, 4.0)),
    top5_accuracy=means.top5_accuracy.replace(total=jnp.ones(shape), count=jnp.ones(shape)),
  )
  values = metrics.read(means, 10)
  assert values['loss'] == 2.5 and values['each']['loss'] == [1.0, 2.0, 3.0, 4.0]
  assert values['deviation']['loss'] == pytest.approx(np.sqrt(5 / 3))
  assert values['accuracy'] == 0.5 and values['each']['accuracy'] == [0.25, 0.25, 0.5, 1.0]
  assert values['deviation']['top5_accuracy'] == 0.0


def build_three_seeds(data_dir: pathlib.Path, *overrides: str) -> Experiment:
  """An experiment of three seeds of a linear net, with a checkpoint every five steps."""
  keys = ('seed=5', 'train.seeds=3', 'train.log_every_steps=4', *overrides)
  experiment = build_with(data_dir, *keys, model=Linear())
  settings = CheckpointSettings(every_steps=5, keep_last=3)
  return dataclasses.replace(experiment, checkpoint_settings=settings)


Finished = tuple[pathlib.Path, dict[str, Any], Experiment]


@pytest.fixture(scope='module')
def finished(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
  """The workdir of a finished run of three seeds, its result and its experiment."""
  run = tmp_path_factory.mktemp('runs') / 'three'
  experiment = build_three_seeds(tiny_cifar)
  result = run_session(experiment, run)
  config = loading.load(str(ROOT / 'configs/resnet.py') + ':depth=8')
  result |= {'model': 'linear', 'data': 'cifar10', 'device': '1 x cpu', 'seed': 5}
  (run / 'result.json').write_text(json.dumps(result))
  (run / CONFIG).write_text(loading.to_json(config))
  return run, result, experiment


@pytest.mark.ci
def test_records_and_result_hold_mean_deviation_and_the_values_of_all_seeds(
  finished: Finished,
) -> None:
  run, result, _ = finished
  assert result['seeds'] == [5, 6, 7] and result['num_params'] == 32 * 32 * 3 * 10 + 10
  for record in read_records(run):
    for name in ('loss', 'accuracy', 'top5_accuracy'):
      assert record[name] == pytest.approx(statistics.fmean(record['each'][name]))
      assert record['deviation'][name] == pytest.approx(statistics.stdev(record['each'][name]))
  test = [record for record in read_records(run) if record['split'] == 'test']
  assert [record['each'] for record in test] == [result['test']['each']]
  validation = [r for r in read_records(run) if r['split'] == 'validation']
  assert result['best']['validation_accuracy'] == max(r['accuracy'] for r in validation)
  assert len(result['best']['test']['each']['accuracy']) == 3
  speed = 13 * 16 * 3 / result['seconds']
  assert result['images_per_second'] == pytest.approx(speed, rel=0.05)


def test_summary_and_report_describe_several_seeds(finished: Finished) -> None:
  run, result, _ = finished
  each = ', '.join(f'{100 * value:.2f}' for value in result['test']['each']['accuracy'])
  outcome, effort, _ = summary.lines(run)
  mean = 100 * result['test']['accuracy']
  deviation = 100 * result['test']['deviation']['accuracy']
  assert f'test accuracy {mean:.2f} ± {deviation:.2f} % (3 seeds: {each}) at the last' in outcome
  assert 'images/s of all seeds together' in effort
  page.write([run], run / 'report.html')
  shown = (run / 'report.html').read_text()
  assert 'Mean ± standard deviation of 3 seeds' in shown
  assert f'{100 - mean:.2f} ± {deviation:.2f} %' in shown
  assert (run / 'evaluation' / 'test_last_seed5.json').exists()


def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
  tiny_cifar: pathlib.Path, finished: Finished, tmp_path: pathlib.Path
) -> None:
  run, result, experiment = finished
  stop_session(experiment, tmp_path / 'run', num_dispatches=7)
  again = run_session(experiment, tmp_path / 'run')
  assert again['test'] == result['test'] and again['best'] == result['best']
  assert last_state(experiment, tmp_path / 'run') == last_state(experiment, run)
  records, resumed_records = (
    [(r['step'], r['split'], r['each']) for r in read_records(path)]
    for path in (run, tmp_path / 'run')
  )
  assert records == resumed_records


def test_one_seed_of_a_run_is_restored(
  finished: Finished, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
  run, result, experiment = finished
  monkeypatch.setattr(restore, 'build', lambda config: experiment)
  for index in range(3):
    restored = restore.restore_run(run, 'last', [], index)
    assert restored.experiment.seeds == (SEEDS[index],) and restored.is_one_of_several_seeds
    split = split_to_devices(experiment.dataset.test, 16, experiment.mesh)
    values, _ = evaluate_split(make_eval_step(restored.experiment), restored.state, split)
    assert values['accuracy'] == result['test']['each']['accuracy'][index]
    assert f'this is seed {SEEDS[index]}' in caplog.text
  assert 'has 3 seeds' in message(lambda: restore.restore_run(run, 'last', [], 3))


@pytest.mark.parametrize('nonfinite', ['stop', 'skip'])
def test_a_seed_that_diverges_is_named(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, nonfinite: str
) -> None:
  experiment = build_three_seeds(tiny_cifar, f'train.nonfinite={nonfinite}')
  wrong_key = jax.random.key_data(randomness.stream(select_seed(experiment.key, 1), 'augment', 7))

  def augment(key: jax.Array, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    is_wrong = jnp.all(jax.random.key_data(key) == wrong_key)
    return jnp.where(is_wrong, jnp.nan, images.astype(jnp.float32) / 255), labels

  experiment = dataclasses.replace(experiment, augment_fn=augment)
  if nonfinite == 'stop':
    with pytest.raises(DivergedError, match='the loss of step 7 of seed 6 is not finite'):
      run_session(experiment, tmp_path / 'run')
  else:
    assert run_session(experiment, tmp_path / 'run')['skipped_steps'] == [7]
    assert 'the loss of step 7 of seed 6 is not finite: back to step 5' in caplog.text


@pytest.mark.ci
def test_the_memory_of_a_step_is_that_of_all_seeds(
  tiny_cifar: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  experiment = build_three_seeds(tiny_cifar)
  one = out_of_memory.step_bytes(for_one_seed(experiment, 0), 16)
  two_more_kernels_with_momentum = 2 * 2 * (32 * 32 * 3 * 10) * 4
  assert out_of_memory.step_bytes(experiment, 16) > one + two_more_kernels_with_momentum
  monkeypatch.setattr(out_of_memory, 'step_bytes', lambda *_: 0)
  assert 'train.batch_size is 16 and train.seeds 3; 8 would fit' in out_of_memory.advice(experiment)
  assert 'fewer train.seeds' in out_of_memory.advice(experiment)
