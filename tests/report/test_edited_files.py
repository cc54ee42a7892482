"""Files of a run that someone has edited: one line, or a page without them, and no traceback."""

import copy
import json
import logging
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from cifar_jax.config import base
from cifar_jax.errors import InputError
from cifar_jax.report import (
  page,
  page_data,
  page_diagrams,
  page_measures,
  page_sections,
  study_differences,
  study_table,
  summary,
  thumbnails,
)
from cifar_jax.report.figures import confusion_and_calibration, curves
from cifar_jax.report.markup import Html
from cifar_jax.runs import leg_schedules, legs

MEASURES: dict[str, Any] = {
  'accuracy': 0.5, 'loss': 1.5, 'top5_accuracy': 0.9,
  'deviation': {'accuracy': 0.1, 'top5_accuracy': 0.1}, 'each': {'accuracy': [0.4, 0.6]},
}  # fmt: skip
FEW = {'accuracy': 0.5}
LEG: dict[str, Any] = {
  'test': FEW, 'num_epochs': 1, 'num_steps': 10, 'seconds': 1.0, 'device': '1 x cpu',
}  # fmt: skip
RESULT: dict[str, Any] = {
  'test': MEASURES, 'tta': {'views': 'flip', 'test': FEW | {'each': {'accuracy': [0.5]}}},
  'best': {'step': 10, 'epoch': 1, 'test': FEW}, 'best_by_test': {'epoch': 1, 'test': FEW},
  'num_epochs': 2, 'num_steps': 20, 'num_params': 7, 'seconds': 2.0, 'images_per_second': 3.0,
  'legs': [{'num_epochs': 1}], 'model': 'resnet8', 'data': 'cifar10', 'seed': 0, 'seeds': [0, 1],
  'device': '1 x cpu', 'published': {'error_percent': 8.75, 'source': 'a paper'},
  'versions': {'jax': '1'}, 'command': 'a command', 'commit': 'abc', 'machine': 'a machine',
}  # fmt: skip
RECORD = MEASURES | {
  'step': 10, 'epoch': 1, 'split': 'train', 'learning_rate': 0.1,
  'each': {'accuracy': [0.4, 0.6], 'loss': [1, 2]},
}  # fmt: skip
SCORECARD: dict[str, Any] = {
  'split': 'test', 'checkpoint': 'last', 'tta': 'none', 'error_percent': 50.0,
  'data': {'name': 'svhn'}, 'members': [{'workdir': 'a', 'step': 20}],
  'classes': [{'name': 'cat', 'images': 2, 'precision': None, 'recall': 0.5, 'f1': 0.5}],
  'confusion_matrix': [[2]],
  'calibration': {
    'expected_calibration_error': 0.1, 'edges': [0.0, 1.0], 'counts': [4], 'confidence': [0.6],
    'accuracy': [None],
  },
}  # fmt: skip
MISTAKES = [{'index': 0, 'true': 'cat', 'predicted': 'dog', 'confidence': 0.75}]
GUESSES = [{'name': 'my.jpg', 'guesses': [['cat', 0.5]]}]
ENTRY = {'label': 'one', 'epochs': 2, 'full_epochs': 2, 'published': 8.75, 'runs': ['run']}
STUDY = {'study': 's', 'title': 't', 'source': 'u', 'changes': [], 'entries': [ENTRY]}

SCHEDULE = {'name': 'piecewise', 'learning_rate': 0.1, 'boundaries': [0.5]}
CONFIG = {
  'seed': 0, 'data': {'name': 'cifar10'}, 'model': {'name': 'resnet8'},
  'train': {'num_epochs': 2}, 'schedule': SCHEDULE,
}  # fmt: skip
WHOLE_CONFIG = base('resnet8')
EXAMPLES: tuple[Any, ...] = (None, [], 'text', math.inf)


def wrong_values(value: Any) -> Iterator[Any]:
  """Copies of a value of JSON in which something within is missing or of another kind."""
  if not isinstance(value, dict | list):
    return
  for key in value if isinstance(value, dict) else range(len(value)):
    yield (
      {k: v for k, v in value.items() if k != key}
      if isinstance(value, dict)
      else (value[:key] + value[key + 1 :])
    )
    for item in (*EXAMPLES, *wrong_values(value[key])):
      changed = copy.copy(value)
      changed[key] = item
      yield changed


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
  """The workdir of a run with a second leg, in a study; its figures are computed and not drawn."""

  def compute(records: list[dict[str, Any]], _: str) -> None:
    for split in ('train', 'test'):
      for key in ('loss', 'accuracy'):
        curves._band(records, split, key)

  monkeypatch.setattr(curves, 'learning_curves_figure', compute)
  for name in ('confusion_matrix', 'reliability'):
    monkeypatch.setattr(confusion_and_calibration, name, lambda *_: None)
  for name in ('panels', 'whole'):
    monkeypatch.setattr(page_diagrams, name, lambda *_: Html('<img>'))
  monkeypatch.setattr(leg_schedules, 'base', lambda _: WHOLE_CONFIG)  # which takes most of the time
  monkeypatch.setattr(study_differences, '_test', lambda *_: (None, None))  # imports scipy
  run = tmp_path / 'run'
  for folder in (run, run / 'leg1'):
    folder.mkdir()
    schedule = SCHEDULE if folder == run else {'name': 'constant'}
    (folder / 'config.json').write_text(json.dumps(CONFIG | {'schedule': schedule}))
  (run / 'result.json').write_text(json.dumps(RESULT))
  (run / 'leg1' / 'result.json').write_text(json.dumps(LEG))
  (tmp_path / 'study.json').write_text(json.dumps(STUDY))
  return run


