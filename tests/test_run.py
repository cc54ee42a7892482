"""Whole runs in real processes: killed, resumed to the bit, refused, reported."""

import json
import logging
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_step import digest

from cifar_jax import checkpoint, evaluate, experiment, progress, train, workdir
from cifar_jax.errors import InputError
from cifar_jax.report import runs

ROOT = pathlib.Path(__file__).parent.parent
ARGUMENTS = 'depth=8,epochs=4,schedule=cosine'
NUM_STEPS = 40


class Launcher:
  """Starts the command on the small CIFAR-10: 200 training images, batches of 20, four epochs."""

  def __init__(self, data_dir: pathlib.Path, scratch: pathlib.Path):
    self.data_dir = data_dir
    # A TensorFlow that must not be imported.
    (scratch / 'tensorflow').mkdir()
    (scratch / 'tensorflow' / '__init__.py').write_text(
      f'open({str(scratch / "imported")!r}, "w"); raise ImportError("TensorFlow was imported")'
    )
    self.imported = scratch / 'imported'
    self.environment = os.environ | {'PYTHONPATH': os.pathsep.join([str(scratch), str(ROOT)])}

  def start(self, run: pathlib.Path, *overrides: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
      [
        *(sys.executable, '-m', 'cifar_jax.main', '--workdir', str(run)),
        *('--config', f'{ROOT / "configs/resnet.py"}:{ARGUMENTS}'),
        *('--config.sharding.num_devices=1', '--config.data.validation_size=40'),
        *('--config.train.batch_size=20', '--config.train.log_every_steps=4'),
        *('--config.checkpoint.every_steps=3', f'--config.data.data_dir={self.data_dir}'),
        *overrides,
      ],
      env=self.environment,
      stderr=subprocess.PIPE,
      text=True,
    )

  def finish(self, run: pathlib.Path, *overrides: str) -> tuple[int, str]:
    process = self.start(run, *overrides)
    _, err = process.communicate()
    return process.returncode, err


@pytest.fixture(scope='module')
def launcher(tiny_cifar, tmp_path_factory):
  return Launcher(tiny_cifar, tmp_path_factory.mktemp('scratch'))


@pytest.fixture(scope='module')
def undisturbed(launcher, tmp_path_factory):
  """A run from beginning to end."""
  run = tmp_path_factory.mktemp('runs') / 'undisturbed'
  status, err = launcher.finish(run)
  assert status == 0, err
  return run, err


def final_digest(run: pathlib.Path) -> str:
  parts = experiment.build(workdir.read_config(run))
  folder = run / workdir.CHECKPOINTS
  with checkpoint.Checkpoints(folder, parts.checkpoints, read_only=True) as checkpoints:
    assert checkpoints.latest == NUM_STEPS
    return digest(checkpoints.restore(NUM_STEPS, experiment.abstract_state(parts))[0])


def records(run: pathlib.Path) -> list[dict]:
  """All records without their speeds."""
  return [
    {name: value for name, value in record.items() if name != 'images_per_second'}
    for record in runs.read_records(run)
  ]


def wait_until(condition, process):
  while not condition():
    assert process.poll() is None, process.stderr.read()
    time.sleep(0.0005)


def has_unfinished_checkpoint(run: pathlib.Path) -> bool:
  return any((run / 'checkpoints').glob('*.orbax-checkpoint-tmp*'))


def kill(process):
  process.send_signal(signal.SIGKILL)
  process.communicate()


def num_records(run: pathlib.Path) -> int:
  return len(runs.read_records(run)) if (run / 'metrics.jsonl').exists() else 0


def wait_for_another_record(run: pathlib.Path, process) -> None:
  seen = num_records(run)
  wait_until(lambda: num_records(run) > seen, process)


def test_killed_and_stopped_again_and_again_it_ends_like_the_undisturbed(
  launcher, undisturbed, tmp_path
):
  run = tmp_path / 'run'
  for _ in range(5):  # the write may be done between the look and the kill: look again
    process = launcher.start(run)
    wait_until(lambda: has_unfinished_checkpoint(run), process)
    kill(process)
    if has_unfinished_checkpoint(run):
      break
  else:
    pytest.fail('never killed inside a write')

  process = launcher.start(run)
  wait_for_another_record(run, process)
  pause = random.uniform(0.0, 0.2)
  print(f'killed {pause:.3f} s after a record')
  time.sleep(pause)
  kill(process)

  for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
    process = launcher.start(run)
    wait_for_another_record(run, process)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == expected, err
    assert f'{number.name}: saved at step' in err and 'Traceback' not in err

  status, err = launcher.finish(run)
  assert status == 0, err
  assert_like(undisturbed[0], run)


def assert_like(undisturbed: pathlib.Path, run: pathlib.Path) -> None:
  assert final_digest(run) == final_digest(undisturbed)
  assert records(run) == records(undisturbed)
  results = [json.loads((path / 'result.json').read_text()) for path in (run, undisturbed)]
  for name in ('test', 'best'):
    assert results[0][name] == results[1][name]


