"""The table of a study: its rows, its differences to a baseline, its files and its picture."""

import csv
import json
import pathlib
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cifar_jax.report import page_data, study_differences, study_formats, study_table
from cifar_jax.report.figures import study as study_figure

STUDY: dict[str, Any] = {
  'study': 's', 'title': 'Nets, 100 % of_them', 'source': 'Nobody', 'changes': [], 'entries': [],
}  # fmt: skip


def row(label: str, errors: list[float], seeds: list[int] | None = None, **more: Any) -> Any:
  """A row whose runs have one seed each."""
  seeds = list(range(len(errors))) if seeds is None else seeds
  return {
    'label': label, 'epochs': 1, 'full_epochs': 1, 'published': None, 'published_train': None,
    'num_runs': len(errors), 'num_finished': len(errors), 'seeds': seeds, 'errors': errors,
    'train_errors': [], 'seconds': [], 'commits': [], 'devices': [], 'inputs': [],
    'versions': [], 'has_legs': False, 'ended_after': [], 'num_seen': 0,
  } | more  # fmt: skip


def differences(*rows: Any) -> list[Any]:
  """What is added to each row where the first is the baseline."""
  added = study_differences.add(list(rows), rows[0]['label'])
  return [new[study_differences.KEY] for new in added]


def test_errors_of_the_same_seeds_are_compared_pair_by_pair() -> None:
  base, other = [10.0, 12.0, 14.0, 11.0], [9.0, 11.5, 12.8, 10.6]
  none, difference = differences(row('a', base), row('b', other))
  assert none is None and difference['paired'] and difference['baseline'] == 'a'
  gaps = np.subtract(other, base)
  assert difference['difference'] == pytest.approx(gaps.mean())
  # Student's t with 3 degrees of freedom: 3.182 at 97.5 %.
  half = 3.182 * gaps.std(ddof=1) / 2
  assert difference['interval'] == pytest.approx([gaps.mean() - half, gaps.mean() + half], abs=1e-3)
  t = gaps.mean() / (gaps.std(ddof=1) / 2)
  assert difference['p_value'] == pytest.approx(2 * stats.t.sf(abs(t), 3))
  # The seeds differ far more among themselves than the two nets do on one seed.
  assert difference['p_value'] < 0.1 < stats.ttest_ind(base, other, equal_var=False).pvalue


def test_errors_of_other_seeds_are_compared_by_welchs_test() -> None:
  base, other = [10.0, 12.0, 14.0], [9.0, 11.5]
  _, difference = differences(row('a', base), row('b', other))
  assert not difference['paired']
  parts = [np.var(values, ddof=1) / len(values) for values in (base, other)]
  t = (10.25 - 12.0) / np.sqrt(sum(parts))
  df = sum(parts) ** 2 / (parts[0] ** 2 / 2 + parts[1] ** 2 / 1)
  assert difference['difference'] == pytest.approx(-1.75)
  assert difference['p_value'] == pytest.approx(2 * stats.t.sf(abs(t), df))
  shifted = row('c', [9.0, 11.5, 12.0], seeds=[1, 2, 3])
  assert not differences(row('a', base), shifted)[1]['paired']


def test_without_seeds_or_spread_there_is_a_difference_and_no_test() -> None:
  one = differences(row('a', [10.0]), row('b', [9.0]))[1]
  equal = differences(row('a', [10.0, 11.0]), row('b', [9.0, 10.0 + 1e-13]))[1]
  for difference in (one, equal):
    assert difference['difference'] == pytest.approx(-1.0)
    assert difference['interval'] is None and difference['p_value'] is None
  assert differences(row('a', [10.0]), row('b', []))[1] is None
  assert differences(row('a', []), row('b', [10.0]))[1] is None


TABLE = study_differences.add(
  [
    row('a_1 | 50 %', [10.0, 12.0], published=9.0),
    row('b, wide', [9.0, 11.5]),
    row('c', [], num_runs=2),
  ],
  'a_1 | 50 %',
)


def test_the_text_names_the_baseline_and_the_test() -> None:
  text = study_formats.text(STUDY, TABLE)
  words = ' '.join(text.split())
  head, *rows = [line for line in text.splitlines() if line.startswith(('entry', 'a', 'b', 'c '))]
  assert head.split('  ')[-1].strip() == 'p' and '95 % interval' in head
  assert rows[0].split()[-5:] == ['9.00', '+2.00', '-', '-', '-']
  assert '-0.75  -3.93 to +2.43' in rows[1] and rows[2].split()[1:4] == ['0', 'of', '2']
  assert 'Baseline: a_1 | 50 %; a negative difference is better.' in words
  assert 'p of t tests (paired by seed), not corrected' in words