def evaluated(run: pathlib.Path) -> pathlib.Path:
  """The same run with an evaluation and with the user's own pictures."""
  folder, image = run / 'evaluation', np.zeros((1, 1, 1, 3), np.uint8)
  folder.mkdir()
  (folder / 'test_last.json').write_text(json.dumps(SCORECARD))
  thumbnails.write(folder / 'test_last_mistakes.json', image, MISTAKES)
  thumbnails.write(folder / 'own_pictures.json', image, GUESSES)
  return run


def show(run: pathlib.Path) -> str:
  """Reads all that a page on one run shows."""
  return page.html([page_data.read(run)])


def compare(run: pathlib.Path) -> object:
  """Reads what a page on several runs shows beside that."""
  runs = [page_data.read(run)] * 2
  return page_measures.differences(runs), page_sections.differing_keys(runs)


def tabulate(run: pathlib.Path) -> object:
  return study_table.rows(run.parent)


def go_on(run: pathlib.Path) -> object:
  """Reads what the next session reads of the earlier legs."""
  start = legs.schedule_start(run, WHOLE_CONFIG)
  return legs.is_finished(run), start, legs.describe(run, RESULT)


READERS: dict[str, tuple[Callable[[pathlib.Path], object], ...]] = {
  'config.json': (show, compare, tabulate),
  'result.json': (show, compare, summary.lines),
  'leg1/config.json': (go_on,),
  'leg1/result.json': (go_on, tabulate),
  'evaluation/test_last.json': (show,),
  'evaluation/test_last_mistakes.json': (show,),
  'evaluation/own_pictures.json': (show,),
  '../study.json': (tabulate,),
}


@pytest.mark.parametrize('name', READERS)
def test_an_edited_file_is_one_line_or_a_page_without_it(run: pathlib.Path, name: str) -> None:
  logging.getLogger('cifar_jax').setLevel(logging.ERROR)
  path = (evaluated(run) if name.startswith('evaluation') else run) / name
  whole = json.loads(path.read_text())
  for read in READERS[name]:
    read(run)  # the whole file is no fault
  for value in wrong_values(whole):
    path.write_text(json.dumps(value))
    for read in READERS[name]:
      try:
        read(run)
      except InputError as error:
        assert '\n' not in str(error) and path.name in str(error)


def test_an_edited_record_is_one_line_or_a_page(run: pathlib.Path) -> None:
  for value in wrong_values(RECORD):
    lines = [RECORD, value, RECORD | {'split': 'test'}]
    (run / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    try:
      show(run)
    except InputError as error:
      assert 'metrics.jsonl:2 is not a record' in str(error)


@pytest.mark.parametrize(
  ('name', 'value', 'lost'),
  [
    ('test_last', SCORECARD | {'split': []}, 'Confusion'),
    ('test_last', SCORECARD | {'tta': []}, 'Confusion'),
    ('test_last', '{"split": "te', 'Confusion'),
    ('test_last_mistakes', [MISTAKES[0] | {'confidence': 'high'}], 'Mistakes'),
    ('own_pictures', [GUESSES[0] | {'guesses': [['cat']]}], 'Own pictures'),
    ('own_pictures', {'guesses': 3}, 'Own pictures'),
  ],
)
def test_what_cannot_be_shown_is_left_out_with_one_warning(
  run: pathlib.Path, name: str, value: Any, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
  assert f'<h2>{lost}</h2>' in show(evaluated(run)) and not caplog.records
  path = run / 'evaluation' / f'{name}.json'
  path.write_text(value if isinstance(value, str) else json.dumps(value))
  assert f'<h2>{lost}</h2>' not in show(run)
  (warning,) = caplog.records
  assert f'{path} is left out of the page: ' in warning.getMessage()


def test_a_null_in_a_result_is_a_value_that_is_not_there(run: pathlib.Path) -> None:
  for key in ('best', 'tta', 'published', 'versions', 'commit', 'seeds'):
    (run / 'result.json').write_text(json.dumps(RESULT | {key: None}))
    with_null = show(run)
    (run / 'result.json').write_text(json.dumps({k: v for k, v in RESULT.items() if k != key}))
    assert with_null == show(run)
