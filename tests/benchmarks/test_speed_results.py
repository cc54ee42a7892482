"""File of results, table and figure of `benchmarks/speed`, and the table in docs/speed.md."""

import copy
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks.speed import picture, ratios, results, table
from cifar_jax.errors import InputError
from tests.support.paths import ROOT

PAGE = (ROOT / 'docs' / 'speed.md').read_text()
MARKED = re.compile(r'<!-- speed -->\n(.*?)\n<!-- /speed -->', flags=re.DOTALL)


def make_row(net: str = 'resnet20', dtype: str = 'float32', batch: int = 128) -> dict[str, Any]:
  """Returns a row of the result with invented numbers."""
  race = ratios.race([0.5, 0.4, 0.5, 0.6, 0.5], [0.6, 0.4, 0.5, 0.9, 0.5], batch)
  return {
    'net': net,
    'dtype': dtype,
    'batch': batch,
    'torch_variant': 'eager',
    'train': race,
    'evaluate': race,
    'input_share': {'ours': 0.0123, 'torch': 0.02},
    'first_step_seconds': {'ours': {'cold': 14.2, 'cached': 6.14}, 'torch': {'cold': 7.3}},
    'command_to_first_step_seconds': {'ours': 8.26, 'torch': None},
    'memory': {'ours': {'peak_bytes': 1.5e9}, 'torch': {'peak_bytes': 2e9}},
  }


def make_result(*rows: dict[str, Any]) -> dict[str, Any]:
  """Returns a result with an invented origin."""
  return {
    'machine': 'a machine',
    'device': '1 x cpu',
    'commit': 'abc',
    'versions': {'jax': '1', 'torch': '2'},
    'threads': 2,
    'command': 'python -m benchmarks.speed',
    'rows': list(rows),
  }


def test_a_new_row_replaces_only_the_row_of_its_net_and_dtype(
  tmp_path: pathlib.Path,
) -> None:
  file = tmp_path / 'speed_cpu.json'
  result = results.begin(file, make_result(), append=True)
  results.add(result, make_row())
  results.add(result, make_row('wrn_16_4'))
  results.write(file, result)
  again = results.begin(file, make_result() | {'command': 'another'}, append=True)
  results.add(again, make_row(batch=64))
  assert [(row['net'], row['batch']) for row in again['rows']] == [
    ('wrn_16_4', 128),
    ('resnet20', 64),
  ]
  assert again['command'] == 'python -m benchmarks.speed; another'
  assert results.begin(file, make_result(), append=False)['rows'] == []


@pytest.mark.parametrize('key', ['machine', 'commit', 'versions', 'threads', 'device'])
def test_rows_of_another_origin_cannot_be_appended(tmp_path: pathlib.Path, key: str) -> None:
  file = tmp_path / 'speed_cpu.json'
  results.write(file, make_result(make_row()))
  with pytest.raises(InputError, match=f'{key} .*without --append'):
    results.begin(file, make_result() | {key: 'other'}, append=True)
  assert json.loads(file.read_text()) == make_result(make_row())


def test_the_table_shows_the_measured_numbers() -> None:
  rows = [make_row('wrn_28_10', 'bfloat16', batch=32), make_row('wrn_28_10', batch=32), make_row()]
  lines = table.markdown(make_result(*rows), pathlib.Path('speed_cpu.json')).splitlines()
  assert lines[2] == (
    '| ResNet-20 | float32 | 256 (256) | **1.00** (1.00 to 1.05) | 256 (256) | **1.00** (1.00 to '
    '1.05) | 14, 6.1 (7) | 8.3 (-) | 1,500 (2,000) | 1.2 % |'
  )
  starts = [line.split(' | ')[:2] for line in lines[2:5]]
  assert starts[1:] == [['| WRN-28-10, batch 32', 'float32'], ['| WRN-28-10, batch 32', 'bfloat16']]
  assert len({line.count('|') for line in lines[:5]}) == 1
  assert 'benchmarks/results/speed_cpu.json' in lines[-1] and 'commit abc' in lines[-1]


def test_the_figure_has_a_mark_per_row_and_a_line_at_one() -> None:
  slow = make_row('wrn_16_4')
  slow['train'] = copy.deepcopy(slow['train']) | {'ratio': {'median': 0.3, 'low': 0.2, 'high': 0.4}}
  figure = picture.figure(make_result(make_row(), make_row(dtype='bfloat16'), slow))
  assert isinstance(figure, Figure)
  left = figure.axes[0]
  assert sorted(text.get_text() for text in left.texts) == ['0.30', '1.00', '1.00']
  assert [tick.get_text() for tick in left.get_yticklabels()] == ['ResNet-20', 'WRN-16-4']
  positions = [np.ravel(np.asarray(line.get_xdata(), float)) for line in left.lines]
  assert left.get_xlim()[0] < 0.2 and any(line[0] == 1 for line in positions)
  assert 0.3 in np.round(np.concatenate(positions), 2)


def test_the_command_prints_one_line_for_a_missing_file_of_results(tmp_path: pathlib.Path) -> None:
  command = [sys.executable, '-m', 'benchmarks.speed', '--table', '--output', str(tmp_path / 'no')]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 2 and done.stderr.count('\n') == 1 and 'no results in' in done.stderr


def test_the_table_on_the_page_shows_the_committed_results() -> None:
  file, marked = results.path('cpu'), MARKED.search(PAGE)
  assert marked, 'put the output of `python -m benchmarks.speed --table` between the marks'
  assert marked[1].strip() == table.markdown(results.read(file), file)
