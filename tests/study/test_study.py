"""A study from its file to its table: which runs start, which are refused, which resume."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from ml_collections import ConfigDict

from cifar_jax import cli
from cifar_jax.config import loading, locations
from cifar_jax.config.base import base
from cifar_jax.config.command_line import override
from cifar_jax.runs.workdir import locked
from cifar_jax.runtime.jax_options import COMPILATION_CACHE
from cifar_jax.study import __main__, definition, launch, plan
from tests.support.paths import ROOT

TEXT = f"""
STUDY = {{
  'title': 'Two nets',
  'source': 'Nobody 2026, table 0',
  'overrides': {{'train.batch_size': 50}},
  'entries': [
    {{'label': 'ResNet-8', 'config': '{ROOT}/configs/resnet.py:depth=8', 'published': 8.0}},
    {{
      'label': 'plain: 8',
      'config': '{ROOT}/configs/plain_net.py:depth=8',
      'overrides': {{'schedule.boundaries': (0.25, 0.5)}},
    }},
  ],
}}
"""


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
  """The file of the study `two`."""
  path = tmp_path / 'two.py'
  path.write_text(TEXT)
  return path


def config_of(command: list[str]) -> ConfigDict:
  """The configuration that a run reads from its command line."""
  config = loading.load(command[command.index('--config') + 1])
  override(config, [word for word in command if word.startswith('--config.')])
  return config


class FakeRuns:
  """Replaces `launch.run`: writes the files of a finished run with a given error.

  Attributes:
    errors: `ENTRY/seedN` to test error in percent; a run without an error fails.
    started: `ENTRY/seedN` of all runs, in the order they were started.
  """

  def __init__(self, errors: dict[str, float]) -> None:
    self.errors = errors
    self.started: list[str] = []

  def __call__(self, command: list[str]) -> tuple[int, bool]:
    workdir = pathlib.Path(command[command.index('--workdir') + 1])
    name = f'{workdir.parent.name}/{workdir.name}'
    self.started.append(name)
    if name not in self.errors:
      return 1, False
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / 'config.json').write_text(loading.to_json(config_of(command)))
    accuracy = 1 - self.errors[name] / 100
    result = {'test': {'accuracy': accuracy}, 'seconds': 1.0, 'commit': 'abc', 'device': '1 x cpu'}
    result |= {'num_epochs': config_of(command).train.num_epochs, 'num_steps': 10}
    (workdir / 'result.json').write_text(json.dumps(result))
    return 0, False


def run_command(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str, str]:
  """Runs `cifar_jax.study`; returns its exit status, standard output and standard error."""
  monkeypatch.setattr(sys, 'argv', ['study', *map(str, words)])
  with pytest.raises(SystemExit) as exit_:
    cli.run(__main__.main)
  assert isinstance(exit_.value.code, int)
  return exit_.value.code, *capsys.readouterr()


def test_the_command_runs_unfinished_runs_and_prints_the_table(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  fake = FakeRuns({'resnet-8/seed0': 9.0, 'plain-8/seed0': 20.0, 'resnet-8/seed1': 12.0})
  monkeypatch.setattr(launch, 'run', fake)
  words = (file, '--workdir', tmp_path / 'w', '--seeds', 2, '--epochs', 91)
  status, out, err = run_command(monkeypatch, capsys, *words)
  assert fake.started == ['resnet-8/seed0', 'plain-8/seed0', 'resnet-8/seed1', 'plain-8/seed1']
  assert status == 1 and 'without a result: plain: 8' in err

  fake.started.clear()
  fake.errors['plain-8/seed1'] = 22.0
  status, out, err = run_command(monkeypatch, capsys, *words)
  assert fake.started == ['plain-8/seed1'] and status == 0
  lines = [line.split() for line in out.splitlines()]
  # Of 9 and 12: the mean 10.5, the sample deviation 1.5 * sqrt(2); 2.5 above the published 8.
  assert ' '.join(lines[4]) == 'ResNet-8 2 of 2 91 of 182 - 10.50 ± 2.12 8.00 +2.50'
  assert ' '.join(lines[5]) == 'plain: 8 2 of 2 91 of 182 - 21.00 ± 1.41 - -'
  assert "Not the papers' lengths" in out
  assert (tmp_path / 'w' / 'table.png').read_bytes().startswith(b'\x89PNG')
  assert (tmp_path / 'w' / 'table.txt').read_text() == out
  rows = json.loads((tmp_path / 'w' / 'table.json').read_text())['entries']
  assert [row['errors'] for row in rows] == [pytest.approx([9.0, 12.0]), pytest.approx([20, 22])]


def test_a_stopped_study_prints_what_it_has_and_starts_no_other_run(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  fake = FakeRuns({'resnet-8/seed0': 9.0})

  def stopped_at_the_second(command: list[str]) -> tuple[int, bool]:
    return (143, True) if fake.started else fake(command)

  monkeypatch.setattr(launch, 'run', stopped_at_the_second)
  words = (file, '--workdir', tmp_path / 'w', '--baseline', 'ResNet-8')
  status, out, err = run_command(monkeypatch, capsys, *words)
  assert status == 143 and err.splitlines()[-1] == 'study: the same command resumes the study'
  rows = {line.split('  ')[0]: line.split() for line in out.splitlines()}
  assert rows['ResNet-8'][1:4] == ['1', 'of', '1'] and '9.00' in rows['ResNet-8']
  assert rows['plain: 8'][2:5] == ['0', 'of', '1']


def test_no_run_starts_after_a_signal_to_stop(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  commands: list[list[str]] = []

  def stopped_run(command: list[str]) -> tuple[int, bool]:
    commands.append(command)
    return 130, True

  monkeypatch.setattr(launch, 'run', stopped_run)
  status, _, err = run_command(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')
  assert status == 130 and len(commands) == 1 and 'the same command resumes' in err


def test_a_run_with_bad_input_ends_the_study(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  monkeypatch.setattr(launch, 'run', lambda command: (2, False))
  assert run_command(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')[0] == 2


def test_the_command_of_a_run_reproduces_its_configuration(
  file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  overrides = ['--config.data.data_dir=/data']
  runs = plan.make(definition.load(file), tmp_path / 'w', 10, 2, overrides)
  assert [(run.entry.label, run.config.seed) for run in runs] == [
    *(('ResNet-8', 0), ('plain: 8', 0), ('ResNet-8', 1), ('plain: 8', 1)),
  ]
  for run in runs:
    assert config_of(run.command) == run.config
    assert run.command[:3] == [sys.executable, '-m', 'cifar_jax.main']
  assert runs[3].config.schedule.boundaries == (0.25, 0.5)
  assert runs[0].config.train.batch_size == 50 and runs[0].config.data.data_dir == '/data'


def test_a_shorter_run_keeps_the_shape_of_its_schedule() -> None:
  config = base('resnet20')
  config.train.num_epochs = 200
  config.schedule.update(warmup_epochs=4.0, first_cycle_epochs=20.0, patience=10)
  assert plan.shortened(config, 50) == {
    'train.num_epochs': 50,
    'schedule.warmup_epochs': 1.0,
    'schedule.first_cycle_epochs': 5.0,
    'schedule.patience': 2,
  }
  assert plan.shortened(config, 1)['schedule.patience'] == 1
  config.schedule.patience = 0
  assert plan.shortened(config, 400)['schedule.patience'] == 0


BAD_FILES = {
  'no table': ('x = 1', 'STUDY'),
  'no entries': ("STUDY = {'title': 't', 'source': 's'}", 'entries'),
  'empty': ("STUDY = {'title': 't', 'source': 's', 'entries': []}", 'label'),
  'key misspelt': (TEXT.replace("'published'", "'publishd'"), 'did you mean published?'),
  'no source': ("STUDY = {'title': 't', 'entries': []}", "STUDY lacks the key 'source'"),
  'no config': ("STUDY = {'entries': [{'label': 'a'}]}", "an entry lacks the key 'config'"),
  'an entry of another kind': ("STUDY = {'entries': ['a']}", 'must be a dictionary'),
  'the same label twice': (TEXT.replace('plain: 8', 'resnet 8'), 'resnet 8'),
  'no Python': ('STUDY = {', 'SyntaxError'),
  'no such config': (TEXT.replace('resnet.py', 'resnt.py'), 'resnt.py'),
  'impossible entry': (TEXT.replace('resnet.py:depth=8', 'resnet.py:depth=9'), '6n + 2'),
  'impossible override': (TEXT.replace('(0.25, 0.5)', '(0.5, 0.25)'), 'boundaries'),
}


@pytest.mark.parametrize('case', BAD_FILES)
def test_a_bad_study_file_is_reported_in_one_line_and_nothing_is_written(
  case: str,
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  text, word = BAD_FILES[case]
  file.write_text(text)
  status, out, err = run_command(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')
  assert status == 2 and out == '' and err.count('\n') == 1 and word in err, err
  assert list(tmp_path.iterdir()) == [file]


def test_a_bad_command_line_is_reported_in_one_line(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  monkeypatch.chdir(tmp_path)  # a folder w may be where the tests are started
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'study.json').write_text(
    json.dumps({'study': 'three', 'title': '', 'source': '', 'changes': [], 'entries': []})
  )
  (tmp_path / 'full').mkdir()
  (tmp_path / 'full' / 'thesis.tex').touch()
  cases: tuple[tuple[list[object], str], ...] = (
    ([], '--list'),
    ([tmp_path / 'tow.py', '--workdir', 'w'], 'two.py'),
    ([file, '--workdir', tmp_path / 'other'], 'three'),
    ([file, '--workdir', tmp_path / 'full'], 'no study'),
    ([file, '--workdir', file], 'is a file'),
    ([file, '--workdir', 'w', '--seeds', '0'], 'at least 1'),
    ([file, '--workdir', 'w', '--epochs', 'ten'], 'ten'),
    ([file, '--workdir', 'w', '--baseline', 'ResNet8'], 'did you mean ResNet-8?'),
    ([file, '--workdir', 'w', '--config.modl.name=x'], 'modl'),
  )
  for words, word in cases:
    status, out, err = run_command(monkeypatch, capsys, *words)
    assert status == 2 and out == '' and err.count('\n') == 1 and word in err, err


def test_another_number_of_epochs_in_the_same_workdir_is_refused(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  monkeypatch.setattr(launch, 'run', FakeRuns({'resnet-8/seed0': 9.0, 'plain-8/seed0': 20.0}))
  assert run_command(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')[0] == 0
  status, _, err = run_command(
    monkeypatch, capsys, file, '--workdir', tmp_path / 'w', '--epochs', 2
  )
  assert status == 2 and err.count('\n') == 1 and 'num_epochs was 182.0 and is now 2.0' in err


def test_fewer_seeds_than_before_are_refused_once_there_are_results(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  study, errors = tmp_path / 'w', {'resnet-8/seed0': 9.0, 'plain-8/seed0': 20.0}
  fake = FakeRuns(errors)
  monkeypatch.setattr(launch, 'run', fake)
  words = (file, '--workdir', study, '--seeds')
  assert run_command(monkeypatch, capsys, *words, 2)[0] == 1  # the second seeds fail
  assert run_command(monkeypatch, capsys, *words, 1)[0] == 0
  fake.errors |= {'resnet-8/seed1': 12.0, 'plain-8/seed1': 22.0}
  assert run_command(monkeypatch, capsys, *words, 2)[0] == 0
  table = (study / 'table.txt').read_text()
  status, _, err = run_command(monkeypatch, capsys, *words, 1)
  assert status == 2 and 'would leave out resnet-8/seed1, plain-8/seed1: give as many' in err
  assert (study / 'table.txt').read_text() == table


def test_two_commands_do_not_run_one_study(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  study = tmp_path / 'w'
  monkeypatch.setattr(launch, 'run', FakeRuns({'resnet-8/seed0': 9.0, 'plain-8/seed0': 20.0}))
  with locked(study):  # another command, whose study.json is not written yet
    status, _, err = run_command(monkeypatch, capsys, file, '--workdir', study)
    assert status == 2 and f'another process is running in {study}' in err
    assert [path.name for path in study.iterdir()] == ['lock']
  assert run_command(monkeypatch, capsys, file, '--workdir', study)[0] == 0


def test_another_study_of_the_same_name_is_refused(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  monkeypatch.setattr(launch, 'run', FakeRuns({'resnet-8/seed0': 9.0, 'plain-8/seed0': 20.0}))
  assert run_command(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')[0] == 0
  before = (tmp_path / 'w' / 'table.txt').read_text()
  file.write_text(TEXT.replace("'ResNet-8'", "'wide'").replace("'plain: 8'", "'deep'"))
  status, _, err = run_command(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')
  assert status == 2 and 'holds the study two (ResNet-8, plain: 8)' in err, err
  assert (tmp_path / 'w' / 'table.txt').read_text() == before


def test_finished_runs_are_trained_longer_if_their_schedule_goes_on(
  file: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  fake = FakeRuns({'resnet-8/seed0': 9.0, 'plain-8/seed0': 20.0})
  monkeypatch.setattr(launch, 'run', fake)
  words = (file, '--workdir', tmp_path / 'w', '--config.schedule.name=constant', '--epochs')
  assert run_command(monkeypatch, capsys, *words, 10)[0] == 0
  del fake.errors['plain-8/seed0']  # its longer run fails
  status, out, _ = run_command(monkeypatch, capsys, *words, 20)
  assert status == 1 and fake.started[2:] == ['resnet-8/seed0', 'plain-8/seed0']
  lines = [' '.join(line.split()) for line in out.splitlines()]
  assert lines[4].startswith('ResNet-8 1 of 1 20 of 182')
  assert lines[5].startswith('plain: 8 0 of 1 20 of 182')  # not the error after 10 epochs


def test_the_list_shows_every_study(
  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  status, out, _ = run_command(monkeypatch, capsys, '--list')
  studies = locations.available(locations.STUDIES)
  assert status == 0 and len(studies) > 10
  assert all(path.stem in out.splitlines() for path in studies)


def test_all_runs_share_a_compilation_cache_that_goes_with_the_study(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  monkeypatch.delenv(COMPILATION_CACHE, raising=False)
  with launch.shared_cache():
    folder = pathlib.Path(os.environ[COMPILATION_CACHE])
    assert folder.is_dir()
  assert COMPILATION_CACHE not in os.environ and not folder.exists()


def test_a_compilation_cache_of_the_user_is_kept(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setenv(COMPILATION_CACHE, str(tmp_path))
  with launch.shared_cache():
    assert os.environ[COMPILATION_CACHE] == str(tmp_path)
  assert os.environ[COMPILATION_CACHE] == str(tmp_path) and tmp_path.exists()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_study_reaches_the_run_once(
  number: signal.Signals, tmp_path: pathlib.Path
) -> None:
  child = (
    'import signal, sys, time\n'
    'received = []\n'
    'for n in (2, 15): signal.signal(n, lambda n, _: received.append(n))\n'
    f'open({str(tmp_path / "ready")!r}, "w").close()\n'
    'while not received: time.sleep(0.01)\n'
    'time.sleep(0.3)\n'
    'sys.exit(128 + received[0] if len(received) == 1 else 99)\n'
  )
  code = f'from cifar_jax.study import launch; print(launch.run([{sys.executable!r}, "-c", CHILD]))'
  parent = subprocess.Popen(
    [sys.executable, '-c', code.replace('CHILD', repr(child))],
    stdout=subprocess.PIPE, text=True, env=os.environ | {'PYTHONPATH': str(ROOT)},
  )  # fmt: skip
  while not (tmp_path / 'ready').exists():
    assert parent.poll() is None
    time.sleep(0.01)
  time.sleep(0.1)
  parent.send_signal(number)
  out, _ = parent.communicate()
  assert out.strip() == str((128 + number, True)) and parent.returncode == 0


def test_the_status_of_a_killed_run_is_that_of_a_shell() -> None:
  assert launch.run([sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)']) == (137, False)
