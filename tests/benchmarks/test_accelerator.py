"""The stages of `benchmarks/accelerator`: their time, their files, their tables."""

import json
import pathlib
import sys
import time
from typing import Any

import pytest

from benchmarks.accelerator import __main__ as command
from benchmarks.accelerator import plan, stage, table
from cifar_jax import cli
from cifar_jax.errors import InputError
from tests.support.paths import ROOT

PAGE = (ROOT / 'docs' / 'accelerator.md').read_text()


def test_a_stage_gets_the_time_that_the_ones_before_it_left() -> None:
  shares = [entry.seconds for entry in plan.STAGES]
  assert sum(shares) == 600
  for i, share in enumerate(shares):
    left = sum(shares[i:])
    assert plan.limit(plan.STAGES, i, left, tiny=False) == pytest.approx(share)
    assert plan.limit(plan.STAGES, i, 2 * left, tiny=False) == pytest.approx(2 * share)
  assert sum(entry.tiny_seconds for entry in plan.STAGES) == 300
  assert plan.limit(plan.STAGES, 0, 300.0, tiny=True) == plan.STAGES[0].tiny_seconds
  assert plan.limit(plan.STAGES, len(shares) - 1, 42.0, tiny=True) == 42.0


def test_every_stage_has_a_module_and_a_line_of_the_table() -> None:
  folder = pathlib.Path(command.__file__).parent
  for entry in plan.STAGES:
    assert 'def measure(stage: Stage)' in (folder / f'{entry.name}.py').read_text()
    assert entry.name in table.SUMMARIES


def make_stage(folder: pathlib.Path, name: str) -> stage.Stage:
  """Returns a stage that has just begun."""
  end = time.monotonic() + 60
  return stage.Stage(name, folder, folder, folder, end, tiny=True, torch_python='python')


def test_a_stage_that_is_cut_off_leaves_its_rows_and_says_so(tmp_path: pathlib.Path) -> None:
  current = make_stage(tmp_path, 'card')
  current.add({'kind': 'product', 'rate': 1.5})
  environment = command._environment(tmp_path, 'card', tiny=False)
  with (tmp_path / 'log.txt').open('w') as log:
    sleep = [sys.executable, '-S', '-c', 'import time; print("begun"); time.sleep(60)']
    status = command._run_stage(sleep, environment, 1.0, log)
    assert command._run_stage([sys.executable, '-S', '-c', ''], environment, 9.0, log) == stage.DONE
    assert command._run_stage([sys.executable, '-c', '1/0'], environment, 9.0, log) == (
      'ended with status 1'
    )
  assert 'begun' in (tmp_path / 'log.txt').read_text()
  stage.end(tmp_path, 'card', status, 1.04)
  content = json.loads((tmp_path / 'card.json').read_text())
  assert content['rows'] == [{'kind': 'product', 'rate': 1.5}]
  assert content['status'] == 'cut off at its limit of 1 s' and content['seconds'] == 1.0


def test_bad_arguments_are_answered_in_one_line(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  words = ['--data-dir', str(tmp_path), '--out', str(tmp_path / 'out')]
  for more, message in (
    ([], f'{tmp_path} has no cifar-10-batches-bin'),
    (['--minutes', '0'], '--minutes must be above 0'),
    (['--stages', 'nothing'], "invalid choice: 'nothing'"),
  ):
    monkeypatch.setattr(sys, 'argv', ['accelerator', *words, *more])
    with pytest.raises(SystemExit) as exit_info:
      cli.run(command.main)
    assert exit_info.value.code == cli.BAD_INPUT
    assert message in capsys.readouterr().err
  assert not (tmp_path / 'out').exists()


def test_the_page_is_made_from_the_files_of_results() -> None:
  assert table.fill(PAGE, table.FOLDER) == PAGE


def test_what_no_file_holds_is_not_yet_measured(tmp_path: pathlib.Path) -> None:
  lines = table.markdown(tmp_path).splitlines()[2:]
  assert [table.MISSING in line for line in lines] == [True] * len(plan.STAGES)
  assert all(line.count(table.MISSING) == 4 for line in table.steps(tmp_path).splitlines()[2:])


def write(folder: pathlib.Path, name: str, rows: list[dict[str, Any]], **more: Any) -> None:
  """Writes the file of a stage that is done."""
  content = {'status': stage.DONE, 'seconds': 7.0, 'rows': rows, **more}
  stage.path(folder, name).write_text(json.dumps(content))


def test_the_tables_show_the_measured_numbers(tmp_path: pathlib.Path) -> None:
  rates = [{'kind': 'product', 'rate': 500e12}, {'kind': 'copy', 'bandwidth': 4e12}]
  write(tmp_path, 'card', rates, device='1 x a card')
  race = {'ratio': {'median': 1.25, 'low': 1.2, 'high': 1.3}, 'ours': {'median': 64_000.0}}
  row = {'net': 'wrn_28_10', 'batch': 128, 'train': race, 'evaluate': race}
  write(tmp_path, 'race', [row])
  family = {'family': 'vgg', 'dtype': 'float32', 'compile_seconds': 3.0, 'finite': True}
  write(tmp_path, 'families', [family | {'falls': True}, family | {'falls': False}])
  commands = [{'command': 'evaluate', 'status': 0}, {'command': 'compare', 'status': 70}]
  write(tmp_path, 'commands', commands)
  summary = {'mean_seconds': 1.91, 'mean_accuracy': 0.9402}
  write(tmp_path, 'speed_run', [{}] * 5, summary=summary)
  recipe = {'config': 'configs/resnet.py:depth=20', 'epochs_of_recipe': 182, 'epochs': 91}
  result = {'test': {'accuracy': 0.9125}}
  write(tmp_path, 'reproduction', [recipe | {'seeds': 4, 'result': result}])
  write(tmp_path, 'options', [{'option': 'kills', 'runs': 2, 'runs_equal_to_the_bit': 2}])
  text = table.markdown(tmp_path)
  for part in (
    '1 x a card, 500 TFLOP/s, 4 TB/s',
    '1 of 2 losses finite and falling; compiled in 3.0 s (at most 3.0); not: vgg float32',
    '1 of 2 ended with status 0; not: compare',
    'training 1.25 to 1.25 times as fast as PyTorch',
    '1.91 s to 94.02 %, n = 5',
    'resnet.py:depth=20: error 8.75 % (91 of 182 epochs, 4 seeds)',
    'kills: {runs: 2, runs_equal_to_the_bit: 2}',
  ):
    assert part in text
  assert table.MISSING not in text
  step = next(line for line in table.steps(tmp_path).splitlines() if 'WRN-28-10' in line)
  assert '| 2.00 |' in step and '| 1.25 (1.20 to 1.30) | 1.25 (1.20 to 1.30) |' in step
  operations = next(f['operations'] for f in table._floors() if f['model'] == 'wrn_28_10')
  assert f'| {100 * operations / 2e-3 / 500e12:.0f} % |' in step


def test_results_of_the_smallest_sizes_are_not_adopted(tmp_path: pathlib.Path) -> None:
  with pytest.raises(InputError, match='no results of a whole run'):
    table.adopt(tmp_path)
  write(tmp_path, 'card', [], tiny=True)
  with pytest.raises(InputError, match='no results of a whole run'):
    table.adopt(tmp_path)