def test_markdown_has_a_cell_for_each_column() -> None:
  lines = [line for line in study_formats.markdown(STUDY, TABLE).splitlines() if line[:1] == '|']
  assert lines[1].startswith('| --- | ---: |') and len(lines) == 5
  assert len({line.replace('\\|', '').count('|') for line in lines}) == 1
  assert lines[2].startswith('| a_1 \\| 50 % | 2 of 2 |')


def test_the_letters_that_latex_reserves_are_escaped() -> None:
  latex = study_formats.latex(STUDY, TABLE)
  assert r'a\_1 | 50 \% & 2 of 2 & 1 & - & 11.00 $\pm$ 1.41 & 9.00 & +2.00 & - & - & - \\' in latex
  assert r'\caption{Nets, 100 \% of\_them (Nobody).' in latex
  columns = latex.split(r'\begin{tabular}{')[1].split('}')[0]
  assert columns == 'l' + 9 * 'r'


def test_comma_separated_values_are_numbers_at_full_precision() -> None:
  first, second, third = csv.DictReader(study_formats.comma_separated(TABLE).splitlines())
  assert first['entry'] == 'a_1 | 50 %' and second['entry'] == 'b, wide'
  assert first['seeds'] == '0 1' and first['difference_to_baseline'] == ''
  assert float(second['difference_to_baseline']) == -0.75
  assert float(first['test_error_deviation']) == pytest.approx(2**0.5)
  assert (third['test_error_percent'], third['runs'], third['planned_runs']) == ('', '0', '2')


def test_a_run_of_several_seeds_counts_as_that_many_errors(tmp_path: pathlib.Path) -> None:
  entry = {'label': 'a', 'epochs': 1, 'full_epochs': 1, 'published': None, 'published_train': None}
  study = STUDY | {'entries': [entry | {'runs': ['a/seed3']}]}
  (tmp_path / 'study.json').write_text(json.dumps(study))
  run = tmp_path / 'a' / 'seed3'
  run.mkdir(parents=True)
  config = {'seed': 3, 'data': {'name': 'cifar10'}, 'model': {'name': 'resnet8'}}
  (run / 'config.json').write_text(json.dumps(config | {'train': {'num_epochs': 1}}))
  each = {'accuracy': [0.75, 0.5]}
  result = {'test': {'accuracy': 0.625, 'each': each}, 'seeds': [3, 4], 'seconds': 1.0}
  result |= {'num_epochs': 1}
  (run / 'result.json').write_text(json.dumps(result | {'commit': 'abc', 'device': '1 x cpu'}))
  step = {'step': 4, 'epoch': 1.0, 'split': 'train', 'accuracy': 0.4, 'loss': 1.0}
  step |= {'learning_rate': 0.1, 'images_per_second': 1.0, 'each': {'accuracy': [0.3, 0.5]}}
  (run / 'metrics.jsonl').write_text(json.dumps(step) + '\n')
  text = study_table.write(tmp_path)
  (row,) = json.loads((tmp_path / 'table.json').read_text())['entries']
  assert (row['seeds'], row['errors']) == ([3, 4], [25.0, 50.0])
  assert row['train_errors'] == pytest.approx([70.0, 50.0])
  assert '60.00 ± 14.14' in text  # of the training errors
  assert '37.50 ± 17.68' in text and '37.50 ± 17.68' in (tmp_path / 'table.md').read_text()
  endings = {path.suffix for path in tmp_path.glob('table.*')}
  assert endings == {'.json', '.txt', '.md', '.csv', '.tex', '.png'}


