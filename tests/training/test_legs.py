"""A finished run is trained longer, in a second leg, where its schedule allows it."""

import functools
import json
import os
import pathlib
import shutil
from typing import Any

import pytest
from ml_collections import ConfigDict

from cifar_jax.config import load, loading, override
from cifar_jax.errors import DivergedError
from cifar_jax.experiment import experiment as experiments
from cifar_jax.experiment.later_leg import continue_schedule
from cifar_jax.models import families, own_module, registry
from cifar_jax.report import summary
from cifar_jax.runs import damaged, legs
from cifar_jax.runs.results import read_records
from cifar_jax.runs.workdir import check_workdir, claim_workdir, read_config
from cifar_jax.study import plan
from cifar_jax.training import epoch_evaluator, session
from tests.support.fake_cifar import message

pytestmark = pytest.mark.usefixtures('no_pictures')
NET = """
import flax.linen as nn

from cifar_jax import models
from cifar_jax.config import base


@models.register('two_layers')
class TwoLayers(nn.Module):
  num_classes: int = 10

  @nn.compact
  def __call__(self, images, *, train):
    x = images.reshape(images.shape[0], -1)
    return nn.Dense(self.num_classes, name='head')(nn.relu(nn.Dense(4)(x)))


def get_config():
  return base('two_layers')
"""
CONSTANT = ('schedule.name=constant', 'schedule.learning_rate=0.01')


