"""The arithmetic, the file and the table of `benchmarks/speed`; neither side is started."""

import copy
import json
import math
import pathlib
import re
import statistics
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from benchmarks.speed import compare, nets, picture, ratios, results, serve, table, workers
from cifar_jax import config, models
from cifar_jax.errors import InputError

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()
MARKED = re.compile(r'<!-- speed -->\n(.*?)\n<!-- /speed -->', flags=re.DOTALL)


def a_row(net='resnet20', dtype='float32', batch=128):
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


def a_result(*rows):
  return {
    'machine': 'a machine',
    'device': '1 x cpu',
    'commit': 'abc',
    'versions': {'jax': '1', 'torch': '2'},
    'threads': 2,
    'command': 'python -m benchmarks.speed',
    'rows': list(rows),
  }


@pytest.mark.parametrize('stalled', ['ours', 'theirs'])
def test_a_stall_is_left_out_for_both_sides(stalled):
  times = {'ours': [1.0, 1.1, 0.9, 1.0, 1.2], 'theirs': [2.0, 2.1, 1.9, 2.2, 2.0]}
  times[stalled][3] *= 1.7
  assert ratios.kept_rounds(**times) == [0, 1, 2, 4]
  race = ratios.race(times['ours'], times['theirs'], 100)
  assert race['left_out'] == 1
  pairs = [2.0, 2.1 / 1.1, 1.9 / 0.9, 2.0 / 1.2]
  assert race['ratio']['median'] == pytest.approx(statistics.median(pairs))
  assert race['ours']['median'] == pytest.approx(
    statistics.median([100, 100 / 1.1, 100 / 0.9, 100 / 1.2])
  )
  assert len(race['step_seconds']['ours']) == 5  # what is left out is written all the same


def test_what_is_slower_by_less_counts_and_some_round_always_does():
  assert ratios.kept_rounds([1.0, 1.5, 1.0], [1.0, 1.0, 1.0]) == [0, 1, 2]
  assert ratios.kept_rounds([1.0, 9.0], [9.0, 1.0]) == [0, 1]


def test_a_ratio_above_one_means_that_ours_is_faster():
  assert ratios.race([1.0] * 3, [2.0] * 3, 10)['ratio'] == {'median': 2.0, 'low': 2.0, 'high': 2.0}


def test_drift_of_the_machine_is_no_spread_of_the_ratio():
  ours = [1.0, 1.1, 1.2, 1.3, 1.4]
  race = ratios.race(ours, [3 * seconds for seconds in ours], 10)
  assert race['ratio']['high'] - race['ratio']['low'] < 1e-9
  assert race['ours']['high'] > 1.1 * race['ours']['low']


def test_quartiles_are_those_of_the_values():
  assert ratios.spread([5.0, 1.0, 2.0, 4.0, 3.0]) == {'median': 3.0, 'low': 2.0, 'high': 4.0}
  assert ratios.spread([7.0]) == {'median': 7.0, 'low': 7.0, 'high': 7.0}


@pytest.mark.parametrize(
  ('ours', 'theirs', 'rounds', 'expected'),
  [
    (0.3, 0.2, 10, (10, 12)),  # 60 s in ten rounds of both sides
    (3.0, 3.0, 9, (9, 1)),
    (6.0, 6.0, 9, (5, 1)),
    (60.0, 60.0, 9, (3, 1)),
    (60.0, 60.0, 2, (2, 1)),
  ],
)
def test_rounds_and_steps_take_the_seconds_there_are(ours, theirs, rounds, expected):
  assert ratios.plan(ours, theirs, rounds, 60.0) == expected


def test_nets_that_differ_do_not_race():
  compare.check_counts('resnet20', 269_722, 269_722)
  with pytest.raises(InputError, match=r'269,722 parameters here and 269,723 in PyTorch'):
    compare.check_counts('resnet20', 269_722, 269_723)


