"""The commands of all analyses, on a small run."""

import importlib
import json
import pathlib
import shutil
import sys
from typing import Any

import pytest

from cifar_jax.analysis import runner
from cifar_jax.errors import InputError
from tests.support import fake_run
from tests.support.paths import ROOT

NAMES = (
  'activations', 'branch_correlation', 'complexity', 'landscape', 'lesion', 'path_length',
)  # fmt: skip
MARKS = dict.fromkeys(('complexity', 'landscape', 'path_length'), pytest.mark.slow)
MARKS['activations'] = pytest.mark.ci


@pytest.fixture(scope='module')
def run(tiny_cifar: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run of a Shake-Shake net."""
  workdir = tmp_path_factory.mktemp('runs') / 'shaken'
  recipe = str(ROOT / 'configs' / 'shake_shake.py')
  return fake_run.make(workdir, tiny_cifar, 'model.name=shake_shake_8_2x4d', recipe=recipe)


def call_analysis(
  monkeypatch: pytest.MonkeyPatch, name: str, *words: str | int | pathlib.Path
) -> None:
  monkeypatch.setattr(sys, 'argv', [name, *map(str, words)])
  importlib.import_module(f'cifar_jax.analysis.{name}').main()


@pytest.mark.parametrize('name', [pytest.param(name, marks=MARKS.get(name, [])) for name in NAMES])
def test_each_analysis_writes_json_and_a_picture_and_prints_a_table(
  name: str, run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
  fast = {'lesion': ('--draws', 1), 'path_length': ('--draws', 1), 'landscape': ('--points', 3)}
  call_analysis(monkeypatch, name, '--workdir', run, *fast.get(name, ()))
  results = json.loads((run / 'analysis' / f'{name}.json').read_text())
  assert results['analysis'] == name and results['model'] == 'shake_shake_8_2x4d'
  assert results['num_images'] == 48 and results['provenance']['versions']['jax']
  assert (run / 'analysis' / f'{name}.png').read_bytes().startswith(b'\x89PNG')
  assert 'shake_shake_8_2x4d' in capsys.readouterr().out


def test_results_of_different_images_are_not_drawn_together(tmp_path: pathlib.Path) -> None:
  same = [{'run': name, 'images': 'cifar10 1'} for name in 'ab']
  runner._check_same_images(same, tmp_path)
  with pytest.raises(InputError, match='a and c were measured on different images'):
    runner._check_same_images([*same, {'run': 'c', 'images': 'shapes 2'}], tmp_path)


@pytest.mark.ci
def test_the_option_picture_draws_several_runs_together(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  picture = tmp_path / 'both.png'
  words = ('--workdir', run, run, '--picture', picture, '--num-images', 8)
  call_analysis(monkeypatch, 'branch_correlation', *words)
  assert picture.read_bytes().startswith(b'\x89PNG')
  numbers = json.loads(picture.with_suffix('.json').read_text())
  assert [results['run'] for results in numbers] == ['shaken', 'shaken 2']


@pytest.mark.slow
def test_the_loss_is_constant_between_a_net_and_itself(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  call_analysis(monkeypatch, 'landscape', '--workdir', run, '--to', run, '--points', 2)
  first, last = json.loads((run / 'analysis' / 'landscape.json').read_text())['points']
  assert first['loss'] == pytest.approx(last['loss']) and first['position'] != last['position']


@pytest.mark.parametrize(
  ('words', 'complaint'),
  [
    (('--split', 'tset'), 'invalid choice'),
    (('--num-images', '0'), 'not an integer of at least 1'),
    (('--num-images', '9' * 5000), '999….* is not an integer'),
    (('--draws', '1' + '0' * 400), 'at most 2147483647'),
    (('--seed', '-1'), 'is not an integer of at least 0'),
    (('--seed', '4294967296'), 'at most 4294967295'),
    (('--picture', 'missing/lesions.png'), 'a directory that exists'),
    (('--config.model.depth=3',), 'model'),
    (('--drwas', '1'), 'drwas'),
    (('--picture', 'lesions.json'), 'PNG'),
  ],
)
def test_bad_options_are_refused_in_one_line(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], complaint: str
) -> None:
  with pytest.raises(InputError, match=complaint) as info:
    call_analysis(monkeypatch, 'lesion', '--workdir', run, *words)
  assert '\n' not in str(info.value)


def test_a_picture_replaces_no_numbers_but_its_own(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  (tmp_path / 'labels.json').write_text('[{"cat": 1}]')
  with pytest.raises(InputError, match=r'labels\.json would be replaced'):
    call_analysis(monkeypatch, 'lesion', '--workdir', run, '--picture', tmp_path / 'labels.png')


@pytest.mark.parametrize(
  ('changes', 'stem'),
  [
    ({}, 'lesion'),
    ({'is_one_of_several_seeds': True}, 'lesion_seed1'),
    ({'checkpoint': 'best', 'split': 'validation'}, 'lesion_validation_best'),
    ({'analysis': 'landscape', 'to': 'a', 'to_workdir': '/x/a'}, 'landscape_to_a_ab5e303f'),
  ],
)
def test_what_is_measured_of_one_run_has_files_of_its_own(
  changes: dict[str, Any], stem: str
) -> None:
  results = {'analysis': 'lesion', 'checkpoint': 'last', 'split': 'test', 'seed': 1}
  results |= {'is_one_of_several_seeds': False, **changes}
  assert runner._file_stem(results) == stem


@pytest.mark.ci
def test_an_analysis_with_other_options_stays(
  run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
  shutil.copytree(run, work := tmp_path / 'work')
  shutil.rmtree(work / 'analysis', ignore_errors=True)
  for num_images in (8, 8, 16):
    words = ('--workdir', work, '--num-images', num_images)
    call_analysis(monkeypatch, 'branch_correlation', *words)
  names = ('branch_correlation', 'branch_correlation-2')
  assert {path.name for path in (work / 'analysis').iterdir()} == {
    f'{name}{ending}' for name in names for ending in ('.json', '.png')
  }
  numbers = [json.loads((work / 'analysis' / f'{name}.json').read_text()) for name in names]
  assert [results['num_images'] for results in numbers] == [16, 8]
