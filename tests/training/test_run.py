"""Whole runs in real processes: killed, resumed to the bit, refused and reported."""

import json
import logging
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cifar_jax import cli
from cifar_jax.errors import InputError
from cifar_jax.evaluation import evaluate
from cifar_jax.experiment.experiment import build
from cifar_jax.experiment.state import abstract_state
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import CHECKPOINTS, claim_workdir, read_config
from cifar_jax.runtime.console import logger
from cifar_jax.training import session
from tests.support.launcher import Launcher, num_records, records_without_speed
from tests.support.trainer import digest

NUM_STEPS = 20


@pytest.fixture(scope='module')
def launcher(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Launcher:
  return Launcher(tiny_cifar, tmp_path_factory.mktemp('scratch'))


@pytest.fixture(scope='module')
def undisturbed_output(
  launcher: Launcher, tmp_path_factory: pytest.TempPathFactory
) -> tuple[pathlib.Path, str]:
  """A run without a stop, and its standard error."""
  run = tmp_path_factory.mktemp('runs') / 'undisturbed'
  status, err = launcher.finish(run)
  assert status == 0, err
  return run, err


@pytest.fixture(scope='module')
def undisturbed(undisturbed_output: tuple[pathlib.Path, str]) -> pathlib.Path:
  """A run without a stop."""
  return undisturbed_output[0]


def final_digest(run: pathlib.Path) -> str:
  """The digest of the checkpoint at the end of a run."""
  experiment = build(read_config(run))
  folder = run / CHECKPOINTS
  with Checkpoints(folder, experiment.checkpoint_settings, read_only=True) as checkpoints:
    assert checkpoints.latest == NUM_STEPS
    return digest(checkpoints.restore(NUM_STEPS, abstract_state(experiment))[0])


def wait_until(
  condition: Callable[[], bool], process: subprocess.Popen[str], pause: float = 0.02
) -> None:
  """Waits for a condition while a process is running, with a pause in seconds after each look."""
  while not condition():
    assert process.stderr
    assert process.poll() is None, process.stderr.read()
    time.sleep(pause)


def has_unfinished_checkpoint(run: pathlib.Path) -> bool:
  return any((run / CHECKPOINTS).glob('*.orbax-checkpoint-tmp*'))


def kill(process: subprocess.Popen[str]) -> None:
  process.send_signal(signal.SIGKILL)
  process.communicate()


def wait_for_another_record(run: pathlib.Path, process: subprocess.Popen[str]) -> None:
  before = num_records(run)
  wait_until(lambda: num_records(run) > before, process)


def kill_while_it_saves(launcher: Launcher, run: pathlib.Path) -> None:
  for _ in range(5):  # a checkpoint may be complete between the look and the kill: try again
    process = launcher.start(run)
    wait_until((run / CHECKPOINTS).exists, process)
    wait_until(lambda: has_unfinished_checkpoint(run), process, 0.0005)
    kill(process)
    if has_unfinished_checkpoint(run):
      return
  pytest.fail('never killed while a checkpoint was being written')


def kill_after_a_record(launcher: Launcher, run: pathlib.Path) -> None:
  process = launcher.start(run)
  wait_for_another_record(run, process)
  pause = random.uniform(0.0, 0.2)
  print(f'killed {pause:.3f} s after a record')
  time.sleep(pause)
  kill(process)


def stop(launcher: Launcher, run: pathlib.Path, number: signal.Signals) -> None:
  process = launcher.start(run)
  wait_for_another_record(run, process)
  process.send_signal(number)
  _, err = process.communicate()
  assert process.returncode == 128 + number, err
  assert f'{number.name}: saved at step' in err and 'Traceback' not in err


@pytest.mark.ci
def test_a_run_killed_while_it_saves_and_stopped_equals_an_undisturbed_one_to_the_bit(
  launcher: Launcher, undisturbed: pathlib.Path, tmp_path: pathlib.Path, no_pictures: None
) -> None:
  run = tmp_path / 'run'
  kill_while_it_saves(launcher, run)
  stop(launcher, run, signal.SIGTERM)
  assert session.run(read_config(run), run) == 0
  assert_equal_runs(run, undisturbed)


@pytest.mark.slow
def test_a_run_killed_and_stopped_several_times_equals_an_undisturbed_one_to_the_bit(
  launcher: Launcher, undisturbed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = tmp_path / 'run'
  kill_while_it_saves(launcher, run)
  kill_after_a_record(launcher, run)
  for number in (signal.SIGTERM, signal.SIGINT):
    stop(launcher, run, number)
  status, err = launcher.finish(run)
  assert status == 0, err
  assert_equal_runs(run, undisturbed)


def assert_equal_runs(run: pathlib.Path, expected: pathlib.Path) -> None:
  """Checks that two runs have the same final state, records and results, to the bit."""
  assert final_digest(run) == final_digest(expected)
  assert records_without_speed(run) == records_without_speed(expected)
  results = [json.loads((path / 'result.json').read_text()) for path in (run, expected)]
  for name in ('test', 'best'):
    assert results[0][name] == results[1][name]


@pytest.mark.slow
def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one(
  undisturbed: pathlib.Path,
  tmp_path: pathlib.Path,
  no_pictures: None,
  caplog: pytest.LogCaptureFixture,
) -> None:
  run = tmp_path / 'run'
  shutil.copytree(undisturbed, run)
  (run / 'result.json').unlink()
  damaged = max((run / 'checkpoints' / str(NUM_STEPS)).glob('state/ocdbt.process_0/d/*'))
  content = bytearray(damaged.read_bytes())
  content[len(content) // 2] ^= 1
  damaged.write_bytes(content)
  _, lines = evaluate.evaluate_runs([run], 'test', 'last', 'none', [], tmp_path)
  assert 'last checkpoint (step 18)' in lines[0]
  assert f'checkpoint {NUM_STEPS} is damaged: state/' in caplog.text

  caplog.clear()
  caplog.set_level(logging.INFO, logger.name)
  assert session.run(read_config(run), run) == 0
  assert f'checkpoint {NUM_STEPS} is damaged: state/' in caplog.text
  assert f'at step 18 of {NUM_STEPS}' in caplog.text
  assert_equal_runs(run, undisturbed)


def test_a_second_run_in_the_same_workdir_is_refused(
  undisturbed: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run, config = tmp_path / 'run', read_config(undisturbed)
  with (
    claim_workdir(run, config),
    pytest.raises(InputError, match=r'^another process is running in .*; wait'),
  ):
    session.run(config, run)


def test_a_finished_run_has_all_files_and_a_full_result(
  launcher: Launcher, undisturbed_output: tuple[pathlib.Path, str]
) -> None:
  run, err = undisturbed_output
  names = {path.name for path in run.iterdir()}
  assert {
    'config.json',
    'metrics.jsonl',
    'checkpoints',
    'result.json',
    'plots',
    'report.html',
    'log.txt',
  } <= names
  assert (run / 'plots' / 'learning_curves.png').read_bytes().startswith(b'\x89PNG')
  assert not launcher.tensorflow_import.exists()

  result = json.loads((run / 'result.json').read_text())
  assert result['num_params'] == 75_290 and result['num_steps'] == NUM_STEPS
  assert result['versions']['jax'] and result['device'] == '1 x cpu' and result['seconds'] > 0
  records = records_without_speed(run)
  splits = [record['split'] for record in records]
  assert splits.count('validation') == 2 and splits.count('test') == 1
  assert splits.count('train') == len({4, 8, 10, 12, 16, 20})
  lines = err.strip().splitlines()
  assert f'test accuracy {100 * result["test"]["accuracy"]:.2f} %' in lines[-3]
  validation = [record for record in records if record['split'] == 'validation']
  best = max(validation, key=lambda record: record['accuracy'])  # the first of equal ones
  assert (result['best']['validation_accuracy'], result['best']['step']) == (
    best['accuracy'],
    best['step'],
  )


def test_tensorboard_reads_the_records(undisturbed: pathlib.Path) -> None:
  events = EventAccumulator(str(undisturbed))
  events.Reload()
  scalars = events.Scalars('train/loss')
  records = records_without_speed(undisturbed)
  expected = [(r['step'], r['loss']) for r in records if r['split'] == 'train']
  assert [(s.step, pytest.approx(s.value)) for s in scalars] == expected


def test_a_finished_run_logs_its_result_again(
  undisturbed_output: tuple[pathlib.Path, str], caplog: pytest.LogCaptureFixture
) -> None:
  run, err = undisturbed_output
  before = records_without_speed(run)
  caplog.set_level(logging.INFO, logger.name)
  assert session.run(read_config(run), run) == 0
  assert caplog.messages[-3:] == err.strip().splitlines()[-3:]
  assert records_without_speed(run) == before


def test_another_config_is_refused_in_the_same_workdir(undisturbed: pathlib.Path) -> None:
  config = read_config(undisturbed)
  config.optimizer.weight_decay = 0.0
  with pytest.raises(InputError, match=r'optimizer\.weight_decay was 0\.0001 and is now 0\.0'):
    session.run(config, undisturbed)


@pytest.mark.ci
@pytest.mark.parametrize('which', [pytest.param('last', marks=pytest.mark.slow), 'best'])
def test_the_command_evaluate_gives_the_result_of_the_run(
  undisturbed: pathlib.Path, tmp_path: pathlib.Path, which: str
) -> None:
  _, lines = evaluate.evaluate_runs([undisturbed], 'test', which, 'none', [], tmp_path)
  result = json.loads((undisturbed / 'result.json').read_text())
  values = result['test'] if which == 'last' else result['best']['test']
  out = '\n'.join(lines)
  assert 'on 48 images (test split)' in out
  assert f'accuracy        {100 * values["accuracy"]:.2f} %' in out
  assert f'top-5 accuracy  {100 * values["top5_accuracy"]:.2f} %' in out
  assert f'loss            {values["loss"]:.4f}' in out


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(
  undisturbed: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
  run, config = tmp_path / 'diverged', read_config(undisturbed)
  config.schedule.learning_rate = 1e30
  with pytest.raises(SystemExit) as ending:
    cli.run(lambda: session.run(config, run))
  assert ending.value.code == 1
  err = capsys.readouterr().err
  last = err.strip().splitlines()[-1]
  assert re.match(r'cifar_jax: the (loss|gradient) of step \d+ is not finite; ', last)
  assert 'Traceback' not in err and not (run / 'result.json').exists()