class Scripted(compare.Comparison):
  """PyTorch's variants take these seconds a step; all do longer with each request."""

  def __init__(self, steps, fails_at):
    machine = compare.Machine('cpu', 2, 'python', 'data', 'export', 5, 60.0, 120.0)
    super().__init__(machine, 'resnet20', 'float32', 128)
    self.steps, self.fails_at, self.slowness, self.running = steps, fails_at, 1.0, []

  def _start(self, side, settings):
    assert side == 'torch'
    worker = ScriptedWorker(self, settings['variant'])
    self.running.append(worker)
    return worker, {'num_params': 269_722, 'waited': 1.0}


class ScriptedWorker:
  def __init__(self, comparison, variant):
    self.comparison, self.variant, self.asked = comparison, variant, 0

  def ask(self, do, limit=0.0, steps=1):
    self.asked += 1
    self.comparison.slowness *= 1.1
    if self.variant == 'compiled' and self.asked == self.comparison.fails_at:
      raise workers.WorkerError('no compiler')
    seconds = self.comparison.steps[self.variant] * self.comparison.slowness * steps
    return {'seconds': seconds, 'waited': seconds}

  def close(self):
    self.comparison.running.remove(self)


@pytest.mark.parametrize(
  'eager, compiled, fails_at, best',
  [
    (1.0, 0.8, None, 'compiled'),
    (0.7, 0.8, None, 'eager'),
    (1.0, 0.8, 1, 'eager'),
    (1.0, 0.8, 4, 'eager'),
  ],
)
def test_the_faster_variant_of_pytorch_is_raced_though_the_machine_grows_slower(
  eager, compiled, fails_at, best
):
  comparison = Scripted({'eager': eager, 'compiled': compiled}, fails_at)
  worker, variant, tried = comparison.start_torch(269_722)
  assert variant == best == worker.variant
  assert comparison.running == [worker]
  assert tried == {'compiled': 'no compiler'} if fails_at else set(tried) == {'eager', 'compiled'}
  assert ('cached' in comparison.starts['torch']) == (best == 'compiled')


@pytest.mark.parametrize('net', nets.NETS)
def test_our_side_is_the_net_of_that_name_with_the_recipe_of_both(net):
  made = config.load(str(ROOT / nets.NETS[net].config))
  config.override(made, nets.overrides('bfloat16', 64, 'DATA'))
  assert (made.model.name, made.model.dtype, made.train.batch_size) == (net, 'bfloat16', 64)
  plain = config.base(net)
  plain.optimizer.weight_decay = 5e-4
  assert made.optimizer.to_dict() == plain.optimizer.to_dict()
  assert made.augment.to_dict() == plain.augment.to_dict()  # crops padded by 4 zeros, and flips
  assert not made.model.get('dropout') and made.model.get('survival_probability', 1.0) == 1.0
  models.create(**made.model)


def test_a_row_takes_the_place_of_its_like_and_stands_beside_others(tmp_path):
  file = tmp_path / 'speed_cpu.json'
  result = results.begin(file, a_result(), append=True)
  results.add(result, a_row())
  results.add(result, a_row('wrn_16_4'))
  results.write(file, result)
  again = results.begin(file, a_result() | {'command': 'another'}, append=True)
  results.add(again, a_row(batch=64))
  assert [(row['net'], row['batch']) for row in again['rows']] == [
    ('wrn_16_4', 128),
    ('resnet20', 64),
  ]
  assert again['command'] == 'python -m benchmarks.speed; another'
  assert results.begin(file, a_result(), append=False)['rows'] == []


@pytest.mark.parametrize('key', ['machine', 'commit', 'versions', 'threads', 'device'])
def test_rows_of_another_origin_are_refused(tmp_path, key):
  file = tmp_path / 'speed_cpu.json'
  results.write(file, a_result(a_row()))
  with pytest.raises(InputError, match=f'{key} .*without --append'):
    results.begin(file, a_result() | {key: 'other'}, append=True)
  assert json.loads(file.read_text()) == a_result(a_row())


