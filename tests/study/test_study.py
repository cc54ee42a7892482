"""A study from its file to its table: what is run, what is refused, what is gone on with."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from cifar_jax import command, config
from cifar_jax.report import study as report
from cifar_jax.study import __main__ as study_command
from cifar_jax.study import launch, plan, table

ROOT = pathlib.Path(__file__).parent.parent.parent
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
def file(tmp_path):
  path = tmp_path / 'two.py'
  path.write_text(TEXT)
  return path


class FakeRuns:
  """In the place of processes: leaves what a run leaves, with the error that it is told to have."""

  def __init__(self, errors: dict[str, float]):
    self.errors, self.started = errors, []

  def __call__(self, words: list[str]) -> tuple[int, bool]:
    place = pathlib.Path(words[words.index('--workdir') + 1])
    name = f'{place.parent.name}/{place.name}'
    self.started.append(name)
    if name not in self.errors:
      return 1, False
    place.mkdir(parents=True)
    made = config.load(words[words.index('--config') + 1])
    config.override(made, [word for word in words if word.startswith('--config.')])
    (place / 'config.json').write_text(config.to_json(made))
    accuracy = 1 - self.errors[name] / 100
    result = {'test': {'accuracy': accuracy}, 'seconds': 1.0, 'commit': 'abc', 'device': '1 x cpu'}
    (place / 'result.json').write_text(json.dumps(result))
    return 0, False


def start(monkeypatch, capsys, *words):
  """Exit status, standard output and standard error of the command."""
  monkeypatch.setattr(sys, 'argv', ['study', *map(str, words)])
  with pytest.raises(SystemExit) as exit_:
    command.run(study_command.main)
  return exit_.value.code, *capsys.readouterr()


def test_it_runs_what_is_not_finished_and_prints_the_table(file, tmp_path, monkeypatch, capsys):
  fake = FakeRuns({'resnet-8/seed0': 9.0, 'plain-8/seed0': 20.0, 'resnet-8/seed1': 12.0})
  monkeypatch.setattr(launch, 'run', fake)
  words = (file, '--workdir', tmp_path / 'w', '--seeds', 2, '--epochs', 91)
  status, out, err = start(monkeypatch, capsys, *words)
  assert fake.started == ['resnet-8/seed0', 'plain-8/seed0', 'resnet-8/seed1', 'plain-8/seed1']
  assert status == 1 and 'without a result: plain: 8' in err

  fake.started.clear()
  fake.errors['plain-8/seed1'] = 22.0
  status, out, err = start(monkeypatch, capsys, *words)
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


def test_asked_to_stop_it_begins_nothing_more(file, tmp_path, monkeypatch, capsys):
  started = []
  monkeypatch.setattr(launch, 'run', lambda words: started.append(words) or (130, True))
  status, _, err = start(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')
  assert status == 130 and len(started) == 1 and 'the same command goes on' in err


def test_what_is_wrong_with_the_data_ends_it(file, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(launch, 'run', lambda words: (2, False))
  assert start(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')[0] == 2


def test_a_command_repeats_the_run_alone(file, tmp_path):
  overrides = ['--config.data.data_dir=/data']
  runs = plan.make(table.load(file), tmp_path / 'w', 10, 2, overrides)
  assert [(run.entry.label, run.config.seed) for run in runs] == [
    *(('ResNet-8', 0), ('plain: 8', 0), ('ResNet-8', 1), ('plain: 8', 1)),
  ]
  for run in runs:
    words = run.command
    made = config.load(words[words.index('--config') + 1])
    config.override(made, [word for word in words if word.startswith('--config.')])
    assert made == run.config
    assert words[:3] == [sys.executable, '-m', 'cifar_jax.main']
  assert runs[3].config.schedule.boundaries == (0.25, 0.5)
  assert runs[0].config.train.batch_size == 50 and runs[0].config.data.data_dir == '/data'


def test_a_shorter_run_keeps_the_shape_of_its_schedule():
  made = config.base('resnet20')
  made.train.num_epochs = 200
  made.schedule.update(warmup_epochs=4.0, first_cycle_epochs=20.0, patience=10)
  assert plan.shortened(made, 50) == {
    'train.num_epochs': 50,
    'schedule.warmup_epochs': 1.0,
    'schedule.first_cycle_epochs': 5.0,
    'schedule.patience': 2,
  }
  assert plan.shortened(made, 1)['schedule.patience'] == 1


BAD_FILES = {
  'no table': ('x = 1', 'STUDY'),
  'no entries': ("STUDY = {'title': 't', 'source': 's'}", 'entries'),
  'empty': ("STUDY = {'title': 't', 'source': 's', 'entries': []}", 'label'),
  'key misspelt': (TEXT.replace("'published'", "'publishd'"), 'publishd'),
  'the same label twice': (TEXT.replace('plain: 8', 'resnet 8'), 'resnet 8'),
  'no Python': ('STUDY = {', 'SyntaxError'),
  'no such config': (TEXT.replace('resnet.py', 'resnt.py'), 'resnt.py'),
  'impossible entry': (TEXT.replace('resnet.py:depth=8', 'resnet.py:depth=9'), '6n + 2'),
  'impossible override': (TEXT.replace('(0.25, 0.5)', '(0.5, 0.25)'), 'boundaries'),
}


@pytest.mark.parametrize('case', BAD_FILES)
def test_a_bad_study_is_one_line_and_touches_nothing(case, file, tmp_path, monkeypatch, capsys):
  text, word = BAD_FILES[case]
  file.write_text(text)
  status, out, err = start(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')
  assert status == 2 and out == '' and err.count('\n') == 1 and word in err, err
  assert list(tmp_path.iterdir()) == [file]


def test_a_bad_command_line_is_one_line(file, tmp_path, monkeypatch, capsys):
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'study.json').write_text(
    json.dumps({'study': 'three', 'title': '', 'source': '', 'changes': [], 'entries': []})
  )
  (tmp_path / 'full').mkdir()
  (tmp_path / 'full' / 'thesis.tex').touch()
  for words, word in (
    ([], '--list'),
    ([tmp_path / 'tow.py', '--workdir', 'w'], 'two.py'),
    ([file, '--workdir', tmp_path / 'other'], 'three'),
    ([file, '--workdir', tmp_path / 'full'], 'no study'),
    ([file, '--workdir', file], 'is a file'),
    ([file, '--workdir', 'w', '--seeds', '0'], 'at least 1'),
    ([file, '--workdir', 'w', '--epochs', 'ten'], 'ten'),
    ([file, '--workdir', 'w', '--config.modl.name=x'], 'modl'),
  ):
    status, out, err = start(monkeypatch, capsys, *words)
    assert status == 2 and out == '' and err.count('\n') == 1 and word in err, err


def test_another_length_in_the_same_directory_is_refused(file, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(launch, 'run', FakeRuns({'resnet-8/seed0': 9.0, 'plain-8/seed0': 20.0}))
  assert start(monkeypatch, capsys, file, '--workdir', tmp_path / 'w')[0] == 0
  status, _, err = start(monkeypatch, capsys, file, '--workdir', tmp_path / 'w', '--epochs', 2)
  assert status == 2 and err.count('\n') == 1 and 'num_epochs was 182.0 and is now 2.0' in err


def test_the_list_shows_every_study(monkeypatch, capsys):
  monkeypatch.chdir(ROOT)
  status, out, _ = start(monkeypatch, capsys, '--list')
  assert status == 0 and all(str(path) in out for path in table.available())


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_study_reaches_the_run_once(number, tmp_path):
  """A child that saves at the first signal, as a run does, ends by itself; so does the parent."""
  child = (
    'import signal, sys, time\n'
    'told = []\n'
    'for n in (2, 15): signal.signal(n, lambda n, _: told.append(n))\n'
    f'open({str(tmp_path / "ready")!r}, "w").close()\n'
    'while not told: time.sleep(0.01)\n'
    'time.sleep(0.3)\n'
    'sys.exit(128 + told[0] if len(told) == 1 else 99)\n'
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


def test_a_run_that_is_killed_has_the_status_of_a_shell():
  assert launch.run([sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)']) == (137, False)


def test_the_picture_shows_what_was_measured_and_what_is_published():
  told = {'title': 'Nets', 'source': 'Nobody'}
  row = {'epochs': 1, 'full_epochs': 1, 'published': None, 'errors': []}
  picture = report.figure(
    told,
    [
      row | {'label': 'a', 'errors': [9.0, 12.0], 'published': 8.0},
      row | {'label': 'b', 'published': 7.0},
      row | {'label': 'c', 'errors': [20.0]},
    ],
  )
  (axes,) = picture.axes
  assert [text.get_text() for text in axes.get_yticklabels()] == ['a', 'b', 'c']
  drawn = {tuple(map(float, line.get_xydata()[0])) for line in axes.lines if len(line.get_xdata())}
  assert {(10.5, 0.0), (8.0, 0.0), (7.0, 1.0), (20.0, 2.0)} <= drawn
  assert axes.get_xlabel() == 'Test error (%)' and axes.get_xscale() == 'linear'