def test_a_damaged_checkpoint_is_passed_over(undisturbed, tmp_path, capsys, caplog):
  run = tmp_path / 'run'
  shutil.copytree(undisturbed[0], run)
  (run / 'result.json').unlink()
  damaged = max((run / 'checkpoints' / str(NUM_STEPS)).glob('state/ocdbt.process_0/d/*'))
  content = bytearray(damaged.read_bytes())
  content[len(content) // 2] ^= 1
  damaged.write_bytes(content)
  evaluate.evaluate_runs([run], 'test', 'last', 'none', [], tmp_path)
  assert 'last checkpoint (step 39)' in capsys.readouterr().out
  assert f'checkpoint {NUM_STEPS} is damaged: state/' in caplog.text

  caplog.clear()
  caplog.set_level(logging.INFO, progress.logger.name)
  assert train.run(workdir.read_config(run), run) == 0
  assert f'checkpoint {NUM_STEPS} is damaged: state/' in caplog.text
  assert 'at step 39 of 40' in caplog.text
  assert_like(undisturbed[0], run)


def test_a_second_process_in_the_same_workdir_is_refused(launcher, undisturbed, tmp_path):
  run, config = tmp_path / 'run', workdir.read_config(undisturbed[0])
  with workdir.claimed(run, config):
    status, err = launcher.finish(run)
  assert status == 2
  assert re.match(r'cifar_jax: another process is running in .*; wait', err.splitlines()[-1])


def test_a_run_leaves_what_it_promises(launcher, undisturbed):
  run, err = undisturbed
  written = {path.name for path in run.iterdir()}
  assert {
    'config.json',
    'metrics.jsonl',
    'checkpoints',
    'result.json',
    'plots',
    'report.html',
    'log.txt',
  } <= written
  assert (run / 'plots' / 'learning_curves.png').read_bytes().startswith(b'\x89PNG')
  assert not launcher.imported.exists()

  result = json.loads((run / 'result.json').read_text())
  assert result['num_params'] == 75_290 and result['num_steps'] == NUM_STEPS
  assert result['versions']['jax'] and result['device'] == '1 x cpu' and result['seconds'] > 0
  splits = [record['split'] for record in records(run)]
  assert splits.count('validation') == 4 and splits.count('test') == 1
  assert splits.count('train') == len(set(range(4, 41, 4)) | {10, 20, 30, 40})
  lines = err.strip().splitlines()
  assert f'test accuracy {100 * result["test"]["accuracy"]:.2f} %' in lines[-3]
  best = max(
    (record['accuracy'], record['step'])
    for record in records(run)
    if record['split'] == 'validation'
  )
  assert (result['best']['validation_accuracy'], result['best']['step']) == best


def test_tensorboard_reads_the_records(undisturbed):
  run, _ = undisturbed
  events = EventAccumulator(str(run))
  events.Reload()
  scalars = events.Scalars('train/loss')
  expected = [(r['step'], r['loss']) for r in records(run) if r['split'] == 'train']
  assert [(s.step, pytest.approx(s.value)) for s in scalars] == expected


def test_a_finished_run_says_its_result_again(undisturbed, caplog):
  run, err = undisturbed
  before = records(run)
  caplog.set_level(logging.INFO, progress.logger.name)
  assert train.run(workdir.read_config(run), run) == 0
  assert caplog.messages[-3:] == err.strip().splitlines()[-3:]
  assert records(run) == before


def test_another_config_is_refused_in_the_same_workdir(undisturbed):
  run, _ = undisturbed
  config = workdir.read_config(run)
  config.optimizer.weight_decay = 0.0
  with pytest.raises(InputError, match=r'optimizer\.weight_decay was 0\.0001 and is now 0\.0'):
    train.run(config, run)


@pytest.mark.parametrize('which', ['last', 'best'])
def test_evaluation_gives_the_result_of_the_run(undisturbed, tmp_path, capsys, which):
  run, _ = undisturbed
  evaluate.evaluate_runs([run], 'test', which, 'none', [], tmp_path)
  result = json.loads((run / 'result.json').read_text())
  values = result['test'] if which == 'last' else result['best']['test']
  out = capsys.readouterr().out
  assert '48 test images' in out
  assert f'accuracy        {100 * values["accuracy"]:.2f} %' in out
  assert f'top-5 accuracy  {100 * values["top5_accuracy"]:.2f} %' in out
  assert f'loss            {values["loss"]:.4f}' in out


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(launcher, tmp_path):
  run = tmp_path / 'diverged'
  status, err = launcher.finish(run, '--config.schedule.learning_rate=1e30')
  assert status == 1
  last = err.strip().splitlines()[-1]
  assert re.match(r'cifar_jax: the (loss|gradient) of step \d+ is not finite; ', last)
  assert 'Traceback' not in err and not (run / 'result.json').exists()