@pytest.fixture(autouse=True)
def own_families(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  """Forgets after the test which families it has registered; its list of modules is its own."""
  assert registry.FAMILIES
  monkeypatch.setattr(families, '_registered', dict(families._registered))
  monkeypatch.setattr(own_module, 'LIST', str(tmp_path / 'list'))


def configure(folder: pathlib.Path, data_dir: pathlib.Path, epochs: int, *words: str) -> ConfigDict:
  """The configuration of a run of a net that compiles at once."""
  (folder / 'net.py').write_text(NET)
  config = load(str(folder / 'net.py'))
  values = [f'data.data_dir={data_dir}', 'data.validation_size=40', 'train.batch_size=20']
  values += ['sharding.num_devices=1', 'train.log_every_steps=5', f'train.num_epochs={epochs}']
  override(config, [f'--config.{word}' for word in (*values, *words)])
  return config


def read(path: pathlib.Path) -> Any:
  return json.loads(path.read_text())


def comparable(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """The records of a run, without its speed and without the test of an earlier leg."""
  records = read_records(workdir)
  last = records[-1]['step']
  kept = [r for r in records if r['split'] != 'test' or r['step'] == last]
  return [{k: v for k, v in record.items() if k != 'images_per_second'} for record in kept]


@pytest.mark.ci
def test_a_longer_run_with_a_constant_rate_equals_one_that_was_as_long_from_the_start(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  for epochs in (1, 2):
    assert session.run(configure(tmp_path, tiny_cifar, epochs, *CONSTANT), tmp_path / 'run') == 0
  assert session.run(configure(tmp_path, tiny_cifar, 2, *CONSTANT), tmp_path / 'whole') == 0
  assert comparable(tmp_path / 'run') == comparable(tmp_path / 'whole')

  run = tmp_path / 'run'
  result, first = read(run / 'result.json'), read(run / 'leg1' / 'result.json')
  assert result['test'] == read(tmp_path / 'whole' / 'result.json')['test']
  assert [leg['num_epochs'] for leg in result['legs']] == [1, 2]
  assert result['legs'][0]['test'] == first['test'] and first['num_steps'] == 10
  assert 'legs' not in first and result['num_steps'] == 20
  assert read(run / 'leg1' / 'config.json')['train']['num_epochs'] == 1
  assert read(run / 'config.json')['train']['num_epochs'] == 2
  assert (run / 'leg1' / 'evaluation' / 'test_last.json').exists()
  assert (run / 'evaluation' / 'test_last.json').exists()
  assert '2 epochs (in legs up to 1, 2)' in summary.lines(run)[1]
  # The same command again finds it finished, and a third leg can follow.
  assert session.run(configure(tmp_path, tiny_cifar, 2, *CONSTANT), run) == 0
  assert session.run(configure(tmp_path, tiny_cifar, 3, *CONSTANT), run) == 0
  assert [leg['num_epochs'] for leg in read(run / 'result.json')['legs']] == [1, 2, 3]

  # A checkpoint under the configuration of another run, as after a copy, is not resumed.
  other = configure(tmp_path, tiny_cifar, 2, *CONSTANT, 'seed=5')
  (tmp_path / 'whole' / 'config.json').write_text(loading.to_json(other))
  (tmp_path / 'whole' / 'result.json').unlink()
  text = message(lambda: session.run(other, tmp_path / 'whole'))
  assert 'is of another run: seed was 0 and is now 5; move it away' in text


@pytest.mark.ci
def test_a_leg_that_diverged_is_given_up_for_one_at_another_rate(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  short, good = (
    configure(tmp_path, tiny_cifar, epochs, *words, 'checkpoint.keep_last=1')
    for epochs, words in ((1, ()), (3, ('schedule.learning_rate=0.02',)))
  )
  for name in ('run', 'undisturbed'):
    assert session.run(short, tmp_path / name) == 0
  run = tmp_path / 'run'
  bad = loading.from_json(loading.to_json(good))
  override(bad, ['--config.schedule.learning_rate=1e30'])
  with pytest.raises(DivergedError):
    session.run(bad, run)
  (run / 'checkpoints' / '20').mkdir()  # as if it had gone well for an epoch
  text = message(lambda: session.run(good, run))
  assert 'to give that leg up, move its checkpoints (20) out of' in text
  other = configure(tmp_path, tiny_cifar, 3, 'seed=1')
  assert 'another configuration' in message(lambda: session.run(other, run))
  (run / 'checkpoints' / '20').rmdir()
  (run / 'evaluation').mkdir()  # of a checkpoint of the leg
  (run / 'evaluation' / 'test_last.json').touch()

  for name in ('run', 'undisturbed'):
    assert session.run(good, tmp_path / name) == 0
  assert comparable(run) == comparable(tmp_path / 'undisturbed')
  assert 10 in damaged.steps_in(run / 'checkpoints')  # the end of the first leg
  given_up = run / 'leg2_given_up'
  assert (given_up / 'evaluation' / 'test_last.json').exists()
  assert not list(run.glob('evaluation/test_last.jso'))
  assert read(given_up / 'config.json')['schedule']['learning_rate'] == 1e30
  assert not (given_up / 'metrics.jsonl').exists()  # it diverged in its first step


@pytest.mark.ci
def test_another_schedule_does_not_begin_before_the_end_of_the_first_leg(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  run, words = tmp_path / 'run', ('checkpoint.every_steps=5',)
  assert session.run(configure(tmp_path, tiny_cifar, 1, *words), run) == 0
  (run / 'checkpoints' / '10').rename(tmp_path / 'copy')
  assert damaged.steps_in(run / 'checkpoints') == [5]
  longer = configure(tmp_path, tiny_cifar, 2, *words, 'schedule.learning_rate=0.02')
  text = message(lambda: session.run(longer, run))
  assert 'checkpoint 5 is the newest intact one' in text and 'restore checkpoint 10' in text
  assert not legs.earlier(run) and legs.is_finished(run)  # it is the finished run still
  (run / 'checkpoints' / '5').rename(tmp_path / '5')
  assert 'are gone: mount their disk' in message(lambda: session.run(longer, run))
  assert not legs.earlier(run) and legs.is_finished(run)
  (tmp_path / 'copy').rename(run / 'checkpoints' / '10')
  assert session.run(longer, run) == 0


@pytest.mark.ci
def test_giving_up_a_leg_keeps_the_best_checkpoint_of_the_run_that_had_finished(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  accuracies = iter((0.5, 0.25, 0.75))  # of the epochs: the second leg has the best of all
  measured = epoch_evaluator.evaluate_split

  def with_accuracy(*arguments: Any) -> Any:
    values, logits = measured(*arguments)
    return {**values, 'accuracy': next(accuracies)}, logits

  run, words = tmp_path / 'run', ('checkpoint.keep_last=1',)
  monkeypatch.setattr(epoch_evaluator, 'evaluate_split', with_accuracy)
  short = configure(tmp_path, tiny_cifar, 2, *words)
  assert session.run(short, run) == 0
  assert read(run / 'result.json')['best']['step'] == 10
  longer = configure(tmp_path, tiny_cifar, 3, *words, 'schedule.learning_rate=0.02')
  assert session.run(longer, run) == 0
  assert read(run / 'result.json')['best']['step'] == 30
  assert sorted(damaged.steps_in(run / 'checkpoints')) == [10, 20, 30]


@pytest.mark.ci
def test_a_leg_that_diverged_is_given_up_for_the_run_that_had_finished(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  run, short = tmp_path / 'run', configure(tmp_path, tiny_cifar, 1)
  assert session.run(short, run) == 0
  test = read(run / 'result.json')['test']
  with pytest.raises(DivergedError):
    session.run(configure(tmp_path, tiny_cifar, 2, 'schedule.learning_rate=1e30'), run)
  assert not (run / 'result.json').exists()
  assert session.run(short, run) == 0
  assert read(run / 'result.json')['test'] == test


@pytest.mark.ci
def test_another_schedule_begins_where_the_first_leg_ended(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  run = tmp_path / 'run'
  assert session.run(configure(tmp_path, tiny_cifar, 1), run) == 0  # cosine, from 0.1 to 0
  config = configure(tmp_path, tiny_cifar, 3)
  text = message(lambda: session.run(config, run))
  assert 'finished at epoch 1' in text and '--config.schedule.name=constant' in text
  assert not (run / 'leg1').exists()
  override(config, ['--config.schedule.learning_rate=0.02'])
  assert session.run(config, run) == 0
  rates = {r['step']: r['learning_rate'] for r in read_records(run) if 'learning_rate' in r}
  assert rates[10] < 0.1 < 10 * rates[5]  # the first leg is as it was
  for step in (15, 20, 25, 30):  # 20 steps more; the rate of a record is that of its last step
    cosine = optax_cosine(0.02, step - 11, 20)
    assert rates[step] == pytest.approx(cosine, rel=1e-5)
  first, second = read(run / 'result.json')['legs']
  assert (first['schedule']['learning_rate'], second['schedule']['learning_rate']) == (0.1, 0.02)


def optax_cosine(rate: float, step: int, num_steps: int) -> float:
  import math

  return rate * (1 + math.cos(math.pi * step / num_steps)) / 2


def finished(
  folder: pathlib.Path, data_dir: pathlib.Path, *words: str, **result: Any
) -> tuple[pathlib.Path, ConfigDict]:
  """A workdir that looks like a finished run of an epoch, and the configuration of a longer one."""
  run = folder / 'run'
  with claim_workdir(run, configure(folder, data_dir, 1, *words)):
    pass
  (run / 'metrics.jsonl').write_text(
    '{"step": 10, "epoch": 1, "split": "test", "accuracy": 0.5, "loss": 1.5}\n'
  )
  measured = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 2.0, 'device': '1 x cpu'}
  (run / 'result.json').write_text(json.dumps({'num_steps': 10, **measured, **result}))
  return run, configure(folder, data_dir, 2, *words)


@pytest.mark.parametrize(
  ('words', 'result', 'expected'),
  [
    ((*CONSTANT, 'optimizer.lookahead_steps=5'), {}, 'lookahead_steps'),
    ((*CONSTANT, 'optimizer.whitening_until=0.5'), {}, 'whitening_until'),
    (CONSTANT, {'planned_epochs': 9}, 'train.patience ended it'),
    (('schedule.name=piecewise',), {}, 'its schedule piecewise ended'),
    (('schedule.name=triangular',), {}, 'its schedule triangular ended'),
  ],
)
def test_what_was_planned_for_the_length_of_a_run_is_not_trained_longer(
  words: tuple[str, ...],
  result: dict[str, Any],
  expected: str,
  tmp_path: pathlib.Path,
  tiny_cifar: pathlib.Path,
) -> None:
  run, longer = finished(tmp_path, tiny_cifar, *words, **result)
  assert expected in message(lambda: check_workdir(run, longer))


@pytest.mark.parametrize(
  ('words', 'expected'),
  [
    (['schedule.name=piecewise', 'schedule.warmup_epochs=0.1'], 'its schedule piecewise ended'),
    ([*CONSTANT, 'schedule.warmup_epochs=0.1'], 'was scaled to its length'),
    (['schedule.name=sgdr', 'schedule.first_cycle_epochs=0.3'], 'was scaled to its length'),
  ],
)
def test_a_schedule_that_is_only_scaled_to_the_new_length_is_no_new_schedule(
  words: list[str], expected: str, tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  run, longer = finished(tmp_path, tiny_cifar, *words)
  changes = plan.shortened(read_config(run), 2)  # as a study and `train(..., epochs=2)` do
  override(longer, [f'--config.{key}={value}' for key, value in changes.items()])
  assert expected in message(lambda: check_workdir(run, longer))
  override(longer, ['--config.schedule.learning_rate=0.02', '--config.schedule.name=cosine'])
  check_workdir(run, longer)  # the user's own schedule


def test_only_more_epochs_and_another_schedule_make_a_second_leg(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  run, longer = finished(tmp_path, tiny_cifar, *CONSTANT)
  check_workdir(run, longer)
  for words in (['train.batch_size=40'], ['train.num_epochs=0.5'], ['seed=3']):
    other = configure(tmp_path, tiny_cifar, 2, *CONSTANT, *words)
    assert 'another configuration' in message(functools.partial(check_workdir, run, other))
  plateau = configure(tmp_path, tiny_cifar, 2, 'schedule.name=plateau')
  assert 'plateau belongs' in message(lambda: check_workdir(run, plateau))
  (run / 'result.json').unlink()  # a run that has not finished has the length that it began with
  assert 'another configuration' in message(lambda: check_workdir(run, longer))


def test_a_kill_between_two_legs_loses_nothing(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  run, longer = finished(tmp_path, tiny_cifar, *CONSTANT)
  short = configure(tmp_path, tiny_cifar, 1, *CONSTANT)
  (run / 'evaluation').mkdir()
  legs.archive(run)  # killed right after this: still the finished run, for both commands
  assert legs.is_finished(run)
  check_workdir(run, short)
  check_workdir(run, longer)
  legs.archive(run)
  assert [folder.name for folder in legs.earlier(run)] == ['leg1']
  shutil.copytree(run, tmp_path / 'later')
  monkeypatch.setattr(legs, 'clear', lambda workdir: None)  # killed before this
  for workdir in (run, tmp_path / 'later'):
    with claim_workdir(workdir, longer):
      assert not legs.is_finished(workdir) and (workdir / 'result.json').exists()
  monkeypatch.undo()
  with claim_workdir(run, longer):  # the next session
    assert not (run / 'result.json').exists() and (run / 'leg1' / 'evaluation').is_dir()
  check_workdir(run, short)  # gives up the longer leg, of which there is nothing yet
  with claim_workdir(
    tmp_path / 'later', configure(tmp_path, tiny_cifar, 3, *CONSTANT)
  ):  # so does this
    assert (tmp_path / 'later' / 'leg1' / 'evaluation').is_dir()


def test_a_finished_run_whose_records_are_lost_is_trained_longer(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  run, longer = finished(tmp_path, tiny_cifar, *CONSTANT)
  (run / 'metrics.jsonl').unlink()
  with claim_workdir(run, longer):
    assert {path.name for path in (run / 'leg1').iterdir()} == {'config.json', 'result.json'}


def test_an_evaluation_after_a_kill_between_two_legs_is_kept_beside_the_earlier_one(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  run, longer = finished(tmp_path, tiny_cifar, *CONSTANT)
  (run / 'evaluation').mkdir()
  (run / 'evaluation' / 'first').touch()
  with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
    killed.setattr(pathlib.Path, 'unlink', interrupt)
    with claim_workdir(run, longer):
      pass
  (run / 'evaluation').mkdir()
  (run / 'evaluation' / 'second').touch()
  with claim_workdir(run, longer):  # the next session
    assert not (run / 'result.json').exists() and not (run / 'evaluation').exists()
  assert (run / 'leg1' / 'evaluation' / 'first').exists()
  assert (run / 'leg1' / 'evaluation-2' / 'second').exists()


def interrupt(path: pathlib.Path, missing_ok: bool = False) -> None:
  """Stands for the kill of a process that would remove the result."""
  if path.name == 'result.json':
    raise KeyboardInterrupt
  if path.exists() or not missing_ok:
    os.remove(path)


def test_a_leg_that_was_given_up_is_no_leg_of_the_run(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  run, longer = finished(tmp_path, tiny_cifar, *CONSTANT)
  first = read(run / 'result.json')
  with claim_workdir(run, longer):
    pass
  again = first | {'seconds': 2.5}  # the result of the first leg, written anew
  assert legs.describe(run, again) == []
  shutil.copytree(run / 'leg1', run / 'leg2')
  lengths = [leg['num_epochs'] for leg in legs.describe(run, first | {'num_epochs': 4})]
  assert lengths == [first['num_epochs'], 4]


def test_a_leg_without_steps_of_its_own_is_finished_too(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  run, longer = finished(tmp_path, tiny_cifar, *CONSTANT, num_steps=20)
  with claim_workdir(run, longer):  # in epochs it is longer, in steps it is not
    assert not (run / 'result.json').exists() and not legs.is_finished(run)
  result = read(run / 'leg1' / 'result.json') | {'num_epochs': 2}
  result |= {'legs': legs.describe(run, result)}
  (run / 'result.json').write_text(json.dumps(result))
  (run / 'evaluation').mkdir()
  assert legs.is_finished(run)
  with claim_workdir(run, longer):  # the same command again
    assert read(run / 'result.json') == result and (run / 'evaluation').is_dir()
  check_workdir(run, configure(tmp_path, tiny_cifar, 3, *CONSTANT))
  override(longer, ['--config.schedule.name=cosine'])
  text = message(lambda: continue_schedule(experiments.build(longer), longer, 20))
  assert 'gives 20 steps, which the run has taken' in text


def test_the_schedule_of_each_leg_begins_where_it_was_said(
  tmp_path: pathlib.Path, tiny_cifar: pathlib.Path
) -> None:
  run, longer = finished(tmp_path, tiny_cifar, 'schedule.name=sgdr')
  assert legs.schedule_start(run, longer) == 0  # it goes on
  override(longer, ['--config.schedule.factor=0.5'])  # which this schedule does not read
  assert legs.schedule_start(run, longer) == 0
  override(longer, ['--config.schedule.name=cosine'])
  assert legs.schedule_start(run, longer) == 10
  experiment = experiments.build(longer)
  later = continue_schedule(experiment, longer, 10)
  rates = [float(later.schedule.learning_rate_fn(step)) for step in (10, 15, 20)]
  assert rates == pytest.approx([0.1, 0.05, 0.0], abs=1e-6)
  assert later.schedule.num_steps == experiment.num_steps == 20
