"""The records of a run as they are read, drawn as curves, and summarised."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from cifar_jax.errors import InputError
from cifar_jax.report import summary
from cifar_jax.report.figures import curves
from cifar_jax.runs.results import Record, read_records, read_result


def _train(epoch: float, loss: float, accuracy: float) -> Record:
  return {
    'step': round(100 * epoch),
    'epoch': epoch,
    'split': 'train',
    'loss': loss,
    'accuracy': accuracy,
    'learning_rate': 0.1,
    'images_per_second': 1000.0,
  }


def _evaluation(split: str, epoch: float, loss: float, accuracy: float) -> Record:
  step = round(100 * epoch)
  return {'step': step, 'epoch': epoch, 'split': split, 'loss': loss, 'accuracy': accuracy}


RECORDS = [
  _train(0.5, 2.0, 0.25),
  _train(1.0, 1.0, 0.5),
  _evaluation('validation', 1.0, 1.5, 0.375),
  _train(1.5, 0.5, 0.75),
  _train(2.0, 0.25, 1.0),
  _evaluation('validation', 2.0, 0.75, 0.625),
  _evaluation('test', 2.0, 0.8, 0.5),
]


def _write(workdir: pathlib.Path, records: list[Record], end: str = '') -> pathlib.Path:
  lines = ''.join(json.dumps(record) + '\n' for record in records)
  (workdir / 'metrics.jsonl').write_text(lines + end)
  return workdir


def test_records_are_read_in_the_order_of_the_file(tmp_path: pathlib.Path) -> None:
  assert read_records(_write(tmp_path, RECORDS)) == RECORDS


@pytest.mark.parametrize('incomplete', ['{"step": 300, "ep', '{"step": 300}', '12'])
def test_an_incomplete_last_line_is_left_out(tmp_path: pathlib.Path, incomplete: str) -> None:
  assert read_records(_write(tmp_path, RECORDS, end=incomplete)) == RECORDS


def test_an_empty_file_has_no_records(tmp_path: pathlib.Path) -> None:
  assert read_records(_write(tmp_path, [])) == []


def test_the_error_on_a_bad_line_before_the_last_states_its_number(tmp_path: pathlib.Path) -> None:
  _write(tmp_path, RECORDS[:2], end='{"step": 3\n' + json.dumps(RECORDS[2]) + '\n')
  with pytest.raises(InputError, match=r'metrics\.jsonl:3 .*remove that line'):
    read_records(tmp_path)


def test_the_error_on_a_missing_file_names_the_file_and_the_remedy(tmp_path: pathlib.Path) -> None:
  with pytest.raises(InputError, match=r'metrics\.jsonl.*--workdir'):
    read_records(tmp_path)
  with pytest.raises(InputError, match=r'result\.json: let the run finish'):
    read_result(tmp_path)


def test_read_result_returns_the_object_in_the_file(tmp_path: pathlib.Path) -> None:
  result = {'test': {'accuracy': 0.5}, 'num_epochs': 1, 'seconds': 2.5, 'device': '1 x cpu'}
  (tmp_path / 'result.json').write_text(json.dumps(result | {'new': 3}))
  assert read_result(tmp_path) == result | {'new': 3}


@pytest.mark.parametrize('text', ['{"seed"', '[1]'])
def test_the_error_on_a_file_without_a_json_object_names_the_file(
  tmp_path: pathlib.Path, text: str
) -> None:
  (tmp_path / 'result.json').write_text(text)
  with pytest.raises(InputError, match=r'result\.json.*run again'):
    read_result(tmp_path)


def test_the_points_of_the_curves_are_the_values_of_the_records() -> None:
  figure = curves.learning_curves_figure(RECORDS, 'A title')
  loss, error = (
    {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in axes.lines}
    for axes in figure.axes
  )
  assert loss == {
    'train, mean of the last epoch: 0.375': [[0.5, 2.0], [1.0, 1.0], [1.5, 0.5], [2.0, 0.25]],
    'validation: 0.75': [[1.0, 1.5], [2.0, 0.75]],
  }
  assert error == {
    'train, mean of the last epoch: 12.50 %': [[0.5, 75.0], [1.0, 50.0], [1.5, 25.0], [2.0, 0.0]],
    'validation: 37.50 %': [[1.0, 62.5], [2.0, 37.5]],
    'test: 50.00 %': [[2.0, 50.0]],
  }
  assert figure.get_suptitle() == 'A title'
  assert [axes.get_ylabel() for axes in figure.axes] == ['Loss (nats)', 'Error (%)']


def test_the_learning_rate_has_a_panel_only_where_it_changes() -> None:
  (loss, _) = curves.learning_curves_figure(RECORDS, '').axes
  assert loss.get_title() == 'Learning rate 0.1'
  records = [RECORDS[0], RECORDS[1] | {'learning_rate': 0.05}]
  *_, rate = curves.learning_curves_figure(records, '').axes
  assert rate.get_ylabel() == 'Learning rate'
  assert np.asarray(rate.lines[0].get_xydata()).tolist() == [[0.5, 0.1], [1.0, 0.05]]


def test_several_seeds_are_their_mean_in_a_band_of_one_deviation() -> None:
  def of_seeds(record: Record) -> Record:
    each = {'loss': [record['loss'] - 0.1, record['loss'] + 0.3], 'accuracy': [0.25, 0.75]}
    return record | {'each': each, 'loss': record['loss'] + 0.1, 'accuracy': 0.5}

  loss, error = curves.learning_curves_figure([of_seeds(record) for record in RECORDS], '').axes
  labels = [line.get_label() for line in loss.lines]
  assert labels == ['train, mean of the last epoch: 0.475', 'validation: 0.85 ± 0.283']
  bands = [vertices for band in loss.collections for vertices in band.get_paths()]
  heights = np.asarray(bands[0].vertices)
  at_the_start = [height for epoch, height in heights if epoch == 0.5]
  # The deviation of two values that are 0.4 apart, on both sides of their mean.
  low, high = 2.1 - 0.4 / 2**0.5, 2.1 + 0.4 / 2**0.5
  assert (min(at_the_start), max(at_the_start)) == pytest.approx((low, high))
  assert 'test: 50.00 ± 35.36 %' in [line.get_label() for line in error.lines]


def test_no_legend_covers_the_lines_of_its_panel() -> None:
  figure = curves.learning_curves_figure(RECORDS, 'A title')
  figure.draw_without_rendering()
  for axes in figure.axes:
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y1 < axes.xaxis.label.get_window_extent().y0 + 1


def test_an_axis_is_logarithmic_if_its_values_span_a_wide_range() -> None:
  wide = curves.learning_curves_figure([_train(1, 2.0, 0.1), _train(2, 0.01, 0.2)], '')
  assert [axes.get_yscale() for axes in wide.axes] == ['log', 'linear']


@pytest.mark.parametrize(
  'records',
  [
    [],
    RECORDS[:1],
    [_evaluation('test', 1.0, 0.0, 1.0)],
    [_train(1.0, 0.0, 1.0), _train(2.0, 0.0, 1.0)],
    [_train(1.0, float('nan'), 0.1), _train(2.0, float('inf'), 0.1)],
    RECORDS,
  ],
  ids=['none', 'one', 'test only', 'zero error', 'diverged', 'all'],
)
def test_learning_curves_writes_one_complete_png_for_any_records(
  tmp_path: pathlib.Path, records: list[Record]
) -> None:
  path = curves.learning_curves(_write(tmp_path, records), 'A title')
  assert path == tmp_path / 'plots' / 'learning_curves.png'
  png = path.read_bytes()
  assert png.startswith(b'\x89PNG') and png.endswith(b'IEND\xaeB`\x82')
  assert list(path.parent.iterdir()) == [path]


def test_importing_the_curves_imports_neither_jax_nor_matplotlib() -> None:
  code = (
    'import sys, cifar_jax.report.figures.curves; print({"jax", "matplotlib"} & sys.modules.keys())'
  )
  run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
  assert run.stdout.strip() == 'set()'


def test_the_summary_states_accuracy_effort_and_files_in_three_lines(
  tmp_path: pathlib.Path,
) -> None:
  best = {'test': {'accuracy': 0.9}, 'epoch': 7}
  result = {'model': 'resnet20', 'data': 'cifar10', 'num_epochs': 10, 'seconds': 7300.0}
  result |= {'device': '1 x cpu', 'images_per_second': 1234.5, 'test': {'accuracy': 0.875}}
  result |= {'num_steps': 50, 'seed': 0}
  (tmp_path / 'result.json').write_text(json.dumps(result | {'best': best}))
  outcome, effort, where = summary.lines(tmp_path)
  assert outcome == (
    'resnet20 on cifar10: test accuracy 87.50 % at the last epoch, '
    '90.00 % at the best by validation (epoch 7)'
  )
  assert effort.startswith('10 epochs in 2 h 1 min on 1 x cpu, 1,234 images/s')
  assert str(tmp_path) in where
  leak = {'seen_by_source': {'test': 3}}
  (tmp_path / 'result.json').write_text(json.dumps(result | leak))
  outcome, *_ = summary.lines(tmp_path)
  assert outcome.endswith('at the last epoch; init.source has seen 3 of these images')


@pytest.mark.parametrize(
  ('seconds', 'text'), [(59.4, '59 s'), (95, '1 min 35 s'), (3600, '1 h 0 min')]
)
def test_durations_are_in_hours_minutes_and_seconds(seconds: float, text: str) -> None:
  assert summary.duration(seconds) == text