def test_the_picture_shows_measured_and_published_errors() -> None:
  picture = study_figure.figure(
    {'title': 'ResNet-56', 'source': 'Nobody', 'changes': ['--config.model.name=resnet8']},
    [row('a', [9.0, 12.0], published=8.0), row('b', [], published=7.0), row('c', [20.0])],
  )
  # The title and the labels are of the study's file, and do not know what was overridden.
  assert 'Changed for all: --config.model.name=resnet8' in picture.get_suptitle()
  (axes,) = picture.axes
  assert [text.get_text() for text in axes.get_yticklabels()] == ['a', 'b', 'c']
  points = [np.asarray(line.get_xydata()) for line in axes.lines]
  first_points = {tuple(map(float, line_points[0])) for line_points in points if len(line_points)}
  assert {(10.5, 0.0), (8.0, 0.0), (7.0, 1.0), (20.0, 2.0)} <= first_points
  assert axes.get_xlabel() == 'Test error (%)' and axes.get_xscale() == 'linear'


def test_the_table_says_which_runs_were_trained_longer_after_their_end() -> None:
  table = [row('a', [10.0]), row('b', [9.0], has_legs=True)]
  assert 'Trained longer after it had ended: b.' in ' '.join(
    study_formats.text(STUDY, table).split()
  )
  assert 'trained longer' not in study_formats.text(STUDY, table[:1]).lower()


def test_the_table_says_where_test_images_were_seen_before() -> None:
  table = [row('a', [10.0]), row('b', [9.0], num_seen=7)]
  text = ' '.join(study_formats.text(STUDY, table).split())
  assert 'No test: init.source has seen test images of b (7).' in text
  assert 'init.source' not in study_formats.text(STUDY, table[:1])


@pytest.mark.parametrize('name', ['data', 'initial weights', 'own net'])
def test_the_table_says_that_runs_of_equal_settings_had_different_inputs(name: str) -> None:
  def inputs(*said_and_sha256: tuple[str, str]) -> list[dict[str, tuple[str, str]]]:
    return [{name: pair} for pair in said_and_sha256]

  same = [row('a', [10.0], inputs=inputs(('{}', 'x')))]
  same += [row('b', [9.0, 9.5], inputs=[*inputs(('{}', 'x'), ('{1}', 'y')), {}])]
  assert 'NOT COMPARABLE' not in study_formats.text(STUDY, same)
  other = [*same, row('c', [8.0, 9.0], inputs=inputs(('{}', 'z'), ('{}', 'z')))]
  text = ' '.join(study_formats.text(STUDY, other).split())
  assert f'NOT COMPARABLE: between runs the {name} changed: a, b.' in text


def test_the_table_says_which_versions_the_runs_had_if_they_differ() -> None:
  old, new = {'jax': '0.10', 'numpy': '2'}, {'jax': '0.11', 'numpy': '2'}
  table = [row('a', [10.0], versions=[old]), row('b', [9.0], versions=[old])]
  assert 'different versions' not in study_formats.text(STUDY, table)
  text = ' '.join(study_formats.text(STUDY, [*table, row('c', [8.0], versions=[new])]).split())
  assert 'The runs had different versions: jax 0.10, 0.11.' in text


def test_the_inputs_of_a_run_are_named_with_what_was_read(tmp_path: pathlib.Path) -> None:
  data = {'name': 'folder', 'data_dir': '/a', 'images_per_class': 10}
  config = {'seed': 0, 'data': data, 'model': {'name': 'own', 'module': 'own.py'}}
  (tmp_path / 'config.json').write_text(json.dumps(config | {'train': {'num_epochs': 1}}))
  result = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 1.0, 'device': '1 x cpu'}
  result |= {'init': {'source': 'w.npz', 'sha256': 'w'}, 'own_net': 'm'}
  result |= {'test_sha256': 't', 'commit': 'a+changes', 'code': 'c'}
  (tmp_path / 'result.json').write_text(json.dumps(result | {'data_sha256': 'd'}))
  assert page_data.read(tmp_path).inputs == {
    'data': ('{"images_per_class": 10, "name": "folder"}', 'd'),
    'test images': ('{"name": "folder"}', 't'),
    'initial weights': ('w.npz', 'w'),
    'own net': ('own.py', 'm'),
    'code': ('a+changes', 'c'),
  }


def test_the_table_says_which_runs_ended_early() -> None:
  table = [row('a', [10.0], ended_after=[4.0, 2.0])]
  text = ' '.join(study_formats.text(STUDY, table).split())
  assert 'Ended early by train.patience: a, after 4, 2 epochs.' in text
  assert f'at most {table[0]["epochs"]}' in text
  (line,) = csv.DictReader(study_formats.comma_separated(table).splitlines())
  assert line['ended_after_epochs'] == '4 2'