def test_the_table_says_what_was_measured():
  rows = [a_row('wrn_28_10', 'bfloat16', batch=32), a_row('wrn_28_10', batch=32), a_row()]
  lines = table.markdown(a_result(*rows), pathlib.Path('speed_cpu.json')).splitlines()
  assert lines[2] == (
    '| ResNet-20 | float32 | 256 (256) | **1.00** (1.00 to 1.05) | 256 (256) | **1.00** (1.00 to '
    '1.05) | 14, 6.1 (7) | 8.3 (-) | 1,500 (2,000) | 1.2 % |'
  )
  starts = [line.split(' | ')[:2] for line in lines[2:5]]
  assert starts[1:] == [['| WRN-28-10, batch 32', 'float32'], ['| WRN-28-10, batch 32', 'bfloat16']]
  assert len({line.count('|') for line in lines[:5]}) == 1
  assert 'benchmarks/results/speed_cpu.json' in lines[-1] and 'commit abc' in lines[-1]


def test_the_picture_has_a_mark_a_row_and_a_line_at_one():
  slow = a_row('wrn_16_4')
  slow['train'] = copy.deepcopy(slow['train']) | {'ratio': {'median': 0.3, 'low': 0.2, 'high': 0.4}}
  drawn = picture.figure(a_result(a_row(), a_row(dtype='bfloat16'), slow))
  assert isinstance(drawn, Figure)
  left = drawn.axes[0]
  assert sorted(text.get_text() for text in left.texts) == ['0.30', '1.00', '1.00']
  assert [tick.get_text() for tick in left.get_yticklabels()] == ['ResNet-20', 'WRN-16-4']
  assert left.get_xlim()[0] < 0.2 and any(line.get_xdata()[0] == 1 for line in left.lines)
  marks = [round(float(x), 2) for line in left.lines for x in line.get_xdata() if math.isfinite(x)]
  assert 0.3 in marks


SERVER = """
import time
from benchmarks.speed import serve
def add(a, b):
  print('no answer')
  return {'sum': a + b}
def hang():
  time.sleep(60)
serve.serve({'add': add, 'hang': hang})
"""


def test_a_worker_answers_says_what_went_wrong_and_is_not_waited_for_for_ever():
  with workers.Worker(
    [sys.executable, '-c', SERVER], workers.environment('torch', 'cpu', ROOT)
  ) as worker:
    assert worker.ask('add', a=1, b=2)['sum'] == 3
    with pytest.raises(workers.WorkerError, match='TypeError'):
      worker.ask('add', a=1)
    assert worker.ask('add', a=2, b=2)['sum'] == 4
    with pytest.raises(workers.WorkerError, match=r'not done within 0\.2 s'):
      worker.ask('hang', limit=0.2)
  with (
    workers.Worker([sys.executable, '-c', 'raise SystemExit("no torch")'], {}) as worker,
    pytest.raises(workers.WorkerError, match='no torch'),
  ):
    worker.ask('build')


def test_both_sides_keep_memory_alike():
  for name in ('MALLOC_ARENA_MAX', 'MALLOC_MMAP_MAX_'):
    assert name in workers.environment('torch', 'cpu', ROOT)
    assert name not in workers.environment('ours', 'cpu', ROOT)  # which sets it by itself


def test_time_and_memory_are_read():
  assert 0 <= serve.timed(lambda: None)['seconds'] < 1
  assert 1e6 < serve.resident_bytes() <= 1.01 * serve.most_resident_bytes()


def test_the_command_runs_from_the_root_and_says_what_is_wrong(tmp_path):
  command = [sys.executable, '-m', 'benchmarks.speed', '--table', '--output', str(tmp_path / 'no')]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
  assert done.returncode == 2 and done.stderr.count('\n') == 1 and 'no results in' in done.stderr


def test_the_readmes_table_is_that_of_the_results():
  file, marked = results.path('cpu'), MARKED.search(README)
  if not file.exists():
    assert not marked, 'the README has a table of results that do not exist'
    return
  assert marked, 'put the output of `python -m benchmarks.speed --table` between the marks'
  assert marked[1].strip() == table.markdown(results.read(file), file)
